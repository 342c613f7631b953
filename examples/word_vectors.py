"""Learn a vector for every word from its neighbours: skip-gram with negative sampling.

    python examples/word_vectors.py --data DIR                          English sentences (deu-eng)
    python examples/word_vectors.py --data DIR --corpus german          their German translations
    python examples/word_vectors.py --data DIR --corpus shakespeare     plays (tinyshakespeare)

Every word tells true neighbours, at most --window words away, from words drawn at random (Mikolov
et al., 2013): its vector times the vector of a neighbour is the logit. Frequent words are left out
more often. It ends with the nearest words to some, a line `a true neighbour scores higher than a
drawn word in NN.N % of the held-out pairs` (50 % is chance), the vectors (word_vectors.gs) and a
picture of the most frequent words in the plane of their two largest principal components
(word_vectors.png) in --output.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.nn import functional as F
from gradstone.text import TinyShakespeare, TranslationPairs, Vocab, words
from gradstone.training import Progress
from gradstone.utils.data import DataLoader, TensorDataset

SHOWN = {
    "english": ["mother", "boston", "two", "french", "walk", "yesterday", "water", "sad"],
    "german": ["mutter", "boston", "zwei", "französisch", "gehen", "gestern", "wasser", "traurig"],
    "shakespeare": ["king", "queen", "love", "death", "thou", "father", "romeo", "night"],
}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--download", action="store_true", help="fetch the text into --data")
    parser.add_argument("--corpus", choices=list(SHOWN), default="english", help="%(default)s")
    parser.add_argument("--epochs", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=1024, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=3e-3, help="the largest (default: %(default)s)")
    parser.add_argument("--features", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--window", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--negatives", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=None, help="use so many sentences only")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=None, help="default: all CPUs")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "out",
        help="folder for the vectors and the picture (default: out, beside this file)",
    )
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs: expected 1 or more, got {args.epochs}")
    return args


def read_sentences(args):
    """Lists of words; equal sentences once, so that none is both trained on and held out."""
    if args.corpus == "shakespeare":
        lines = TinyShakespeare(args.data, args.download).text.split("\n\n")
    else:
        pairs = TranslationPairs(args.data, download=args.download).pairs
        lines = [pair[args.corpus == "german"] for pair in pairs]
    found = dict.fromkeys(tuple(w for w in words(line) if w[0].isalpha()) for line in lines)
    sentences = [sentence for sentence in found if len(sentence) > 1]
    return sentences if args.limit is None else sentences[-args.limit :]


def neighbours(sentences, vocab, window, rng):
    """(word, neighbour) int64 (N, 2): of each word those up to a random distance of at most
    `window`. Word w of frequency f is left out with the chance 1 - sqrt(t / f), t = 0.001."""
    counts = np.zeros(len(vocab))
    ids = [np.array(vocab.encode(sentence)) for sentence in sentences]
    np.add.at(counts, np.concatenate(ids), 1)
    kept = np.minimum(1, np.sqrt(1e-3 * counts.sum() / np.maximum(counts, 1)))
    pairs = []
    for sentence in ids:
        sentence = sentence[(rng.random(len(sentence)) < kept[sentence]) & (sentence > 0)]
        reach = rng.integers(1, window + 1, len(sentence))
        for distance in range(1, min(window, len(sentence) - 1) + 1):
            left, right = sentence[:-distance], sentence[distance:]
            pairs.append(np.stack([left, right], 1)[reach[:-distance] >= distance])
            pairs.append(np.stack([right, left], 1)[reach[distance:] >= distance])
    return np.concatenate(pairs), counts


class SkipGram(nn.Module):
    """Words (B) and candidates (B, K), int64 -> logits (B, K) of being neighbours."""

    def __init__(self, vocabulary, features):
        super().__init__()
        self.words = nn.Embedding(vocabulary, features)
        self.contexts = nn.Embedding(vocabulary, features)
        nn.init.uniform_(self.words.weight, -0.5 / features, 0.5 / features)
        nn.init.zeros_(self.contexts.weight)

    def forward(self, words, candidates):
        return (self.contexts(candidates) @ self.words(words).unsqueeze(2)).squeeze(2)


def draw_negatives(chances, count, negatives):
    """(count, negatives) words drawn by their frequency to the power 3/4."""
    return gs.multinomial(chances, count * negatives, replacement=True).reshape(count, negatives)


def train(model, sentences, vocab, chances, args, rng):
    """Gives the mean loss of every epoch; each draws its pairs anew."""
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch / args.epochs)
    losses = []
    for epoch in range(1, args.epochs + 1):
        pairs = gs.from_numpy(neighbours(sentences, vocab, args.window, rng)[0])
        loader = DataLoader(TensorDataset(pairs), batch_size=args.batch_size, shuffle=True)
        total = seen = 0
        with Progress(len(loader), f"epoch {epoch}/{args.epochs}", quarters=False) as bar:
            for (batch,) in loader:
                negatives = draw_negatives(chances, len(batch), args.negatives)
                logits = model(batch[:, 0], gs.cat([batch[:, 1:], negatives], 1))
                # -log s(true) - sum log s(-drawn), s the sigmoid
                loss = F.softplus(-logits[:, 0]).mean() + F.softplus(logits[:, 1:]).sum(1).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                seen += len(batch)
                total += loss.item() * len(batch)
                bar.update(samples=len(batch), loss=total / seen)
        scheduler.step()
        losses.append(total / seen)
    return losses


def evaluate(model, pairs, chances):
    """The share of (word, neighbour) pairs that score higher than (word, drawn word)."""
    pairs = gs.from_numpy(pairs)
    drawn = draw_negatives(chances, len(pairs), 1)
    with gs.no_grad():
        logits = model(pairs[:, 0], gs.cat([pairs[:, 1:], drawn], 1))
    return (logits[:, 0] > logits[:, 1]).float().mean().item()


def nearest(vectors, vocab, word, count=6):
    """The words whose vectors have the smallest angles to that of `word`."""
    similar = vectors @ vectors[vocab.stoi[word]]
    order = [i for i in np.argsort(-similar) if i > 0 and vocab.itos[i] != word]
    return [vocab.itos[i] for i in order[:count]]


def draw(path, losses, vectors, vocab, shown):
    """The losses beside words in the plane of the two largest principal components."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 6.5), layout="constrained", width_ratios=[1, 2.6]
    )
    left.plot(range(1, len(losses) + 1), losses, marker="o")
    left.set(xlabel="epoch", ylabel="training loss")
    left.grid(alpha=0.3)
    # Some words and what is near them, among the most frequent.
    chosen = list(range(1, min(100, len(vectors))))
    colours = dict.fromkeys(chosen, "0.6")
    for k, word in enumerate(shown):
        for near in [word, *nearest(vectors, vocab, word)]:
            colours[vocab.stoi[near]] = f"C{k % 10}"
    chosen = list(colours)
    points = vectors[chosen] - vectors[chosen].mean(0)
    plane = points @ np.linalg.svd(points, full_matrices=False)[2][:2].T
    for (x, y), i in zip(plane, chosen):
        right.text(x, y, vocab.itos[i], color=colours[i], fontsize=8, ha="center")
    margin = 0.05 * np.ptp(plane, axis=0)
    right.set_xlim(plane[:, 0].min() - margin[0], plane[:, 0].max() + margin[0])
    right.set_ylim(plane[:, 1].min() - margin[1], plane[:, 1].max() + margin[1])
    right.set_title("words in the plane; in colour: a word and its nearest ones")
    figure.savefig(path, dpi=75)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    try:
        sentences = read_sentences(args)
    except (OSError, RuntimeError) as error:
        sys.exit(f"word_vectors: {error} (--data names the folder, --download fetches the files)")
    order = rng.permutation(len(sentences))
    held_out = [sentences[i] for i in order[: len(order) // 20]]
    sentences = [sentences[i] for i in order[len(order) // 20 :]]
    counts = Counter(word for sentence in sentences for word in sentence)
    vocab = Vocab.build(counts.elements(), min_count=5, unk="<unk>")  # <unk> is number 0
    pairs, frequency = neighbours(sentences, vocab, args.window, rng)
    frequency[0] = 0
    chances = gs.tensor(frequency**0.75, dtype=gs.float32)
    model = SkipGram(len(vocab), args.features)
    print(
        f"{len(sentences):,} sentences of {counts.total():,} words, {len(vocab):,} of them "
        f"distinct and at least five times; about {len(pairs):,} pairs an epoch; "
        f"{gs.get_num_threads()} threads"
    )

    start = time.perf_counter()
    losses = train(model, sentences, vocab, chances, args, rng)
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    args.output.mkdir(parents=True, exist_ok=True)
    saved = args.output / "word_vectors.gs"
    gs.save({"vectors": model.words.weight.detach(), "vocab": vocab.itos}, saved)
    print(f"saved {saved}")
    vectors = model.words.weight.detach().numpy()
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    shown = [word for word in SHOWN[args.corpus] if word in vocab]
    for word in shown:
        print(f"{word:>12}: {' '.join(nearest(vectors, vocab, word))}")
    picture = args.output / "word_vectors.png"
    try:
        draw(picture, losses, vectors, vocab, shown)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    share = evaluate(model, neighbours(held_out, vocab, args.window, rng)[0], chances)
    print(
        f"a true neighbour scores higher than a drawn word in {100 * share:.1f} % of the held-out "
        "pairs"
    )


if __name__ == "__main__":
    main()
