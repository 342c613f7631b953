"""Two ways to a small network: taught by a large one, and a large one with most weights cut away.

    python examples/distill_prune.py               10,000 digits that come with the repository
    python examples/distill_prune.py --data DIR    MNIST or Fashion-MNIST in DIR (IDX files)

A convolutional teacher learns the classes. Then

  distillation  a student with one hidden layer sees few of the pictures. It learns twice from the
                same start: from their labels alone, and from the teacher's probabilities at a
                temperature T, which also say which wrong classes are near (Hinton, Vinyals and
                Dean, "Distilling the knowledge in a neural network", 2015; section 6 for few
                pictures). The loss is a T^2 KL(teacher || student) + (1 - a) cross entropy. With
                all pictures (--few 0) a small student gains little: it does not overfit.
  pruning       the smallest weights of the teacher, of all layers together, become 0 and stay so
                while the rest learns on (Han, Pool, Tran and Dally, "Learning both weights and
                connections for efficient neural networks", 2015).

It ends with a line `teacher NN.NN %, student alone NN.NN %, distilled NN.NN %; NN % of the weights
pruned NN.NN %, before training on NN.NN %` and a picture (distill_prune.png) in --output.
"""

import argparse
import copy
import sys
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.nn import functional as F
from gradstone.training import Progress
from gradstone.utils.data import DataLoader, TensorDataset
from gradstone.vision.datasets import read_idx

DIGITS = Path(__file__).parent / "data" / "mnist10k"
SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DIGITS, help="default: the digits beside this")
    parser.add_argument(
        "--epochs", type=int, default=5, help="the teacher's (default: %(default)s)"
    )
    parser.add_argument(
        "--few", type=int, default=1000, help="pictures for the student; 0: all (%(default)s)"
    )
    parser.add_argument(
        "--lessons", type=int, default=30, help="the student's epochs (default: %(default)s)"
    )
    parser.add_argument(
        "--tune", type=int, default=1, help="epochs after each pruning (default: %(default)s)"
    )
    parser.add_argument(
        "--hidden", type=int, default=64, help="the student's (default: %(default)s)"
    )
    parser.add_argument("--temperature", type=float, default=4.0, help="T (default: %(default)s)")
    parser.add_argument(
        "--alpha", type=float, default=0.9, help="a, the teacher's part (default: %(default)s)"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=2e-3, help="Adam's (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="train on the first LIMIT pictures")
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
    """Pictures (N, 1, 28, 28), mean 0 and deviation 1 over all digits, and labels (N)."""
    arrays = []
    for kind in ("images-idx3", "labels-idx1"):
        files = sorted(folder.glob(f"{part}*-{kind}-ubyte*"))
        if not files:
            sys.exit(f"distill_prune: there is no {part}-{kind}-ubyte(.gz) in {folder}; see --data")
        try:
            arrays.append(gs.from_numpy(read_idx(files[0])[:limit]))
        except RuntimeError as error:
            sys.exit(f"distill_prune: {error}")
    return TensorDataset((arrays[0].float().unsqueeze(1) / 255 - 0.1307) / 0.3081, arrays[1].long())


def make_teacher():
    """(B, 1, 28, 28) pictures -> (B, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 16, 14, 14)
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 32, 7, 7)
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def make_student(hidden):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def train(model, dataset, epochs, args, label, loss_of, after_step=None):
    """Adam with a rate that falls along a cosine; loss_of(logits, pictures, labels)."""
    loader = DataLoader(dataset, batch_size=args.batch_size, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs * len(loader)))
    with Progress(epochs * len(loader), label) as bar:
        for _ in range(epochs):
            for pictures, labels in loader:
                optimizer.zero_grad()
                loss = loss_of(model(pictures), pictures, labels)
                loss.backward()
                optimizer.step()
                scheduler.step()
                if after_step:
                    after_step()
                bar.update(1, loss=loss)
    return model


def from_labels(logits, pictures, labels):
    return F.cross_entropy(logits, labels)


def from_teacher(teacher, temperature, alpha):
    """The loss of distillation. T^2 keeps the gradients' size the same for every T."""

    def loss_of(logits, pictures, labels):
        with gs.no_grad():
            wanted = (teacher(pictures) / temperature).softmax(1)
        near = F.kl_div(F.log_softmax(logits / temperature, 1), wanted, reduction="batchmean")
        return alpha * temperature**2 * near + (1 - alpha) * F.cross_entropy(logits, labels)

    return loss_of


def prunable(model):
    """Weights, no biases: these are few and do much."""
    return [p for p in model.parameters() if p.dim() > 1]


def smallest(weights, sparsity):
    """For each tensor 1 where it stays and 0 for the `sparsity` smallest values of all together."""
    sizes = gs.cat([w.detach().abs().flatten() for w in weights])
    threshold = sizes.sort()[0][int(sparsity * sizes.numel()) - 1]
    return [(w.detach().abs() > threshold).float() for w in weights]


def cut(weights, masks):
    with gs.no_grad():
        for weight, mask in zip(weights, masks, strict=True):
            weight.mul_(mask)


def accuracy(model, dataset):
    model.eval()
    with gs.no_grad():
        correct = sum(
            (model(pictures).argmax(1) == labels).sum().item()
            for pictures, labels in DataLoader(dataset, batch_size=500)
        )
    model.train()
    return correct / len(dataset)


def draw(path, students, teacher, pruned, weights):
    """The three accuracies, accuracy over sparsity, and the weights that are left in a layer."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    names, values = ["teacher", *students], [teacher, *students.values()]
    bars = left.bar(names, [100 * v for v in values], color=["gray", "tab:blue", "tab:orange"])
    left.bar_label(bars, fmt="%.2f")
    left.set_ylim(100 * min(values) - 1, 100 * max(values) + 1.5)
    left.set(ylabel="test accuracy (%)", title="a student alone, and taught")
    percent = [100 * s for s in pruned]
    for at, name in enumerate(("only cut", "trained on")):
        middle.plot(percent, [100 * v[at] for v in pruned.values()], marker="o", label=name)
    middle.axhline(100 * teacher, color="gray", ls="--", label="whole teacher")
    middle.set(xlabel="weights pruned (%)", ylabel="test accuracy (%)", title="pruning")
    middle.legend()
    middle.grid(alpha=0.3)
    right.hist(weights[weights != 0], bins=120, color="tab:green")
    right.set(xlabel="weight", ylabel="number", title=f"what {max(pruned):.0%} pruned leaves")
    figure.savefig(path, dpi=75)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    train_set, test_set = load(args.data, "train", args.limit), load(args.data, "t10k")

    teacher = train(make_teacher(), train_set, args.epochs, args, "teacher", from_labels)
    top = accuracy(teacher, test_set)
    first = make_student(args.hidden)
    few = TensorDataset(*(t[: args.few or len(t)] for t in train_set.tensors))
    lessons = {
        "student alone": from_labels,
        "distilled": from_teacher(teacher, args.temperature, args.alpha),
    }
    students = {}
    for name, loss_of in lessons.items():
        gs.manual_seed(args.seed + 1)  # the same order of pictures for both
        student = train(copy.deepcopy(first), few, args.lessons, args, name, loss_of)
        students[name] = accuracy(student, test_set)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (teacher, first)]
    print(
        f"the teacher has {sizes[0]:,} parameters and saw {len(train_set):,} pictures, the student "
        f"{sizes[1]:,} and {len(few):,}"
    )

    model, pruned = teacher, {}
    for sparsity in SPARSITIES:  # little by little, on the same network
        weights = prunable(model)
        masks = smallest(weights, sparsity)
        cut(weights, masks)
        before = accuracy(model, test_set)
        label = f"{sparsity:.0%} pruned"
        train(
            model, train_set, args.tune, args, label, from_labels,
            lambda weights=weights, masks=masks: cut(weights, masks),
        )  # fmt: skip
        pruned[sparsity] = (before, accuracy(model, test_set))
        print(f"{label}: {100 * before:.2f} %, trained on {100 * pruned[sparsity][1]:.2f} %")
        left = sum((w == 0).sum().item() for w in weights) / sum(w.numel() for w in weights)
        if abs(left - sparsity) > 0.01:
            sys.exit(f"distill_prune: {left:.2%} of the weights are 0, expected {sparsity:.0%}")

    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / "distill_prune.png"
    kept = gs.cat([w.detach().flatten() for w in prunable(model)]).numpy()
    try:
        draw(picture, students, top, pruned, kept)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    chosen = 0.95
    before, after = pruned[chosen]
    scores = ", ".join(f"{name} {100 * value:.2f} %" for name, value in students.items())
    print(
        f"teacher {100 * top:.2f} %, {scores}; {chosen:.0%} of the weights pruned "
        f"{100 * after:.2f} %, before training on {100 * before:.2f} %"
    )


if __name__ == "__main__":
    main()
