"""``gradstone demo``: a small network learns to read digits, in seconds."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import gradstone as gs
from gradstone import nn, optim
from gradstone._C import Tensor
from gradstone.cli.digits import make_digits
from gradstone.cli.errors import UserError, first_line, positive, thread_count, whole
from gradstone.utils.data import DataLoader, TensorDataset

_EXAMPLES = """\
examples:
  gradstone demo                    digits that the program draws itself
  gradstone demo --data ./mnist     handwritten digits: MNIST's four IDX files, gzipped or not
  gradstone demo --epochs 5 --seed 1
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="train a small network on pictures of digits, in seconds",
        description="Trains a small convolutional network on pictures of digits and shows what it "
        "reads in a few that it has not seen.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder with MNIST's files")
    parser.add_argument("--epochs", type=positive, default=5, help="default: %(default)s")
    parser.add_argument("--seed", type=whole(0, 2**63 - 1), default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=thread_count, help="default: all CPUs")
    parser.set_defaults(run=run)


def _load(folder: Path | None, seed: int) -> tuple[TensorDataset, TensorDataset]:
    """Images to train on and to test on: 10,000 and 2,000 at most."""
    if folder is None:
        return (
            TensorDataset(*make_digits(8000, seed)),
            TensorDataset(*make_digits(1000, seed + 1)),
        )
    from gradstone.vision.datasets import MNIST

    parts = []
    for train, count in ((True, 10_000), (False, 2_000)):
        try:
            digits = MNIST(folder, train=train)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"no MNIST in {str(folder)!r}: {first_line(error)}") from error
        images = digits.data[:count].float().unsqueeze(1) / 255
        parts.append(TensorDataset(images, digits.targets[:count]))
    return parts[0], parts[1]


def _network(size: int) -> nn.Sequential:
    """(B, 1, size, size) -> (B, 10) scores."""
    after = size // 4  # halved twice
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * after * after, 10),
    )  # fmt: skip


def _read(model: nn.Module, images: Tensor) -> Tensor:
    """The digit that the network sees in each image."""
    model.eval()
    with gs.no_grad():
        return gs.cat([model(part).argmax(1) for part in images.split(500)])


def picture(images: Tensor) -> str:
    """Images (n, 1, H, W) in a row, as characters."""
    shades = " .:-=+*#%@"
    levels = (images.clamp(0, 1) * (len(shades) - 1)).round().long().squeeze(1)
    return "\n".join(
        "  ".join("".join(shades[v] for v in line) for line in rows)
        for rows in levels.transpose(0, 1).tolist()
    )


def run(args: argparse.Namespace) -> None:
    if args.threads is not None:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    train_set, test_set = _load(args.data, args.seed)
    images, labels = test_set.tensors
    model = _network(images.size(-1))
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()
    loader = DataLoader(train_set, batch_size=32, shuffle=True)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    count = sum(p.numel() for p in model.parameters())
    print(f"{len(train_set):,} images of {images.size(-1)} x {images.size(-1)}, {count:,} weights")
    accuracy = (_read(model, images) == labels).float().mean().item()
    print(f"untrained    test accuracy {100 * accuracy:6.2f} %")
    for epoch in range(1, args.epochs + 1):
        model.train()
        start, total = time.perf_counter(), 0.0
        for batch, target in loader:
            optimizer.zero_grad()
            loss = criterion(model(batch), target)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(target)
        rate = len(train_set) / (time.perf_counter() - start)
        accuracy = (_read(model, images) == labels).float().mean().item()
        print(
            f"epoch {epoch}/{args.epochs}  test accuracy {100 * accuracy:6.2f} %  "
            f"loss {total / len(train_set):.4f}  {rate:,.0f} images/s",
            flush=True,
        )
    shown = 78 // (images.size(-1) + 2)  # as many as fit into a line
    print(picture(images[:shown]))
    print("read as " + ", ".join(map(str, _read(model, images[:shown]).tolist())), end="; ")
    print("they are " + ", ".join(map(str, labels[:shown].tolist())))
    print(f"test accuracy: {100 * accuracy:.2f} %")
