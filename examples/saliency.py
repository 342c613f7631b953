"""Where does a network look? Three answers for every picture, and a test of the answers.

    python examples/saliency.py               10,000 digits that come with the repository
    python examples/saliency.py --data DIR    MNIST or Fashion-MNIST in DIR (IDX files)

A small convolutional network learns the classes first. Then, for the class it chose:

  saliency              |d logit / d pixel| (Simonyan, Vedaldi and Zisserman, "Deep inside
                        convolutional networks", 2013)
  integrated gradients  the gradient's mean on the way from a black picture to this one, times the
                        difference (Sundararajan, Taly and Yan, "Axiomatic attribution for deep
                        networks", 2017); its sum is the difference of the logits
  Grad-CAM              maps of the last convolution, weighted by their mean gradients (Selvaraju et
                        al., "Grad-CAM", 2017)

Do they find what matters? Of the pixels that are not black the most important ones are made black,
and the probability of the class is watched; the yardstick is a random order. It ends with a line
`probability without the N pixels that matter most: saliency N.NN, integrated gradients N.NN,
Grad-CAM N.NN, random N.NN (whole pictures N.NN)` and a picture (saliency.png) in --output.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.nn import functional as F
from gradstone.training import Progress
from gradstone.utils.data import DataLoader, TensorDataset
from gradstone.vision.datasets import read_idx

DIGITS = Path(__file__).parent / "data" / "mnist10k"
METHODS = ("saliency", "integrated gradients", "Grad-CAM")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DIGITS, help="default: the digits beside this")
    parser.add_argument("--epochs", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=2e-3, help="Adam's (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="train on the first LIMIT pictures")
    parser.add_argument(
        "--explain", type=int, default=200, help="test pictures to explain (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=50, help="steps of the integral (default: %(default)s)"
    )
    parser.add_argument(
        "--remove", type=int, default=60, help="pixels to make black (default: %(default)s)"
    )
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


def load(folder, part, limit=None):
    """Pictures (N, 1, 28, 28) from 0 (black) to 1, and labels (N)."""
    arrays = []
    for kind in ("images-idx3", "labels-idx1"):
        files = sorted(folder.glob(f"{part}*-{kind}-ubyte*"))
        if not files:
            sys.exit(f"saliency: there is no {part}-{kind}-ubyte(.gz) in {folder}; see --data")
        try:
            arrays.append(gs.from_numpy(read_idx(files[0])[:limit]))
        except RuntimeError as error:
            sys.exit(f"saliency: {error}")
    return TensorDataset(arrays[0].float().unsqueeze(1) / 255, arrays[1].long())


class ConvNet(nn.Module):
    """(B, 1, 28, 28) pictures -> (B, 10) logits."""

    def __init__(self):
        super().__init__()
        layers = []
        for before, after in ((1, 16), (16, 32), (32, 64), (64, 64)):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            if before < 32:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)  # (B, 64, 7, 7): what Grad-CAM looks at
        # The mean over the places: which features there are decides, not where.
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


def train(model, dataset, args):
    loader = DataLoader(dataset, batch_size=args.batch_size, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    for epoch in range(1, args.epochs + 1):
        with Progress(len(loader), f"epoch {epoch}/{args.epochs}") as bar:
            for pictures, labels in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(pictures), labels)
                loss.backward()
                optimizer.step()
                scheduler.step()
                bar.update(1, loss=loss)


def logit_gradients(model, pictures, classes):
    """Logits (B) of the given classes, and their gradients with respect to the pixels."""
    x = pictures.detach().clone().requires_grad_()
    logits = model(x).gather(1, classes.unsqueeze(1)).squeeze(1)
    (gradients,) = gs.autograd.grad(logits.sum(), x)
    return logits.detach(), gradients


def saliency(model, pictures, classes):
    """(B, 28, 28): how much the logit moves with each pixel."""
    return logit_gradients(model, pictures, classes)[1].abs().squeeze(1)


def integrated_gradients(model, pictures, classes, steps):
    """(B, 28, 28): each pixel's part in the difference of the logits to those of a black picture.

    The integral over the straight way is taken by the midpoint rule."""
    total = gs.zeros_like(pictures)
    for step in range(steps):
        total += logit_gradients(model, pictures * ((step + 0.5) / steps), classes)[1]
    return (pictures * total / steps).squeeze(1)


def grad_cam(model, pictures, classes):
    """(B, 28, 28): where the features are that speak for the class."""
    maps = model.features(pictures).detach().requires_grad_()  # (B, 64, 7, 7)
    logits = model.classifier(maps).gather(1, classes.unsqueeze(1))
    (gradients,) = gs.autograd.grad(logits.sum(), maps)
    weights = gradients.mean((2, 3), keepdim=True)
    cam = (weights * maps.detach()).sum(1).relu()
    return enlarge(cam, pictures.size(2))


def enlarge(maps, size):
    """(B, h, h) to (B, size, size), linear between the centres of the cells."""
    h = maps.size(1)
    centres = ((np.arange(size) + 0.5) * h / size - 0.5).clip(0, h - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(h)))
    weights = gs.tensor(weights, dtype=maps.dtype)  # (size, h)
    return weights @ maps @ weights.t()


def without(pictures, importance, count):
    """The pictures with the `count` most important pixels black."""
    flat = pictures.flatten(1)
    chosen = importance.flatten(1).topk(count, 1)[1]
    return flat.scatter(1, chosen, gs.zeros(chosen.shape)).reshape(*pictures.shape)


def probability(model, pictures, classes):
    """Mean probability of the given classes."""
    with gs.no_grad():
        return model(pictures).softmax(1).gather(1, classes.unsqueeze(1)).mean().item()


def draw(path, pictures, labels, classes, maps, counts, curves):
    """Pictures of every class beside the three maps, and how the probability falls."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    labels, classes = labels.tolist(), classes.tolist()
    shown = [labels.index(c) for c in range(10) if c in labels][:6]
    figure = plt.figure(figsize=(13, 6.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.1])
    axes = left.subplots(len(shown), 4, squeeze=False)
    for row, i in zip(axes, shown, strict=True):
        row[0].imshow(pictures[i, 0].numpy(), cmap="gray_r")
        row[0].set_ylabel(f"{labels[i]} -> {classes[i]}", rotation=0, ha="right", va="center")
        for axis, (name, values) in zip(row[1:], maps.items(), strict=True):
            values = values[i].numpy()
            top = np.abs(values).max() or 1.0
            if name == "integrated gradients":  # parts for (red) and against (blue) the class
                axis.imshow(values, cmap="RdBu_r", vmin=-top, vmax=top)
            else:
                axis.imshow(pictures[i, 0].numpy(), cmap="gray_r", alpha=0.4)
                axis.imshow(values, cmap="inferno", vmin=0, vmax=top, alpha=0.75)
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, name in zip(axes[0], ("picture", *maps), strict=True):
        axis.set_title(name, fontsize=10)
    axis = right.subplots()
    for name, values in curves.items():
        axis.plot(counts, values, marker="o", label=name, ls="--" if name == "random" else "-")
    axis.set(xlabel="pixels made black", ylabel="mean probability of the class", ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=60)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    train_set, test_set = load(args.data, "train", args.limit), load(args.data, "t10k")
    model = ConvNet()
    train(model, train_set, args)
    model.eval()
    with gs.no_grad():
        correct = sum(
            (model(pictures).argmax(1) == labels).sum().item()
            for pictures, labels in DataLoader(test_set, batch_size=500)
        )
    print(f"test accuracy: {100 * correct / len(test_set):.2f} %")

    pictures, labels = (t[: args.explain] for t in test_set.tensors)
    with gs.no_grad():
        classes = model(pictures).argmax(1)  # what the network says is what is explained
    maps = dict(
        zip(
            METHODS,
            (
                saliency(model, pictures, classes),
                integrated_gradients(model, pictures, classes, args.steps),
                grad_cam(model, pictures, classes),
            ),
            strict=True,
        )
    )
    whole, _ = logit_gradients(model, pictures, classes)
    black, _ = logit_gradients(model, gs.zeros_like(pictures), classes)
    rest = maps["integrated gradients"].sum((1, 2)) - (whole - black)
    error = (rest.abs().mean() / (whole - black).abs().mean()).item()
    print(f"integrated gradients add up to the difference of the logits within {error:.2%}")

    ink = pictures.squeeze(1) > 0
    random = gs.rand(*ink.shape)
    counts = sorted({round(args.remove * part / 8) for part in range(17)})
    curves = {
        name: [
            probability(model, without(pictures, m.masked_fill(~ink, -float("inf")), n), classes)
            for n in counts
        ]
        for name, m in {**maps, "random": random}.items()
    }
    at = counts.index(args.remove)
    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / "saliency.png"
    try:
        draw(picture, pictures, labels, classes, maps, counts, curves)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    found = ", ".join(f"{name} {values[at]:.2f}" for name, values in curves.items())
    print(
        f"probability without the {args.remove} pixels that matter most: {found} "
        f"(whole pictures {curves['random'][0]:.2f})"
    )


if __name__ == "__main__":
    main()
