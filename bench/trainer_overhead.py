"""What Trainer.fit costs over the loop written by hand, on the CNN of examples/mnist_cnn.py.

    python bench/trainer_overhead.py            ratio of the two, and the same weights at the end
    python bench/trainer_overhead.py --rounds 9 --batches 200

Both train the same network from the same weights on the same batches of 32 random images, by turns
in one process and on one thread. The loop is the barest there is: it reads no loss and shows
nothing. A round is the time of one and then of the other, as processor time, which other programs
on the machine disturb little; the ratio printed is that of the medians, with the quartiles of the
rounds. It ends with 1 when the weights differ or when fit takes more than --limit.
"""

import argparse
import copy
import sys
from pathlib import Path
from statistics import median, quantiles
from time import process_time

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Trainer
from gradstone.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from mnist_cnn import ConvNet  # noqa: E402


def by_hand(model, loader):
    """The loop as anybody writes it."""
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    start = process_time()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
    return process_time() - start


def by_fit(model, loader, options):
    """The same in one call."""
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), progress=False, **options)
    start = process_time()
    trainer.fit(loader, 1)
    return process_time() - start


def same_bits(one, other):
    """Whether all tensors of the two are equal."""
    return all(
        a.numpy().tobytes() == b.numpy().tobytes()
        for a, b in zip(one.state_dict().values(), other.state_dict().values())
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21, help="default: %(default)s")
    parser.add_argument("--batches", type=int, default=40, help="of a round (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--limit", type=float, default=1.03, help="ratio (default: %(default)s)")
    parser.add_argument("--unchecked", action="store_true", help="fit with check_finite=False")
    args = parser.parse_args()
    gs.set_num_threads(args.threads)
    gs.manual_seed(0)
    images = gs.randn(32 * args.batches, 1, 28, 28)
    data = TensorDataset(images, gs.randint(0, 10, (len(images),)))
    hand = ConvNet()
    fit = copy.deepcopy(hand)
    options = {"check_finite": not args.unchecked}
    times = []
    for turn in range(args.rounds + 1):
        gs.manual_seed(turn)
        loader = DataLoader(data, batch_size=32, shuffle=True)
        if turn % 2:
            first = by_hand(hand, loader)
            gs.manual_seed(turn)
            times.append((first, by_fit(fit, loader, options)))
        else:
            last = by_fit(fit, loader, options)
            gs.manual_seed(turn)
            times.append((by_hand(hand, loader), last))
    times = times[1:]  # the first round warms up
    ratio = median(f for _, f in times) / median(h for h, _ in times)
    low, _, high = quantiles(f / h for h, f in times)
    step = median(h for h, _ in times) / args.batches
    same = same_bits(hand, fit)
    print(f"by hand: {1e3 * step:.3f} ms a step")
    print(f"fit / by hand: {ratio:.4f} (half of the rounds: {low:.4f} to {high:.4f})")
    print(f"weights: {'the same bits' if same else 'DIFFERENT'}")
    if not same or ratio > args.limit:
        sys.exit(1)


if __name__ == "__main__":
    main()
