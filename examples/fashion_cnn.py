"""Tell ten kinds of clothes apart with a convolutional network and the Trainer.

    python examples/fashion_cnn.py --data DIR     IDX files in DIR or DIR/fashion-mnist
    python examples/fashion_cnn.py --download     fetch the full Fashion-MNIST into --data first

The network has four 3x3 convolutions with batch normalisation, two poolings and two linear layers.
Pictures are mirrored and moved by up to two pixels at random, the labels are smoothed, and the
learning rate rises and falls in one cycle. Any training file will do, a part of the 60,000 pictures
too: 10,000 are enough for more than 88 %. It ends with a line `test accuracy: NN.NN %`, a
checkpoint (fashion_cnn.gs) and a picture (fashion_cnn.png) in --output: learning curves, and which
class is taken for which.
"""

import argparse
import sys
import time
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Accuracy, ConfusionMatrix, Trainer
from gradstone.utils.data import DataLoader
from gradstone.vision import transforms as T
from gradstone.vision.datasets import FashionMNIST, ImageArrays, read_idx


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--download", action="store_true", help="fetch Fashion-MNIST into --data")
    parser.add_argument("--epochs", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, help="default: %(default)s")
    parser.add_argument(
        "--lr", type=float, default=5e-3, help="AdamW's largest (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, default=None, help="use the first LIMIT pictures only")
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


class Clothes(ImageArrays):
    """Pictures and labels of `part` (train or t10k), from files that may hold a part of them."""

    def __init__(self, folder, part, limit, transform):
        super().__init__(folder, transform)
        arrays = []
        for kind in ("images-idx3", "labels-idx1"):
            files = sorted(folder.glob(f"{part}*-{kind}-ubyte*"))
            if not files:
                raise OSError(f"there is no {part}-{kind}-ubyte(.gz) in {folder}")
            arrays.append(gs.from_numpy(read_idx(files[0])[:limit]))
        self.data, self.targets = arrays[0], arrays[1].long()


def make_model():
    """(B, 1, 28, 28) pictures -> (B, 10) logits."""

    def convolution(inside, outside):
        return [
            nn.Conv2d(inside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
        ]

    return nn.Sequential(
        *convolution(1, 32),
        *convolution(32, 32),
        nn.MaxPool2d(2),  # (B, 32, 14, 14)
        *convolution(32, 64),
        *convolution(64, 64),
        nn.MaxPool2d(2),  # (B, 64, 7, 7)
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, 10),
    )


def draw(path, history, counts):
    """Learning curves beside the confusion matrix."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
    epochs = range(1, len(history["loss"]) + 1)
    for axis, name in ((left, "loss"), (middle, "accuracy")):
        axis.plot(epochs, history[name], marker=".", label="training, augmented")
        axis.plot(epochs, history[f"val_{name}"], marker=".", label="test")
        axis.set(title=name, xlabel="epoch")
        axis.grid(alpha=0.3)
        axis.legend()
    share = counts / counts.sum(1, keepdims=True)
    right.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(10):
        for j in range(10):
            colour = "white" if share[i, j] > 0.5 else "black"
            right.text(
                j, i, counts[i, j], ha="center", va="center", fontsize=7, color=colour
            )  # fmt: skip
    right.set_xticks(range(10), FashionMNIST.classes, rotation=90)
    right.set_yticks(range(10), FashionMNIST.classes)
    right.set(title="test pictures", xlabel="predicted", ylabel="true")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    plain = T.Compose([T.ToTensor(), T.Normalize([0.286], [0.353])])
    moved = T.Compose([T.RandomCrop(28, padding=2), T.RandomHorizontalFlip(), plain])
    try:
        if args.download:
            args.data = FashionMNIST(args.data, download=True).raw_folder
        elif (args.data / "fashion-mnist").is_dir():
            args.data = args.data / "fashion-mnist"
        train_set = Clothes(args.data, "train", args.limit, moved)
        test_set = Clothes(args.data, "t10k", args.limit, plain)
    except (OSError, RuntimeError) as error:
        sys.exit(f"fashion_cnn: {error} (--data names the folder, --download fetches the files)")
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True, drop_last=True)
    test_loader = DataLoader(test_set, batch_size=500)
    model = make_model()
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_set):,} training and {len(test_set):,} test pictures; {count:,} parameters; "
        f"{gs.get_num_threads()} threads"
    )

    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
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
        sys.exit(f"fashion_cnn: interrupted after {len(history)} epochs: nothing is saved")
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    confusion = ConfusionMatrix(10)
    confusion.update(trainer.predict(test_loader), test_set.targets)
    counts = confusion.compute().numpy()
    args.output.mkdir(parents=True, exist_ok=True)
    gs.save(model.state_dict(), args.output / "fashion_cnn.gs")
    picture = args.output / "fashion_cnn.png"
    try:
        draw(picture, history, counts)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test accuracy: {100 * counts.trace() / counts.sum():.2f} %")


if __name__ == "__main__":
    main()
