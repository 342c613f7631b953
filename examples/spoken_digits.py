"""Recognise spoken digits with a bidirectional LSTM or a convolutional network.

    python examples/spoken_digits.py --data DIR --model lstm
    python examples/spoken_digits.py --data DIR --model cnn

The Free Spoken Digit Dataset: recordings of 0 to 9 by six speakers at 8 kHz; takes 0 to 4 are for
the test. DIR, or DIR/fsdd, holds the WAV files or an archive of them; --download fetches one. Each
recording becomes a log-mel spectrogram, 40 values every 12.5 ms; while training, it is stretched in
time, moved in pitch, and a few rows and columns are left out, each time by other amounts. It ends
with a line `test accuracy: NN.NN % (MODEL)`, a checkpoint (spoken_digits_MODEL.gs) and a picture
(spoken_digits_MODEL.png) in --output.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.audio import SpokenDigits, log_mel_spectrogram
from gradstone.text import PadCollate
from gradstone.training import Trainer
from gradstone.training.metrics import Accuracy
from gradstone.utils.data import DataLoader, Dataset

MELS, N_FFT, HOP = 40, 256, 100


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--download", action="store_true", help="fetch an archive into --data")
    parser.add_argument("--model", choices=["lstm", "cnn"], default="cnn", help="%(default)s")
    parser.add_argument("--epochs", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=2e-3, help="the largest (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="use so many recordings only")
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


class Spectrograms(Dataset):
    """Items (log-mel spectrogram (frames, 40) float32, digit). With a generator of random numbers
    every visit gives another variation."""

    def __init__(self, recordings, limit=None, generator=None):
        self.generator = generator
        step = 1 if limit is None else max(1, len(recordings) // limit)  # all digits, all speakers
        chosen = range(0, len(recordings), step)[:limit]
        self.targets = [recordings.targets[i] for i in chosen]
        self.features = []
        for i in chosen:
            logs = log_mel_spectrogram(
                recordings.samples[i], SpokenDigits.sample_rate, N_FFT, HOP, MELS, floor=1e-6
            ).numpy()
            # Loudness varies with the speaker and the microphone: mean 0, deviation 1.
            self.features.append(((logs - logs.mean()) / (logs.std() + 1e-3)).T)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        x = self.features[index]
        if self.generator is not None:
            x = vary(x, self.generator)
        return gs.from_numpy(np.ascontiguousarray(x)), self.targets[index]


def vary(x, generator):
    """Another speed (0.8 to 1.25), pitch (2 rows up or down), level, and blanks (SpecAugment, Park
    et al., 2019)."""
    frames = max(8, round(len(x) * np.exp(generator.uniform(-0.22, 0.22))))
    place = np.linspace(0, len(x) - 1, frames)
    low = np.minimum(place.astype(int), len(x) - 2)
    part = (place - low)[:, None].astype(np.float32)
    x = x[low] * (1 - part) + x[low + 1] * part
    move = generator.integers(-2, 3)
    x = np.roll(x, move, axis=1)
    if move > 0:
        x[:, :move] = x[:, move : move + 1]
    elif move < 0:
        x[:, move:] = x[:, move - 1 : move]
    x += np.float32(generator.normal(0, 0.1))
    first, width = generator.integers(0, MELS), generator.integers(0, 7)
    x[:, first : first + width] = 0
    first, width = generator.integers(0, frames), generator.integers(0, 7)
    x[first : first + width] = 0
    return x


def mean_over_time(x, lengths):
    """The mean of x (B, T, E) over the first `lengths` (B) of the T steps."""
    inside = (gs.arange(x.size(1)).unsqueeze(0) < lengths.unsqueeze(1)).float().unsqueeze(2)
    return (x * inside).sum(1) / lengths.float().unsqueeze(1)


class LSTMNet(nn.Module):
    """Spectrograms (B, T, 40) and their lengths (B) -> (B, 10) logits."""

    def __init__(self, features=96):
        super().__init__()
        self.lstm = nn.LSTM(
            MELS, features, num_layers=2, batch_first=True, dropout=0.3, bidirectional=True
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * features, 10)

    def forward(self, x, lengths):
        return self.head(self.dropout(mean_over_time(self.lstm(x)[0], lengths)))


class ConvNet(nn.Module):
    """Spectrograms (B, T, 40) and their lengths (B) -> (B, 10) logits."""

    def __init__(self):
        super().__init__()

        def convolution(inside, outside):
            return [
                nn.Conv2d(inside, outside, 3, padding=1, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]

        self.features = nn.Sequential(
            *convolution(1, 16),  # (B, 16, T / 2, 20)
            *convolution(16, 32),  # (B, 32, T / 4, 10)
            *convolution(32, 64),  # (B, 64, T / 8, 5)
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(64 * 5, 10)

    def forward(self, x, lengths):
        x = self.features(x.unsqueeze(1)).transpose(1, 2).flatten(2)  # (B, T / 8, 320)
        kept = (lengths.float() / 8).floor().clamp(1, x.size(1))
        return self.head(self.dropout(mean_over_time(x, kept)))


def make_loader(dataset, batch_size, shuffle=False):
    return DataLoader(dataset, batch_size=batch_size, shuffle=shuffle, collate_fn=PadCollate())


def train(model, train_set, test_set, args):
    """Gives the trainer and its history."""
    loader = make_loader(train_set, args.batch_size, shuffle=True)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.02)
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        metrics={"accuracy": Accuracy()},
        scheduler=optim.lr_scheduler.OneCycleLR(
            optimizer, args.lr, total_steps=args.epochs * len(loader)
        ),
        scheduler_step="batch",
        clip_norm=5.0,
    )
    return trainer, trainer.fit(loader, args.epochs, validation=make_loader(test_set, 100))


def draw(path, history, test_set, predictions):
    """Learning curves, spectrograms of test recordings, and what is taken for what."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(13, 4.2), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1, 1.1, 1])
    axis = left.subplots()
    for name, label in (("accuracy", "training, varied"), ("val_accuracy", "test")):
        epochs = range(1, len(history[name]) + 1)
        axis.plot(epochs, [100 * v for v in history[name]], marker=".", label=label)
    axis.set(xlabel="epoch", ylabel="accuracy (%)")
    axis.grid(alpha=0.3)
    axis.legend()
    counts = np.zeros((10, 10), int)
    for digit, guess in zip(test_set.targets, predictions):
        counts[digit, guess] += 1
    axes = middle.subplots(2, 5)
    middle.suptitle("log-mel spectrograms of test recordings")
    for digit, axis in enumerate(axes.flat):
        axis.axis("off")
        if digit in test_set.targets:
            i = test_set.targets.index(digit)
            x = test_set.features[i].T
            axis.imshow(x, origin="lower", aspect="auto", cmap="magma", interpolation="nearest")
            colour = "black" if predictions[i] == digit else "red"
            axis.set_title(f"{digit}: {predictions[i]}", color=colour)
    axis = right.subplots()
    axis.imshow(counts, cmap="Blues")
    for i, j in np.argwhere(counts):
        colour = "white" if counts[i, j] > counts.max() / 2 else "black"
        axis.text(j, i, counts[i, j], ha="center", va="center", fontsize=8, color=colour)
    axis.set(xlabel="predicted", ylabel="spoken", xticks=range(10), yticks=range(10))
    figure.savefig(path, dpi=75)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    try:
        recordings = [
            SpokenDigits(args.data, split, download=args.download) for split in ("train", "test")
        ]
    except (OSError, RuntimeError) as error:
        sys.exit(f"spoken_digits: {error} (--data names the folder, --download fetches the files)")
    start = time.perf_counter()
    train_set = Spectrograms(recordings[0], args.limit, np.random.default_rng(args.seed))
    test_set = Spectrograms(recordings[1], args.limit)
    model = {"lstm": LSTMNet, "cnn": ConvNet}[args.model]()
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_set)} training and {len(test_set)} test recordings, transformed in "
        f"{time.perf_counter() - start:.1f} s; {args.model} with {count:,} parameters; "
        f"{gs.get_num_threads()} threads"
    )

    start = time.perf_counter()
    trainer, history = train(model, train_set, test_set, args)
    if history.interrupted:
        sys.exit(f"spoken_digits: interrupted after {len(history)} epochs: nothing is saved")
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    predictions = trainer.predict(make_loader(test_set, 100)).argmax(1).tolist()
    right = [guess == digit for guess, digit in zip(predictions, test_set.targets)]
    accuracy = sum(right) / len(right)
    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / f"spoken_digits_{args.model}.gs"
    gs.save({"model": model.state_dict(), "accuracy": accuracy}, checkpoint)
    print(f"saved {checkpoint}")
    picture = args.output / f"spoken_digits_{args.model}.png"
    try:
        draw(picture, history, test_set, predictions)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test accuracy: {100 * accuracy:.2f} % ({args.model})")


if __name__ == "__main__":
    main()
