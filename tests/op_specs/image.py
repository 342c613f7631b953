"""Batches of uint8 images."""

from __future__ import annotations

import numpy as np

from op_specs.spec import Fixed, Sample, Spec, bad, flags, integers, normal


def image_batch(images, index, table, size, corners=None, flip=None, fill=0):
    n, (c, h, w) = len(index), images.shape[1:]
    out = np.empty((n, c, *size))
    for i in range(n):
        top, left = (0, 0) if corners is None else corners[i]
        rows, columns = np.arange(size[0]) + top, np.arange(size[1]) + left
        if flip is not None and flip[i]:
            columns = columns[::-1]
        inside = ((rows >= 0) & (rows < h))[:, None] & ((columns >= 0) & (columns < w))
        window = images[index[i]][:, rows.clip(0, h - 1)][:, :, columns.clip(0, w - 1)]
        seen = np.where(inside, window, fill)
        out[i] = table[np.arange(c)[:, None, None], seen]
    return out


def samples():
    for n, c, h, w, size in ((5, 1, 9, 17, (9, 17)), (7, 3, 4, 5, (4, 5)), (3, 2, 6, 6, (3, 9))):
        images = Fixed(integers(0, 256, 4, c, h, w, dtype="uint8"))
        at, table = Fixed(integers(0, 4, n)), normal(c, 256)
        corners, mirrored = Fixed(integers(-4, 5, n, 2)), Fixed(flags(n))
        yield Sample(images, at, table, size)
        yield Sample(images, at, table, size, corners, mirrored, 7)
        yield Sample(images, at, table, size, corners)
        yield Sample(images, at, table, size, None, mirrored)
    none = Fixed(np.zeros((0, 3, 2, 2), np.uint8))
    yield Sample(none, Fixed(np.zeros(0, np.int64)), normal(3, 256), (2, 2))
    empty = Fixed(np.zeros((2, 0, 2, 2), np.uint8))
    yield Sample(empty, Fixed(np.arange(2)), normal(0, 256), (0, 2))


IMAGES, TWO, TABLE = np.zeros((4, 3, 5, 5), np.uint8), np.arange(2), np.zeros((3, 256))
SIZE = (5, 5)

ROWS = [
    Spec(
        "_image_batch",
        image_batch,
        samples,
        dtypes=("float32",),
        bound=0.0,
        errors=(
            bad(IndexError, "out of range", IMAGES, np.array([4]), TABLE, SIZE),
            bad(TypeError, "uint8", IMAGES.astype(np.float64), TWO, TABLE, SIZE),
            bad(ValueError, r"\(N, C, H, W\)", IMAGES[0], TWO, TABLE, SIZE),
            bad(ValueError, "table of shape", IMAGES, TWO, TABLE[:1], SIZE),
            bad(TypeError, "table of dtype", IMAGES, TWO, TABLE, SIZE, dtype="float64"),
            bad(ValueError, "size", IMAGES, TWO, TABLE, (5, -1)),
            bad(ValueError, "fill", IMAGES, TWO, TABLE, SIZE, None, None, 256),
            bad(ValueError, "corners", IMAGES, TWO, TABLE, SIZE, np.zeros((3, 2), int)),
            bad(IndexError, "corner", IMAGES, TWO, TABLE, SIZE, np.full((2, 2), 2**40)),
            bad(ValueError, "flip", IMAGES, TWO, TABLE, SIZE, None, np.zeros(3, bool)),
            bad(TypeError, "flip", IMAGES, TWO, TABLE, SIZE, None, TWO),
        ),
    ),
]
