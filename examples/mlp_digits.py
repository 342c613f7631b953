"""The first network of every course: a multilayer perceptron on handwritten digits.

    python examples/mlp_digits.py               10,000 digits that come with the repository
    python examples/mlp_digits.py --data DIR    MNIST or Fashion-MNIST in DIR (IDX, gzipped or not)

784 pixels, two hidden layers with ReLU and dropout, ten logits; Adam on cross entropy with a
learning rate that falls along a cosine; all of it run by gradstone.training.Trainer. It ends with a
line `test accuracy: NN.NN %`, and a picture (mlp_digits.png) in --output: learning curves, and the
first layer's weights as pictures, the strokes that its units look for.
"""

import argparse
import sys
import time
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Accuracy, Trainer
from gradstone.utils.data import DataLoader, TensorDataset
from gradstone.vision.datasets import read_idx

DIGITS = Path(__file__).parent / "data" / "mnist10k"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DIGITS, help="default: the digits beside this")
    parser.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=1e-3, help="Adam's (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=256, help="units (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="use the first LIMIT pictures only")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=None, help="default: all CPUs")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "out",
        help="folder for the picture (default: out, beside this file)",
    )
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs: expected 1 or more, got {args.epochs}")
    return args


def load(folder, part, limit):
    """Pictures of `part` (train or t10k), float32 (N, 784) from 0 to 1, and labels (N)."""
    arrays = []
    for kind in ("images-idx3", "labels-idx1"):
        files = sorted(folder.glob(f"{part}*-{kind}-ubyte*"))
        if not files:
            sys.exit(f"mlp_digits: there is no {part}-{kind}-ubyte(.gz) in {folder}; see --data")
        try:
            arrays.append(gs.from_numpy(read_idx(files[0])[:limit]))
        except RuntimeError as error:
            sys.exit(f"mlp_digits: {error}")
    return TensorDataset(arrays[0].float().flatten(1) / 255, arrays[1].long())


def draw(path, history, weights):
    """Learning curves beside the weights of the first 40 units, red for positive."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(13, 4.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1])
    right.suptitle("what the first layer looks for")
    epochs = range(1, len(history["loss"]) + 1)
    for axis, name in zip(left.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axis.plot(epochs, history[name], marker=".", label="training, with dropout")
        axis.plot(epochs, history[f"val_{name}"], marker=".", label="test")
        axis.set(title=name, xlabel="epoch")
        axis.grid(alpha=0.3)
        axis.legend()
    for axis, weight in zip(right.subplots(5, 8).flat, weights, strict=False):
        axis.imshow(weight.reshape(28, 28), cmap="RdBu_r", vmin=-0.15, vmax=0.15)
        axis.axis("off")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    train_set = load(args.data, "train", args.limit)
    test_set = load(args.data, "t10k", args.limit)
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=500)
    model = nn.Sequential(
        nn.Linear(784, args.hidden), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(args.hidden, args.hidden), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(args.hidden, 10),
    )  # fmt: skip
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_set):,} training and {len(test_set):,} test pictures; {count:,} parameters; "
        f"{gs.get_num_threads()} threads"
    )

    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        metrics={"accuracy": Accuracy()},
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs),
    )
    start = time.perf_counter()
    history = trainer.fit(train_loader, args.epochs, validation=test_loader)
    if history.interrupted:
        sys.exit(f"mlp_digits: interrupted after {len(history)} epochs: nothing is saved")
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / "mlp_digits.png"
    try:
        draw(picture, history, model[0].weight.detach().numpy())
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test accuracy: {100 * trainer.evaluate(test_loader)['accuracy']:.2f} %")


if __name__ == "__main__":
    main()
