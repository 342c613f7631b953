"""What Trainer.fit costs over the loop written by hand, on the CNN of examples/mnist_cnn.py.

    python bench/trainer_overhead.py            ratio of the two, and the same weights at the end
    python bench/trainer_overhead.py --steps 5000

Two copies of the network train on the same batches of 32 random images, in one process and on one
thread: one step by hand, one step of fit, by turns, so that what disturbs the machine disturbs
both; times are the processor's. The step by hand is the barest there is: it reads no loss and shows
nothing. Loading, which is the same for both, is in neither. The ratio is that of the median times
of a step. It ends with 1 when the weights differ or when fit takes more than --limit.
"""

import argparse
import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import process_time

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Trainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from mnist_cnn import ConvNet  # noqa: E402

WARM_UP = 20  # steps that are not counted


class Turns:
    """The batches for fit; before each is handed out, a step by hand is done with it."""

    def __init__(self, model: nn.Module, steps: int) -> None:
        self.model = model
        self.steps = steps
        self.by_hand: list[float] = []
        self.by_fit: list[float] = []

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[gs.Tensor, gs.Tensor]]:
        model, criterion = self.model, nn.CrossEntropyLoss()
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        model.train()
        for _ in range(self.steps):
            images, labels = gs.randn(32, 1, 28, 28), gs.randint(0, 10, (32,))
            start = process_time()
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            self.by_hand.append(process_time() - start)
            start = process_time()
            yield images, labels
            self.by_fit.append(process_time() - start)


def same_bits(one: nn.Module, other: nn.Module) -> bool:
    """Whether all tensors of the two are equal."""
    return all(
        a.numpy().tobytes() == b.numpy().tobytes()
        for a, b in zip(one.state_dict().values(), other.state_dict().values())
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--limit", type=float, default=1.03, help="ratio (default: %(default)s)")
    parser.add_argument("--unchecked", action="store_true", help="fit with check_finite=False")
    args = parser.parse_args()
    gs.set_num_threads(args.threads)
    gs.manual_seed(0)
    hand = ConvNet()
    fit = copy.deepcopy(hand)
    turns = Turns(hand, args.steps + WARM_UP)
    trainer = Trainer(
        fit,
        optim.Adam(fit.parameters(), lr=1e-3),
        nn.CrossEntropyLoss(),
        progress=False,
        check_finite=not args.unchecked,
    )
    trainer.fit(turns, 1)
    by_hand, by_fit = median(turns.by_hand[WARM_UP:]), median(turns.by_fit[WARM_UP:])
    same = same_bits(hand, fit)
    print(f"a step by hand {1e3 * by_hand:.3f} ms, of fit {1e3 * by_fit:.3f} ms")
    print(f"fit / by hand: {by_fit / by_hand:.4f}")
    print(f"weights: {'the same bits' if same else 'DIFFERENT'}")
    if not same or by_fit > args.limit * by_hand:
        sys.exit(1)


if __name__ == "__main__":
    main()
