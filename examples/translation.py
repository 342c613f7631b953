"""Translate short German sentences into English with additive attention, and see what it looks at.

    python examples/translation.py --data DIR      deu.txt(.gz) in DIR or DIR/deu-eng
    python examples/translation.py --download      fetch the pairs into --data first

The network of Bahdanau, Cho and Bengio (2015): a recurrent network (GRU) reads the German words in
both directions; a second one writes the English words, and before each it weighs what was read by a
small network of its state. A tenth of the English sentences, none of which was trained on, is for
the test (a sixth of their German sentences were seen, with another translation). It ends with a few
translations, a line `test: BLEU NN.N, perplexity N.NN, NN.N % of the sentences word for word`, a
checkpoint (translation.gs) and a picture of the alignments (translation.png) in --output.
"""

import argparse
import math
import sys
import time
from collections import Counter
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.nn import functional as F
from gradstone.text import BucketBatchSampler, TranslationPairs, Vocab, pad_sequence, words
from gradstone.training import Progress
from gradstone.utils.data import DataLoader

PAD, BEGIN, END = 0, 1, 2
SPECIALS = ["<pad>", "<begin>", "<end>"]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--download", action="store_true", help="fetch the pairs into --data")
    parser.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=3e-3, help="the largest (default: %(default)s)")
    parser.add_argument("--features", type=int, default=128, help="default: %(default)s")
    parser.add_argument(
        "--max-words", type=int, default=8, help="longest sentences (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, default=None, help="use so many pairs only")
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


class Encoder(nn.Module):
    """Words (B, S) and lengths (B) -> what was read at each (B, S, 2 H), and the state with which
    the translation begins (B, H)."""

    def __init__(self, vocabulary, features, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, features, padding_idx=PAD)
        self.dropout = nn.Dropout(0.3)
        self.ahead = nn.GRU(features, hidden, batch_first=True)
        self.back = nn.GRU(features, hidden, batch_first=True)
        self.start = nn.Linear(hidden, hidden)

    def forward(self, source, lengths):
        x = self.dropout(self.embedding(source))
        # The backward network reads each sentence from its own end, not from the padding: position
        # t of the turned sentence is length - 1 - t, and its states are turned back the same way.
        steps = gs.arange(source.size(1)).unsqueeze(0)
        turn = (lengths.unsqueeze(1) - 1 - steps).clamp(min=0).unsqueeze(2)
        ahead, _ = self.ahead(x)
        back, _ = self.back(x.gather(1, turn.expand(-1, -1, x.size(2))))
        back = back.gather(1, turn.expand(-1, -1, back.size(2)))
        return gs.cat([ahead, back], 2), gs.tanh(self.start(back[:, 0]))


class Decoder(nn.Module):
    """One step: the word before (B), the state (B, H) and what was read -> a new state, the context
    (B, 2 H) and the weights (B, S)."""

    def __init__(self, vocabulary, features, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, features, padding_idx=PAD)
        self.dropout = nn.Dropout(0.3)
        self.of_state = nn.Linear(hidden, hidden, bias=False)
        self.of_memory = nn.Linear(2 * hidden, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.cell = nn.GRUCell(features + 2 * hidden, hidden)
        self.readout = nn.Linear(features + 3 * hidden, features)
        self.head = nn.Linear(features, vocabulary)

    def step(self, word, state, memory, keys, mask):
        """`word` (B, features); `keys` is of_memory(memory); `mask` (B, S) True at the padding."""
        # e_j = v . tanh(W s + U h_j), softmax over j
        scores = self.score(gs.tanh(self.of_state(state).unsqueeze(1) + keys)).squeeze(2)
        weights = F.softmax(scores.masked_fill(mask, float("-inf")), 1)
        context = (weights.unsqueeze(1) @ memory).squeeze(1)
        return self.cell(gs.cat([word, context], 1), state), context, weights

    def logits(self, words, states, contexts):
        """(..., vocabulary) from the word before, the state and the context at each place."""
        x = gs.tanh(self.readout(gs.cat([words, states, contexts], -1)))
        return self.head(self.dropout(x))


class Translator(nn.Module):
    """German (B, S), lengths (B), and the English words before each place (B, T) -> logits of the
    words there (B, T, vocabulary)."""

    def __init__(self, source, target, features, hidden):
        super().__init__()
        self.encoder = Encoder(source, features, hidden)
        self.decoder = Decoder(target, features, hidden)

    def forward(self, source, lengths, before):
        decoder = self.decoder
        memory, state = self.encoder(source, lengths)
        keys, mask = decoder.of_memory(memory), source == PAD
        embedded = decoder.dropout(decoder.embedding(before))
        states, contexts = [], []
        for t in range(before.size(1)):
            state, context, _ = decoder.step(embedded[:, t], state, memory, keys, mask)
            states.append(state)
            contexts.append(context)
        return decoder.logits(embedded, gs.stack(states, 1), gs.stack(contexts, 1))

    def translate(self, source, lengths, longest=16):
        """The most probable word at each place: ids (B, T), and the weights (B, T, S)."""
        decoder = self.decoder
        memory, state = self.encoder(source, lengths)
        keys, mask = decoder.of_memory(memory), source == PAD
        word = gs.full((source.size(0),), BEGIN, dtype=gs.int64)
        ids, weights = [], []
        for _ in range(longest):
            embedded = decoder.embedding(word)
            state, context, weight = decoder.step(embedded, state, memory, keys, mask)
            word = decoder.logits(embedded, state, context).argmax(1)
            ids.append(word)
            weights.append(weight)
        return gs.stack(ids, 1), gs.stack(weights, 1)


def collate(items):
    """((German, lengths, English before), English) of a batch of pairs of ids."""
    source = pad_sequence([german for german, _ in items], True, PAD)
    lengths = gs.tensor([len(german) for german, _ in items])
    before = pad_sequence([[BEGIN, *english] for _, english in items], True, PAD)
    target = pad_sequence([[*english, END] for _, english in items], True, PAD)
    return (source, lengths, before), target


def make_loader(items, batch_size, shuffle):
    lengths = [len(english) for _, english in items]
    sampler = BucketBatchSampler(lengths, batch_size, shuffle=shuffle)
    return DataLoader(items, batch_sampler=sampler, collate_fn=collate)


def loss_of(logits, target):
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)


def train(model, train_items, test_items, args):
    """Gives the mean loss on both sets of every epoch."""
    loader = make_loader(train_items, args.batch_size, shuffle=True)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    scheduler = optim.lr_scheduler.OneCycleLR(
        optimizer, args.lr, total_steps=args.epochs * len(loader)
    )
    history = {"train": [], "test": []}
    for epoch in range(1, args.epochs + 1):
        model.train()
        total = seen = 0
        with Progress(len(loader), f"epoch {epoch}/{args.epochs}", quarters=False) as bar:
            for inputs, target in loader:
                optimizer.zero_grad()
                loss = loss_of(model(*inputs), target)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                seen += len(target)
                total += loss.item() * len(target)
                bar.update(samples=len(target), loss=total / seen)
        history["train"].append(total / seen)
        history["test"].append(evaluate(model, test_items))
        print(f"test perplexity {math.exp(history['test'][-1]):.2f}", flush=True)
    return history


def evaluate(model, items):
    """Mean cross entropy of a word (nats)."""
    model.eval()
    total = count = 0
    with gs.no_grad():
        for inputs, target in make_loader(items, 128, shuffle=False):
            here = (target != PAD).sum().item()
            total += loss_of(model(*inputs), target).item() * here
            count += here
    return total / count


def translate_all(model, vocab, items):
    """The words that the network writes for every item."""
    model.eval()
    written = []
    with gs.no_grad():
        for start in range(0, len(items), 128):
            (source, lengths, _), _ = collate(items[start : start + 128])
            for ids in model.translate(source, lengths)[0].tolist():
                ids = ids[: ids.index(END)] if END in ids else ids
                written.append(vocab.decode(ids))
    return written


def bleu(written, references):
    """BLEU of a corpus in per cent: the geometric mean of the shares of n-grams, n = 1 to 4, found
    in the reference, times a penalty for too few words (Papineni et al., 2002)."""
    found, all_, lengths = [0] * 4, [0] * 4, [0, 0]
    for got, wanted in zip(written, references):
        lengths = [lengths[0] + len(got), lengths[1] + len(wanted)]
        for n in range(4):
            grams, right = (
                Counter(tuple(w[i : i + n + 1]) for i in range(len(w) - n)) for w in (got, wanted)
            )
            found[n] += (grams & right).total()
            all_[n] += grams.total()
    if 0 in found:
        return 0.0
    mean = sum(math.log(f / a) for f, a in zip(found, all_)) / 4
    return 100 * math.exp(mean + min(0.0, 1 - lengths[1] / lengths[0]))


def draw(path, history, alignments):
    """The losses beside four alignments."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 5, figsize=(17, 3.9), layout="constrained")
    for name in ("train", "test"):
        epochs = range(1, len(history[name]) + 1)
        axes[0].plot(epochs, [math.exp(v) for v in history[name]], marker="o", label=name)
    axes[0].set(xlabel="epoch", ylabel="perplexity of a word", yscale="log")
    axes[0].grid(alpha=0.3)
    axes[0].legend()
    for axis, (german, english, weights) in zip(axes[1:], alignments):
        axis.imshow(weights, cmap="gray_r", vmin=0, vmax=1)
        axis.set_xticks(range(len(german)), german, rotation=60)
        axis.set_yticks(range(len(english)), english)
    figure.savefig(path, dpi=70)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    try:
        pairs = [
            TranslationPairs(args.data, split, True, args.max_words, download=args.download).pairs
            for split in ("train", "test")
        ]
    except (OSError, RuntimeError) as error:
        sys.exit(f"translation: {error} (--data names the folder, --download fetches the files)")
    parts = [
        [(words(german), words(english)) for german, english in part[: args.limit]]
        for part in pairs
    ]
    vocabs = [
        Vocab.build((w for pair in parts[0] for w in pair[side]), 2, None, SPECIALS, "<unk>")
        for side in (0, 1)
    ]
    train_items, test_items = (
        [tuple(v.encode(sentence) for v, sentence in zip(vocabs, pair)) for pair in part]
        for part in parts
    )
    model = Translator(len(vocabs[0]), len(vocabs[1]), args.features, 3 * args.features // 2)
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_items):,} training and {len(test_items):,} test pairs, {len(vocabs[0]):,} "
        f"German and {len(vocabs[1]):,} English words; {count:,} parameters; "
        f"{gs.get_num_threads()} threads"
    )

    start = time.perf_counter()
    history = train(model, train_items, test_items, args)
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / "translation.gs"
    gs.save({"model": model.state_dict(), "vocabs": [v.itos for v in vocabs]}, checkpoint)
    print(f"saved {checkpoint}")
    written = translate_all(model, vocabs[1], test_items)
    references = [english for _, english in parts[1]]
    step = max(1, len(written) // 10)
    for i in range(step // 2, len(written), step):
        print(f"  {' '.join(parts[1][i][0])}  ->  {' '.join(written[i])}")
    alignments = []
    right = [i for i, r in enumerate(references) if 5 <= len(r) <= 8 and written[i] == r]
    right = right or list(range(len(written)))
    for i in right[:: max(1, len(right) // 4)][:4]:
        (source, lengths, _), _ = collate([test_items[i]])
        with gs.no_grad():
            weights = model.translate(source, lengths)[1][0].numpy()
        alignments.append((parts[1][i][0], written[i], weights[: len(written[i])]))
    picture = args.output / "translation.png"
    try:
        draw(picture, history, alignments)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    same = sum(w == r for w, r in zip(written, references)) / len(written)
    print(
        f"test: BLEU {bleu(written, references):.1f}, perplexity "
        f"{math.exp(history['test'][-1]):.2f}, {100 * same:.1f} % of the sentences word for word"
    )


if __name__ == "__main__":
    main()
