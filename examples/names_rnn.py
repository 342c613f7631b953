"""Tell from a surname, letter by letter, which of 18 languages it comes from.

    python examples/names_rnn.py --data DIR      the languages' .txt files in DIR or DIR/names
    python examples/names_rnn.py --download      fetch them into --data first

Letters become vectors, a gated recurrent network (GRU) reads them from both sides, and a linear
layer names the language. A fifth of the distinct names is for the test. Rare languages count more
in the loss (by the inverse square root of their number), so that they are not passed over. It ends
with the guesses for a few names, a line `test accuracy: NN.NN % (mean over languages MM.MM %)`, a
checkpoint (names_rnn.gs) and a picture of what is taken for what (names_rnn.png) in --output.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.text import BucketBatchSampler, NamesByLanguage, PadCollate, Vocab
from gradstone.training import Trainer
from gradstone.training.metrics import Accuracy
from gradstone.utils.data import DataLoader

LANGUAGES = NamesByLanguage.classes
SHOWN = ["Satoshi", "Jackson", "Dostoevsky", "Rossi", "Papadopoulos", "O'Brien", "Nguyen", "Haddad"]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--download", action="store_true", help="fetch the names into --data")
    parser.add_argument("--ascii", action="store_true", help="reduce the names to ASCII")
    parser.add_argument("--epochs", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=3e-3, help="the largest (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="use so many names only")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=None, help="default: all CPUs")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "out",
        help="folder for the checkpoint and the picture (default: out, beside this file)",
    )
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs: expected 1 or more, got {args.epochs}")
    return args


class NamesRNN(nn.Module):
    """Letters (B, T) int64, padded behind, and lengths (B) -> (B, 18) logits."""

    def __init__(self, vocabulary, features=32, hidden=128):
        super().__init__()
        self.letters = nn.Embedding(vocabulary, features, padding_idx=0)
        self.forward_rnn = nn.GRU(features, hidden, batch_first=True)
        self.backward_rnn = nn.GRU(features, hidden, batch_first=True)
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(2 * hidden, len(LANGUAGES))

    def forward(self, names, lengths):
        # Each direction is read out where the name ends, not where the padding does: the backward
        # one reads the name reversed, letter t being letter length - 1 - t.
        steps = gs.arange(names.size(1)).unsqueeze(0)
        last = lengths.unsqueeze(1) - 1
        turned = names.gather(1, (last - steps).clamp(min=0))
        ends = []
        for rnn, ids in ((self.forward_rnn, names), (self.backward_rnn, turned)):
            states, _ = rnn(self.dropout(self.letters(ids)))
            ends.append(states.gather(1, last.unsqueeze(2).expand(-1, -1, states.size(2)))[:, 0])
        return self.head(self.dropout(gs.cat(ends, 1)))


def make_items(samples, vocab):
    """(letters' numbers, language) of every name."""
    return [(vocab.encode(name), language) for name, language in samples]


def make_loader(items, batch_size, shuffle):
    sampler = BucketBatchSampler([len(ids) for ids, _ in items], batch_size, shuffle=shuffle)
    return DataLoader(items, batch_sampler=sampler, collate_fn=PadCollate())


def train(model, train_items, test_items, args):
    """Gives the trainer and its history."""
    loader = make_loader(train_items, args.batch_size, shuffle=True)
    counts = np.bincount([language for _, language in train_items], minlength=len(LANGUAGES))
    weights = 1 / np.sqrt(np.maximum(counts, 1))
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(gs.tensor(weights / weights.mean(), dtype=gs.float32)),
        metrics={"accuracy": Accuracy()},
        scheduler=optim.lr_scheduler.OneCycleLR(
            optimizer, args.lr, total_steps=args.epochs * len(loader)
        ),
        scheduler_step="batch",
        clip_norm=1.0,
    )
    return trainer, trainer.fit(
        loader, args.epochs, validation=make_loader(test_items, 256, shuffle=False)
    )


def confusion(trainer, items):
    """(18, 18) counts: row the language of the name, column the network's."""
    loader = make_loader(items, 256, shuffle=False)
    languages = gs.cat([languages for _, languages in loader]).numpy()
    counts = np.zeros((len(LANGUAGES), len(LANGUAGES)), int)
    np.add.at(counts, (languages, trainer.predict(loader).argmax(1).numpy()), 1)
    return counts


def guesses(model, vocab, name, count=3):
    """The most probable languages of a name, as text."""
    ids = vocab.encode(name)
    model.eval()
    with gs.no_grad():
        logits = model(gs.tensor([ids]), gs.tensor([len(ids)]))[0]
    shares, languages = nn.functional.softmax(logits, -1).topk(count)
    parts = [f"{LANGUAGES[k]} {100 * p:.0f} %" for k, p in zip(languages.tolist(), shares.tolist())]
    return ", ".join(parts)


def draw(path, history, counts):
    """Learning curves beside the confusion matrix, each row as shares."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 6.4), layout="constrained", width_ratios=[1, 1.5]
    )
    for name, label in (("accuracy", "training"), ("val_accuracy", "test")):
        epochs = range(1, len(history[name]) + 1)
        left.plot(epochs, [100 * v for v in history[name]], marker="o", label=label)
    left.set(xlabel="epoch", ylabel="accuracy (%)")
    left.grid(alpha=0.3)
    left.legend()
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    image = right.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=right, label="share of the language's names")
    rows = [f"{language} ({n})" for language, n in zip(LANGUAGES, counts.sum(1))]
    right.set_xticks(range(len(LANGUAGES)), LANGUAGES, rotation=90)
    right.set_yticks(range(len(LANGUAGES)), rows)
    right.set(xlabel="predicted", ylabel="language (test names)")
    figure.savefig(path, dpi=75)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    try:
        train_names, test_names = (
            NamesByLanguage(args.data, split, args.ascii, unique=True, download=args.download)
            for split in ("train", "test")
        )
    except (OSError, RuntimeError) as error:
        sys.exit(f"names_rnn: {error} (--data names the folder, --download fetches the files)")
    step = 1 if args.limit is None else max(1, len(train_names) // args.limit)
    train_samples, test_samples = train_names.samples[::step], test_names.samples[::step]
    letters = (letter for name, _ in train_samples for letter in name)
    vocab = Vocab.build(letters, specials=["<pad>"], unk="<unk>")
    train_items, test_items = make_items(train_samples, vocab), make_items(test_samples, vocab)
    model = NamesRNN(len(vocab))
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_items):,} training and {len(test_items):,} test names, {len(vocab)} letters; "
        f"{count:,} parameters; {gs.get_num_threads()} threads"
    )

    start = time.perf_counter()
    trainer, history = train(model, train_items, test_items, args)
    if history.interrupted:
        sys.exit(f"names_rnn: interrupted after {len(history)} epochs: nothing is saved")
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    counts = confusion(trainer, test_items)
    accuracy = np.trace(counts) / counts.sum()
    found = counts.sum(1) > 0
    mean = (np.diag(counts)[found] / counts.sum(1)[found]).mean()
    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / "names_rnn.gs"
    gs.save({"model": model.state_dict(), "vocab": vocab.itos, "accuracy": accuracy}, checkpoint)
    print(f"saved {checkpoint}")
    for name in SHOWN:
        print(f"{name:>14}: {guesses(model, vocab, name)}")
    picture = args.output / "names_rnn.png"
    try:
        draw(picture, history, counts)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test accuracy: {100 * accuracy:.2f} % (mean over languages {100 * mean:.2f} %)")


if __name__ == "__main__":
    main()
