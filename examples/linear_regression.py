"""Fit a line to 442 patients by gradient descent, and compare it with the exact solution.

    python examples/linear_regression.py --data DIR

DIR, or its folder tabular, holds scikit-learn's diabetes data: diabetes_data_raw.csv.gz (age, sex,
body-mass index, blood pressure and six blood values) and diabetes_target.csv.gz (how far the
illness went in a year).

The model is y = w x + b on standardised columns, trained by gradient descent with momentum on the
squared error of three quarters of the patients, all of them in every step. The squared error has
one minimum, which least squares gives in closed form; both solutions are printed side by side. The
columns tc and ldl say nearly the same, so the error is almost flat along their difference: their
weights arrive last, and predict well long before. It ends with a line `test R2: N.NNN (closed
form N.NNN)` for the patients held out, and a picture (linear_regression.png) in --output.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Progress
from gradstone.utils.data import TensorDataset

COLUMNS = ["age", "sex", "bmi", "bp", "tc", "ldl", "hdl", "tch", "ltg", "glu"]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=0.05, help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=None, help="use the first LIMIT patients only")
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


def load(folder, limit, seed):
    """Standardised float32 features (N, 10) and targets (N, 1): a training and a test part."""
    if (folder / "tabular").is_dir():
        folder = folder / "tabular"
    x = np.loadtxt(folder / "diabetes_data_raw.csv.gz", ndmin=2)[:limit]
    y = np.loadtxt(folder / "diabetes_target.csv.gz", ndmin=2).reshape(-1, 1)[:limit]
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = np.split(order, [len(x) * 3 // 4])
    # The test patients are unknown while training: their values do not enter the mean.
    x = (x - x[train].mean(0)) / x[train].std(0)
    return [
        TensorDataset(gs.tensor(x[part], dtype=gs.float32), gs.tensor(y[part], dtype=gs.float32))
        for part in (train, test)
    ]


def closed_form(x, y):
    """Weights (10,) and bias that minimise |X w + b - y|^2, with X and y as NumPy arrays."""
    with_ones = np.concatenate([x, np.ones((len(x), 1), x.dtype)], 1).astype(np.float64)
    solution = np.linalg.lstsq(with_ones, y[:, 0].astype(np.float64), rcond=None)[0]
    return solution[:-1], solution[-1]


def r2(prediction, target):
    """1 - residual / total sum of squares: 1 is perfect, 0 is as good as the mean."""
    return 1 - ((prediction - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()


def train(model, dataset, args):
    """Returns the mean squared error of every epoch."""
    x, y = dataset.tensors
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    criterion = nn.MSELoss()
    losses = []
    with Progress(args.epochs, "training") as bar:
        for _ in range(args.epochs):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            bar.update(1, loss=losses[-1])
    return losses


def draw(path, losses, weights, exact, target, prediction, score):
    """The loss, both solutions' weights, and predictions against the truth."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    left.plot(range(1, len(losses) + 1), losses)
    left.set(xlabel="epoch", title="training: mean squared error", xscale="log", yscale="log")
    places = np.arange(len(COLUMNS))
    middle.bar(places - 0.2, weights, 0.4, label="gradient descent")
    middle.bar(places + 0.2, exact, 0.4, label="closed form")
    middle.set_xticks(places, COLUMNS)
    middle.set(title="weights of the standardised columns")
    middle.legend()
    right.scatter(target, prediction, s=12, alpha=0.7)
    ends = [target.min(), target.max()]
    right.plot(ends, ends, color="gray", linewidth=1)
    right.set(xlabel="measured", ylabel="predicted", title=f"patients held out: R² = {score:.3f}")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    try:
        train_set, test_set = load(args.data, args.limit, args.seed)
    except (OSError, EOFError, ValueError) as error:
        sys.exit(f"linear_regression: {error} (--data names the folder with the diabetes files)")
    print(f"{len(train_set)} patients to train on, {len(test_set)} held out, {len(COLUMNS)} values")

    model = nn.Linear(len(COLUMNS), 1)
    start = time.perf_counter()
    losses = train(model, train_set, args)
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.2f} s")

    weights, bias = model.weight.detach().numpy()[0], model.bias.item()
    exact, exact_bias = closed_form(*(t.numpy() for t in train_set.tensors))
    print(f"{'column':>8} {'gradient descent':>18} {'closed form':>12}")
    for name, mine, best in zip(
        [*COLUMNS, "bias"], [*weights, bias], [*exact, exact_bias], strict=True
    ):
        print(f"{name:>8} {mine:18.2f} {best:12.2f}")

    x, y = (t.numpy() for t in test_set.tensors)
    with gs.no_grad():
        prediction = model(test_set.tensors[0]).numpy()
    score = r2(prediction, y)
    exact_score = r2(x @ exact[:, None] + exact_bias, y)
    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / "linear_regression.png"
    try:
        draw(picture, losses, weights, exact, y[:, 0], prediction[:, 0], score)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"test R2: {score:.3f} (closed form {exact_score:.3f})")


if __name__ == "__main__":
    main()
