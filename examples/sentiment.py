"""Tell whether a sentence of a review is positive, by a GRU or by attention.

    python examples/sentiment.py --data DIR --model gru
    python examples/sentiment.py --data DIR --model attention

3,000 sentences of reviews of products, films and restaurants, a fifth of them for the test; the
vocabulary is that of the training sentences. `gru` reads the words in both directions and takes the
mean and the largest of its states; `attention` weighs the words by one learned query, after a layer
in which each word attends to the others, and its picture shows the weights. While training, words
are dropped at random. It ends with a line `test accuracy: NN.NN % (MODEL)`, a checkpoint
(sentiment_MODEL.gs) and a picture (sentiment_MODEL.png) in --output.
"""

import argparse
import sys
import time
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.nn import functional as F
from gradstone.text import BucketBatchSampler, PadCollate, SentimentSentences, Vocab, words
from gradstone.training import Trainer
from gradstone.training.metrics import Accuracy
from gradstone.utils.data import DataLoader


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--download", action="store_true", help="fetch the sentences into --data")
    parser.add_argument("--model", choices=["gru", "attention"], default="gru", help="%(default)s")
    parser.add_argument("--epochs", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=2e-3, help="the largest (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="use so many sentences only")
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


def make_embedding(vocabulary, features):
    """Small vectors: 2,400 sentences teach little about most words, whose vectors stay as drawn."""
    table = nn.Embedding(vocabulary, features, padding_idx=0)
    with gs.no_grad():
        table.weight.mul_(0.1)
    return table


def embed(table, tokens, training, chance=0.3):
    """The words' vectors (B, T, E); while training, a word in three is left out."""
    x = table(tokens)
    if not training:
        return x
    kept = (gs.rand(*tokens.shape) >= chance).float().unsqueeze(2)
    return x * kept / (1 - chance)


def inside(tokens):
    """(B, T, 1) float32: 1 at words, 0 at the padding."""
    return (tokens != 0).float().unsqueeze(2)


class GRUNet(nn.Module):
    """Words (B, T) int64 and lengths (B) -> (B,) logits of "positive"."""

    def __init__(self, vocabulary, features=64, hidden=64):
        super().__init__()
        self.embedding = make_embedding(vocabulary, features)
        self.gru = nn.GRU(features, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4 * hidden, 1)

    def forward(self, tokens, lengths):
        states, _ = self.gru(self.dropout(embed(self.embedding, tokens, self.training)))
        mask = inside(tokens)
        mean = (states * mask).sum(1) / lengths.float().unsqueeze(1)
        largest = (states - 1e4 * (1 - mask)).amax(1)
        return self.head(self.dropout(gs.cat([mean, largest], 1))).squeeze(1)


class AttentionNet(nn.Module):
    """Words (B, T) int64 and lengths (B) -> (B,) logits of "positive". ``weights`` (B, T) holds the
    last batch's attention."""

    def __init__(self, vocabulary, features=64, heads=4, longest=256):
        super().__init__()
        self.embedding = make_embedding(vocabulary, features)
        self.positions = nn.Embedding(longest, features)
        nn.init.normal_(self.positions.weight, std=0.1)
        self.mixing = nn.MultiheadAttention(features, heads, dropout=0.2, batch_first=True)
        self.norm = nn.LayerNorm(features)
        self.query = nn.Linear(features, 1)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(features, 1)
        self.weights = None

    def forward(self, tokens, lengths):
        x = embed(self.embedding, tokens, self.training)
        place = gs.arange(tokens.size(1)).clamp(max=self.positions.num_embeddings - 1)
        x = self.dropout(x + self.positions(place))
        mixed, _ = self.mixing(x, x, x, key_padding_mask=tokens == 0, need_weights=False)
        x = self.norm(x + mixed)
        scores = self.query(gs.tanh(x)).squeeze(2).masked_fill(tokens == 0, float("-inf"))
        weights = F.softmax(scores, 1)
        self.weights = weights.detach()
        return self.head(self.dropout((x * weights.unsqueeze(2)).sum(1))).squeeze(1)


def make_loader(items, batch_size, shuffle):
    sampler = BucketBatchSampler([len(ids) for ids, _ in items], batch_size, shuffle=shuffle)
    return DataLoader(items, batch_sampler=sampler, collate_fn=PadCollate())


def train(model, train_items, test_items, args):
    """Gives the history: history["val_accuracy"] and others, one value for each epoch."""
    loader = make_loader(train_items, args.batch_size, shuffle=True)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.05)
    trainer = Trainer(
        model,
        optimizer,
        lambda logits, labels: F.binary_cross_entropy_with_logits(logits, labels.float()),
        metrics={"accuracy": Accuracy(threshold=0.0)},
        scheduler=optim.lr_scheduler.OneCycleLR(
            optimizer, args.lr, total_steps=args.epochs * len(loader)
        ),
        scheduler_step="batch",
        clip_norm=1.0,
    )
    return trainer.fit(loader, args.epochs, validation=make_loader(test_items, 200, shuffle=False))


def read_one(model, vocab, sentence):
    """(words, probability of "positive", weight of each word or None)."""
    tokens = words(sentence)
    ids = vocab.encode(tokens)
    model.eval()
    with gs.no_grad():
        share = gs.sigmoid(model(gs.tensor([ids]), gs.tensor([len(ids)]))).item()
    weights = getattr(model, "weights", None)
    return tokens, share, None if weights is None else weights[0].tolist()


def draw(path, history, examples):
    """Learning curves beside test sentences; words are shaded by their attention."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 4), layout="constrained", width_ratios=[1, 2]
    )
    for name, label in (("accuracy", "training"), ("val_accuracy", "test")):
        epochs = range(1, len(history[name]) + 1)
        left.plot(epochs, [100 * v for v in history[name]], marker="o", label=label)
    left.set(xlabel="epoch", ylabel="accuracy (%)")
    left.grid(alpha=0.3)
    left.legend()
    right.set(xlim=(0, 100), ylim=(len(examples), -0.5))
    right.set_title("test sentences: probability of positive (true label)")
    right.axis("off")
    for row, ((tokens, share, weights), label) in enumerate(examples):
        colour = "black" if (share > 0.5) == (label == 1) else "red"
        right.text(0, row, f"{100 * share:3.0f} % ({'+' if label else '-'})", color=colour)
        x = 13
        for k, token in enumerate(tokens):
            shade = 0 if weights is None else min(1, weights[k] / max(weights))
            box = {"facecolor": (1, 0.6, 0.1, 0.8 * shade), "edgecolor": "none", "pad": 1}
            right.text(x, row, token, family="monospace", fontsize=8, bbox=box, parse_math=False)
            x += 1.06 * len(token) + 1.4
    figure.savefig(path, dpi=75)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    try:
        train_set, test_set = (
            SentimentSentences(args.data, split, download=args.download)
            for split in ("train", "test")
        )
    except (OSError, RuntimeError) as error:
        sys.exit(f"sentiment: {error} (--data names the folder, --download fetches the files)")
    samples = train_set.samples[: args.limit]
    vocab = Vocab.build(
        (word for sentence, _ in samples for word in words(sentence)),
        min_count=2,
        specials=["<pad>"],
        unk="<unk>",
    )
    train_items, test_items = (
        [(vocab.encode(words(sentence)), label) for sentence, label in part]
        for part in (samples, test_set.samples[: args.limit])
    )
    model = {"gru": GRUNet, "attention": AttentionNet}[args.model](len(vocab))
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_items):,} training and {len(test_items):,} test sentences, {len(vocab):,} "
        f"words; {args.model} with {count:,} parameters; {gs.get_num_threads()} threads"
    )

    start = time.perf_counter()
    history = train(model, train_items, test_items, args)
    if history.interrupted:
        sys.exit(f"sentiment: interrupted after {len(history)} epochs: nothing is saved")
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    accuracy = history["val_accuracy"][-1]
    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / f"sentiment_{args.model}.gs"
    gs.save({"model": model.state_dict(), "vocab": vocab.itos, "accuracy": accuracy}, checkpoint)
    print(f"saved {checkpoint}")
    short = [s for s in test_set.samples if 4 <= len(words(s[0])) <= 12 and len(s[0]) < 62][:12]
    examples = [(read_one(model, vocab, sentence), label) for sentence, label in short]
    picture = args.output / f"sentiment_{args.model}.png"
    try:
        draw(picture, history, examples)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test accuracy: {100 * accuracy:.2f} % ({args.model})")


if __name__ == "__main__":
    main()
