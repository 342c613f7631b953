"""Ten kinds of things in 32x32 colour pictures, by a residual network with augmentation.

    python examples/cifar_resnet.py --data DIR

DIR, or its folder cifar10-jpeg, holds cifar10-jpeg.tar.xz: CIFAR-10's 50,000 and 10,000 pictures as
train/<class>/*.jpg and test/<class>/*.jpg. The tar is read once; the pictures are kept as .npy
files in --output for the next time.

Every picture is moved by up to four pixels and mirrored at random, natively and batch by batch. The
network is a narrow residual one of eight convolutions (two residual blocks; He, Zhang, Ren and Sun,
"Deep residual learning for image recognition", 2016) and one linear layer, trained with SGD,
Nesterov momentum and a learning rate of one cycle (Smith and Topin, 2018). It ends with a line
`test accuracy: NN.NN %`, a checkpoint (cifar_resnet.gs) and a picture (cifar_resnet.png) in
--output.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Accuracy, ConfusionMatrix, Trainer
from gradstone.utils.data import DataLoader
from gradstone.vision import transforms as T
from gradstone.vision.datasets import TarImages

SIDE = 32


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=0.1, help="the largest (default: %(default)s)")
    parser.add_argument(
        "--width", type=int, default=24, help="channels of the first layer (default: %(default)s)"
    )
    parser.add_argument(
        "--limit", type=int, default=None, help="use LIMIT training and LIMIT test pictures only"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=None, help="default: all CPUs")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "out",
        help="folder for the pictures read, the checkpoint and the picture (default: out)",
    )
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs: expected 1 or more, got {args.epochs}")
    return args


def load(args, split, transform):
    """A split of the archive as a data set; with a limit, evenly chosen pictures of it."""
    inner = args.data / "cifar10-jpeg"
    folder = inner if inner.is_dir() else args.data
    archives = sorted(folder.glob("cifar10*.tar*"))
    if not archives:
        sys.exit(f"cifar_resnet: there is no cifar10*.tar of pictures in {folder}; see --data")
    try:
        pictures = TarImages(archives[0], split, transform, cache=args.output)
    except (ImportError, OSError, RuntimeError) as error:
        sys.exit(f"cifar_resnet: {error}")
    if args.limit:
        step = max(1, len(pictures) // args.limit)
        pictures.data, pictures.targets = pictures.data[::step], pictures.targets[::step]
    return pictures


def convolution(inside, outside):
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


class Residual(nn.Module):
    """x + two convolutions of x: what is learned is the difference to doing nothing."""

    def __init__(self, channels):
        super().__init__()
        self.block = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, x):
        return x + self.block(x)


def make_model(width):
    """(B, 3, 32, 32) pictures -> (B, 10) logits."""
    return nn.Sequential(
        convolution(3, width),
        convolution(width, 2 * width),
        nn.MaxPool2d(2),  # (B, 2 width, 16, 16)
        Residual(2 * width),
        convolution(2 * width, 4 * width),
        nn.MaxPool2d(2),  # (B, 4 width, 8, 8)
        convolution(4 * width, 8 * width),
        nn.MaxPool2d(2),  # (B, 8 width, 4, 4)
        Residual(8 * width),
        nn.MaxPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(8 * width, 10),
    )


def draw(path, history, counts, test_set, guesses):
    """Learning curves, the confusion matrix, and test pictures with what the network says."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    pictures, labels, names = test_set.data, test_set.targets, test_set.classes
    figure = plt.figure(figsize=(15, 4.6), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1, 1.1, 1.3])
    epochs = range(1, len(history["loss"]) + 1)
    for axis, name in zip(left.subplots(2, 1, sharex=True), ("loss", "accuracy"), strict=True):
        axis.plot(epochs, history[name], marker=".", label="training, augmented")
        axis.plot(epochs, history[f"val_{name}"], marker=".", label="test")
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
        axis.legend()
    axis.set_xlabel("epoch")
    axis = middle.subplots()
    axis.imshow(counts / counts.sum(1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    for i in range(10):
        for j in range(10):
            colour = "white" if counts[i, j] > 0.5 * counts[i].sum() else "black"
            axis.text(j, i, counts[i, j], ha="center", va="center", fontsize=7, color=colour)
    axis.set_xticks(range(10), names, rotation=90)
    axis.set_yticks(range(10), names)
    axis.set(xlabel="predicted", ylabel="true")
    right.suptitle("test pictures and predictions (red: wrong)")
    # One of every class in a row, whatever the number of pictures.
    shown = np.linspace(0, len(labels) - 1, 28).astype(int)
    for axis, i in zip(right.subplots(4, 7).flat, shown, strict=True):
        axis.imshow(pictures[i])
        colour = "black" if guesses[i] == labels[i] else "red"
        axis.set_title(names[guesses[i]], fontsize=8, color=colour, pad=2)
        axis.axis("off")
    figure.savefig(path, dpi=70)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    plain = T.Compose(
        [T.ToTensor(), T.Normalize([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])]
    )
    moved = T.Compose([T.RandomCrop(SIDE, padding=4), T.RandomHorizontalFlip(), plain])
    start = time.perf_counter()
    train_set, test_set = load(args, "train", moved), load(args, "test", plain)
    print(f"read the pictures in {time.perf_counter() - start:.1f} s")
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True, drop_last=True)
    test_loader = DataLoader(test_set, batch_size=500)
    model = make_model(args.width)
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_set):,} training and {len(test_set):,} test pictures; {count:,} parameters; "
        f"{gs.get_num_threads()} threads"
    )

    optimizer = optim.SGD(
        model.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        metrics={"accuracy": Accuracy()},
        scheduler=optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=args.lr, total_steps=args.epochs * len(train_loader)
        ),
        scheduler_step="batch",
    )
    start = time.perf_counter()
    history = trainer.fit(train_loader, args.epochs, validation=test_loader)
    if history.interrupted:
        sys.exit(f"cifar_resnet: interrupted after {len(history)} epochs: the network is not saved")
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    logits = trainer.predict(test_loader)
    confusion = ConfusionMatrix(10)
    confusion.update(logits, gs.tensor(test_set.targets))
    counts = confusion.compute().numpy()
    gs.save(model.state_dict(), args.output / "cifar_resnet.gs")
    picture = args.output / "cifar_resnet.png"
    try:
        draw(picture, history, counts, test_set, logits.argmax(1).tolist())
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test accuracy: {100 * counts.trace() / counts.sum():.2f} %")


if __name__ == "__main__":
    main()
