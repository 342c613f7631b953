"""Tell benign from malignant, and three irises or wines apart, with one linear layer.

    python examples/logistic_regression.py --data DIR

DIR, or its folder tabular, holds scikit-learn's breast_cancer.csv, iris.csv and wine_data.csv.

Two classes: one number per patient, the logit of "malignant", trained with nn.BCEWithLogitsLoss.
Several classes: one logit per class and nn.CrossEntropyLoss. Both are convex, so full-batch Adam
finds the one solution; a little L2 penalty keeps it finite where a plane separates the classes. A
quarter of each set is held out.

It ends with a line `test accuracy: breast_cancer NN.NN % (AUC N.NNNN), iris NN.NN %, wine NN.NN %`
and a picture (logistic_regression.png) in --output with the ROC curve: of all malignant tumours,
how many are found when so many benign ones may be called malignant.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Progress

FILES = {"breast_cancer": "breast_cancer.csv", "iris": "iris.csv", "wine": "wine_data.csv"}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=300, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=0.03, help="Adam's (default: %(default)s)")
    parser.add_argument("--l2", type=float, default=1e-3, help="penalty (default: %(default)s)")
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


def load(path, seed):
    """Standardised features and labels to train on, the same held out, and the classes' names."""
    # The first line: samples, features, then the names of the classes. The label comes last.
    names = path.open(encoding="utf-8").readline().strip().split(",")[2:]
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    table = np.random.default_rng(seed).permutation(table)
    x, y = table[:, :-1], table[:, -1]
    cut = len(x) * 3 // 4
    x = (x - x[:cut].mean(0)) / x[:cut].std(0)
    x, y = gs.tensor(x, dtype=gs.float32), gs.tensor(y, dtype=gs.int64)
    return (x[:cut], y[:cut]), (x[cut:], y[cut:]), names


def train(model, loss_of, x, y, args, label):
    """Full-batch Adam; returns the loss of every epoch, without the penalty."""
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    losses = []
    with Progress(args.epochs, label) as bar:
        for _ in range(args.epochs):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            (loss + args.l2 * model.weight.square().sum()).backward()
            optimizer.step()
            losses.append(loss.item())
            bar.update(1, loss=losses[-1])
    return losses


def roc(scores, positive):
    """False and true positive rates as the threshold falls, (N + 1,) each, and the area below.

    Equal scores fall together: only the last of them is a point of the curve.
    """
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    last = np.append(np.diff(scores) != 0, True)
    found = np.concatenate([[0], positive.cumsum()[last]]) / positive.sum()
    alarms = np.concatenate([[0], (~positive).cumsum()[last]]) / (~positive).sum()
    return alarms, found, np.trapezoid(found, alarms)


def draw(path, losses, curve, score, positive):
    """Losses, the ROC curve, and how the two kinds of tumour spread over the logit."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for name, values in losses.items():
        left.plot(range(1, len(values) + 1), values, label=name)
    left.set(title="training loss", xlabel="epoch", yscale="log")
    left.legend()
    alarms, found, area = curve
    middle.step(alarms, found, where="post")
    middle.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle=":")
    middle.set(
        title=f"breast_cancer, held out: AUC = {area:.4f}",
        xlabel="benign called malignant",
        ylabel="malignant found",
    )
    bins = np.linspace(score.min(), score.max(), 30)
    right.hist(score[~positive], bins, alpha=0.7, label="benign")
    right.hist(score[positive], bins, alpha=0.7, label="malignant")
    right.axvline(0, color="black", linewidth=1)
    right.set(title="tumours held out", xlabel="logit of malignant")
    right.legend()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    folder = args.data / "tabular" if (args.data / "tabular").is_dir() else args.data
    try:
        sets = {name: load(folder / file, args.seed) for name, file in FILES.items()}
    except (OSError, ValueError) as error:
        sys.exit(f"logistic_regression: {error} (--data names the folder with the three files)")

    start = time.perf_counter()
    losses, results = {}, []
    for name, ((x, y), (test_x, test_y), classes) in sets.items():
        print(f"{name}: {len(x)} to train on, {len(test_x)} held out, {x.shape[1]} columns")
        if len(classes) == 2:
            is_positive = (y == 0).float()  # malignant comes first
            model = nn.Linear(x.shape[1], 1)
            losses[name] = train(model, nn.BCEWithLogitsLoss(), x, is_positive[:, None], args, name)
            with gs.no_grad():
                score = model(test_x)[:, 0].numpy()
            positive = (test_y == 0).numpy()
            curve = roc(score, positive)
            accuracy = ((score > 0) == positive).mean()
            results.append(f"{name} {100 * accuracy:.2f} % (AUC {curve[2]:.4f})")
            missed, alarms = ((score <= 0) & positive).sum(), ((score > 0) & ~positive).sum()
            print(f"{positive.sum()} are malignant: {missed} missed, {alarms} false alarms")
        else:
            model = nn.Linear(x.shape[1], len(classes))
            losses[name] = train(model, nn.CrossEntropyLoss(), x, y, args, name)
            with gs.no_grad():
                accuracy = (model(test_x).argmax(1) == test_y).float().mean().item()
            results.append(f"{name} {100 * accuracy:.2f} %")
    print(f"trained {args.epochs} epochs on each in {time.perf_counter() - start:.2f} s")

    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / "logistic_regression.png"
    try:
        draw(picture, losses, curve, score, positive)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test accuracy: {', '.join(results)}")


if __name__ == "__main__":
    main()
