"""Write the first images of MNIST as a smaller data set in the same format.

    python examples/data/make_mnist_subset.py FOLDER_WITH_THE_FOUR_FILES

reads `train-images-idx3-ubyte.gz` and its three companions and writes files of the same names, with
the first 10,000 training and 2,000 test images, to `examples/data/mnist10k`. The same input gives
the same bytes: the gzip header carries no time and no name.
"""

from __future__ import annotations

import argparse
import gzip
import struct
from pathlib import Path

COUNTS = {"train": 10_000, "t10k": 2_000}
IMAGES_MAGIC = 0x00000803
LABELS_MAGIC = 0x00000801


def first_items(data: bytes, magic: int, count: int) -> bytes:
    """The IDX file `data` cut to its first `count` items."""
    found, total = struct.unpack(">II", data[:8])
    if found != magic:
        raise ValueError(f"expected an IDX file with magic {magic:#010x}, got {found:#010x}")
    if total < count:
        raise ValueError(f"expected at least {count} items, got {total}")
    rows_and_columns = data[8:16] if magic == IMAGES_MAGIC else b""
    item_size = 1
    for size in struct.unpack(f">{len(rows_and_columns) // 4}I", rows_and_columns):
        item_size *= size
    start = 8 + len(rows_and_columns)
    header = struct.pack(">II", magic, count) + rows_and_columns
    return header + data[start : start + count * item_size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with the four MNIST .gz files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "mnist10k")
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    for part, count in COUNTS.items():
        for kind, magic in (("images-idx3", IMAGES_MAGIC), ("labels-idx1", LABELS_MAGIC)):
            name = f"{part}-{kind}-ubyte.gz"
            data = gzip.decompress((arguments.source / name).read_bytes())
            packed = gzip.compress(first_items(data, magic, count), compresslevel=9, mtime=0)
            (arguments.out / name).write_bytes(packed)
            print(f"{name}: {count} items, {len(packed):,} bytes")


if __name__ == "__main__":
    main()
