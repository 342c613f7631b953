"""Train a small convolutional network on handwritten digits, save it, load it, and draw it.

    python examples/mnist_cnn.py               10,000 images that come with the repository
    python examples/mnist_cnn.py --data DIR    the full MNIST files in DIR (IDX, gzipped or not)
    python examples/mnist_cnn.py --download    fetch the full MNIST into --data first

The network is Conv(1,32,3)-ReLU-MaxPool-Conv(32,64,3)-ReLU-MaxPool-Flatten-Linear(1600,128)-ReLU-
Linear(128,10), trained with Adam on cross entropy; the learning rate falls along a cosine. It ends
with a line `test accuracy: NN.NN %`, a checkpoint (mnist_cnn.gs) and a picture (mnist_cnn.png) in
--output.
"""

import argparse
import sys
import time
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.utils.data import DataLoader, TensorDataset
from gradstone.vision.datasets import MNIST

SUBSET = Path(__file__).parent / "data" / "mnist10k"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=SUBSET,
        help="folder with MNIST's four IDX files (default: the 10,000 images beside this file)",
    )
    parser.add_argument(
        "--download", action="store_true", help="fetch the full MNIST into --data (default: ./data)"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=None,
        help="passes over the training images (default: 6, or 3 on full MNIST)",
    )
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    parser.add_argument(
        "--lr", type=float, default=1e-3, help="Adam's learning rate (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--threads", type=int, default=None, help="threads to compute with (default: all CPUs)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "out",
        help="folder for the checkpoint and the picture (default: out, beside this file)",
    )
    args = parser.parse_args()
    if args.epochs is not None and args.epochs < 1:
        parser.error(f"--epochs: expected 1 or more, got {args.epochs}")
    return args


class ConvNet(nn.Module):
    """(B, 1, 28, 28) float32 images -> (B, 10) logits."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3),  # (B, 32, 26, 26)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (B, 32, 13, 13)
            nn.Conv2d(32, 64, 3),  # (B, 64, 11, 11)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (B, 64, 5, 5)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


def load(folder, train, download):
    """Images as float32 (N, 1, 28, 28), normalised with MNIST's mean and deviation, and labels."""
    digits = MNIST(str(folder), train=train, download=download)
    images = digits.data.float().unsqueeze(1)
    return TensorDataset((images / 255 - 0.1307) / 0.3081, digits.targets)


def evaluate(model, dataset, batch_size=500):
    """Fraction of images classified correctly, and the predictions."""
    model.eval()
    predictions = []
    with gs.no_grad():
        for images, _ in DataLoader(dataset, batch_size=batch_size):
            predictions.append(model(images).argmax(1))
    predictions = gs.cat(predictions)
    return (predictions == dataset.tensors[1]).float().mean().item(), predictions


class Progress:
    """A bar with loss, accuracy and images/s on a terminal that has rich; lines elsewhere."""

    def __init__(self, epochs, batches):
        self.epochs, self.batches, self.bar = epochs, batches, None
        try:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        except ImportError:
            return
        if sys.stdout.isatty():
            columns = (
                "{task.description}",
                BarColumn(),
                TextColumn("{task.fields[status]}"),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns)
            self.bar.start()

    def start(self, epoch):
        self.label = f"epoch {epoch}/{self.epochs}"
        if self.bar:
            self.task = self.bar.add_task(self.label, total=self.batches, status="")

    def update(self, batch, loss, accuracy, rate):
        status = f"loss {loss:.4f}  accuracy {100 * accuracy:5.2f} %  {rate:6.0f} images/s"
        if self.bar:
            self.bar.update(self.task, completed=batch, status=status)
        elif batch == self.batches or batch % max(1, self.batches // 4) == 0:
            print(f"{self.label}  batch {batch:4d}/{self.batches}  {status}", flush=True)

    def stop(self):
        if self.bar:
            self.bar.stop()


def train(model, train_set, test_set, args):
    """Trains and returns the history: mean loss, training and test accuracy of every epoch."""
    loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    history = {"loss": [], "train": [], "test": []}
    progress = Progress(args.epochs, len(loader))
    try:
        for epoch in range(1, args.epochs + 1):
            model.train()
            progress.start(epoch)
            total = correct = seen = 0
            start = time.perf_counter()
            for batch, (images, labels) in enumerate(loader, 1):
                optimizer.zero_grad()
                logits = model(images)
                loss = criterion(logits, labels)
                loss.backward()
                optimizer.step()
                scheduler.step()
                seen += len(labels)
                total += loss.item() * len(labels)
                correct += (logits.argmax(1) == labels).sum().item()
                if batch % 10 == 0 or batch == len(loader):
                    progress.update(
                        batch, total / seen, correct / seen, seen / (time.perf_counter() - start)
                    )
            history["loss"].append(total / seen)
            history["train"].append(correct / seen)
            history["test"].append(evaluate(model, test_set)[0])
    finally:
        progress.stop()
    return history


def draw(path, history, test_set, predictions):
    """Learning curves beside a grid of test digits; wrong predictions are red."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    images, labels = test_set.tensors[0].numpy()[:, 0], test_set.tensors[1].tolist()
    guesses = predictions.tolist()
    wrong = [i for i, label in enumerate(labels) if guesses[i] != label][:8]
    shown = wrong + [i for i in range(40) if i not in wrong][: 40 - len(wrong)]
    figure = plt.figure(figsize=(13, 5.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.25])
    left.suptitle("learning curves")
    right.suptitle("test digits and predictions (red: wrong)")
    epochs = range(1, len(history["loss"]) + 1)
    top, bottom = left.subplots(2, 1, sharex=True)
    top.plot(epochs, history["loss"], marker="o", color="tab:blue")
    top.set_ylabel("training loss")
    for name, colour in (("train", "tab:blue"), ("test", "tab:orange")):
        bottom.plot(epochs, [100 * v for v in history[name]], marker="o", color=colour, label=name)
    bottom.set_ylabel("accuracy (%)")
    bottom.set_xlabel("epoch")
    bottom.set_xticks(list(epochs))
    bottom.legend()
    for axis in (top, bottom):
        axis.grid(alpha=0.3)
    for axis, i in zip(right.subplots(5, 8).flat, shown, strict=False):
        axis.imshow(images[i], cmap="gray_r")
        good = guesses[i] == labels[i]
        axis.set_title(
            str(guesses[i]) if good else f"{guesses[i]} (is {labels[i]})",
            fontsize=9,
            color="black" if good else "red",
            pad=2,
        )
        axis.axis("off")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.download and args.data == SUBSET:
        args.data = Path("data")
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    try:
        train_set = load(args.data, True, args.download)
        test_set = load(args.data, False, args.download)
    except (OSError, RuntimeError) as error:
        sys.exit(f"mnist_cnn: {error} (--data names the folder, --download fetches the files)")
    if args.epochs is None:
        args.epochs = 3 if len(train_set) > 20_000 else 6
    model = ConvNet()
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_set):,} training and {len(test_set):,} test images; {count:,} parameters; "
        f"{gs.get_num_threads()} threads"
    )

    start = time.perf_counter()
    history = train(model, train_set, test_set, args)
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    accuracy, predictions = evaluate(model, test_set)
    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / "mnist_cnn.gs"
    gs.save({"model": model.state_dict(), "accuracy": accuracy, "history": history}, checkpoint)
    restored = ConvNet()
    restored.load_state_dict(gs.load(checkpoint)["model"])
    again, _ = evaluate(restored, test_set)
    if again != accuracy:
        sys.exit(f"mnist_cnn: the restored model has accuracy {again}, expected {accuracy}")
    print(f"saved {checkpoint} and loaded it back: the same accuracy")

    picture = args.output / "mnist_cnn.png"
    try:
        draw(picture, history, test_set, predictions)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test accuracy: {100 * accuracy:.2f} %")


if __name__ == "__main__":
    main()
