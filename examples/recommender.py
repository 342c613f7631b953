"""Predict the ratings that are missing from a table, by matrix factorisation.

    python examples/recommender.py

The table is made here, so that the truth is known: every user and every item has a hidden vector of
--rank tastes, a rating is 3 + the user's and the item's own offset + the dot product of the
vectors + noise, and only a small part of all ratings is seen. The model has the same form with
learned vectors (two nn.Embedding tables; Koren, Bell and Volinsky, Computer 42(8), 2009) and is
trained with AdamW on the squared error. Nothing can predict the noise, so its deviation is the
floor of the error; the mean of all ratings is what a model that knows nobody would say. It ends
with a line `test RMSE: N.NNN (noise floor N.NNN, mean predictor N.NNN)` and a picture
(recommender.png) in --output.
"""

import argparse
import time
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Progress
from gradstone.utils.data import DataLoader, TensorDataset, random_split


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--items", type=int, default=600, help="default: %(default)s")
    parser.add_argument("--rank", type=int, default=4, help="hidden tastes (default: %(default)s)")
    parser.add_argument("--seen", type=float, default=0.12, help="part of the table that is rated")
    parser.add_argument("--noise", type=float, default=0.3, help="deviation (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=512, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=0.01, help="default: %(default)s")
    parser.add_argument(
        "--decay", type=float, default=0.01, help="weight decay (default: %(default)s)"
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


def make_ratings(args):
    """(user, item, rating) of the ratings that are seen, and the true table without its noise."""
    users = gs.randn(args.users, args.rank) * args.rank**-0.25
    items = gs.randn(args.items, args.rank) * args.rank**-0.25
    offsets = 0.3 * gs.randn(args.users, 1) + 0.3 * gs.randn(1, args.items)
    truth = 3 + offsets + users @ items.T
    rated = gs.nonzero(gs.rand(args.users, args.items) < args.seen)
    user, item = rated[:, 0], rated[:, 1]
    rating = truth[user, item] + args.noise * gs.randn(len(rated))
    return TensorDataset(user, item, rating), truth


class Factors(nn.Module):
    """(B,) users and (B,) items, int64 -> (B,) ratings."""

    def __init__(self, users, items, rank, mean):
        super().__init__()
        self.user, self.item = nn.Embedding(users, rank), nn.Embedding(items, rank)
        self.user_offset, self.item_offset = nn.Embedding(users, 1), nn.Embedding(items, 1)
        self.register_buffer("mean", gs.tensor(mean))
        # Small vectors: all dot products start near zero, every rating near the mean. Not zero,
        # where the gradients of both factors vanish.
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.1)
        for table in (self.user_offset, self.item_offset):
            nn.init.zeros_(table.weight)

    def forward(self, user, item):
        taste = (self.user(user) * self.item(item)).sum(1)
        return self.mean + self.user_offset(user)[:, 0] + self.item_offset(item)[:, 0] + taste

    def table(self):
        """All ratings, (users, items)."""
        taste = self.user.weight @ self.item.weight.T
        return self.mean + self.user_offset.weight + self.item_offset.weight.T + taste


def rmse(model, dataset):
    """Root of the mean squared error over a data set."""
    user, item, rating = dataset[:]
    with gs.no_grad():
        return nn.functional.mse_loss(model(user, item), rating).sqrt().item()


def train(model, train_set, test_set, args):
    """Returns the RMSE on the training and the test ratings after every epoch."""
    loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True)
    # Weight decay pulls the vectors of users with few ratings towards zero, that is to the mean.
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.decay)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    history = {"train": [], "test": []}
    with Progress(args.epochs, "training") as bar:
        for _ in range(args.epochs):
            for user, item, rating in loader:
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(user, item), rating)
                loss.backward()
                optimizer.step()
            scheduler.step()
            history["train"].append(rmse(model, train_set))
            history["test"].append(rmse(model, test_set))
            bar.update(1, train=history["train"][-1], test=history["test"][-1])
    return history


def draw(path, history, noise, baseline, truth, learned):
    """Error by epoch between its two limits, and a corner of the true and the learned table."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    epochs = range(1, len(history["test"]) + 1)
    for name, values in history.items():
        axes[0].plot(epochs, values, marker=".", label=name)
    axes[0].axhline(baseline, color="gray", linestyle=":", label="mean predictor")
    axes[0].axhline(noise, color="black", linestyle="--", label="noise floor")
    axes[0].set(xlabel="epoch", ylabel="RMSE", title="error of the ratings", ylim=(0, None))
    axes[0].legend()
    for axis, table, title in zip(axes[1:], (truth, learned), ("truth", "learned"), strict=True):
        corner = table[:40, :40].numpy()
        image = axis.imshow(corner, cmap="RdBu", vmin=0, vmax=6)
        axis.set(title=f"{title}: 40 users, 40 items", xlabel="item", ylabel="user")
    figure.colorbar(image, ax=axes[1:], label="rating")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    ratings, truth = make_ratings(args)
    held_out = len(ratings) // 10
    train_set, test_set = random_split(ratings, [len(ratings) - held_out, held_out])
    values = train_set[:][2]
    print(
        f"{args.users} users, {args.items} items, {len(ratings):,} ratings "
        f"({100 * len(ratings) / truth.numel():.0f} % of the table), {held_out:,} of them held out"
    )

    model = Factors(args.users, args.items, args.rank, values.mean().item())
    start = time.perf_counter()
    history = train(model, train_set, test_set, args)
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    user, item, rating = test_set[:]
    floor = (rating - truth[user, item]).square().mean().sqrt().item()
    baseline = (rating - values.mean()).square().mean().sqrt().item()
    with gs.no_grad():
        learned = model.table()
    away = (learned - truth).square().mean().sqrt().item()
    print(f"the whole table, rated or not, is {away:.3f} (RMS) away from the truth")
    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / "recommender.png"
    try:
        draw(picture, history, floor, baseline, truth, learned)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    score = history["test"][-1]
    print(f"test RMSE: {score:.3f} (noise floor {floor:.3f}, mean predictor {baseline:.3f})")


if __name__ == "__main__":
    main()
