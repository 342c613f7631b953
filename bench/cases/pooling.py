"""Pooling windows."""

from . import both, on_input

IMAGE = (64, 64, 56, 56)
BYTES = 4.0 * 64 * 64 * 56 * 56


def pool(name, shape, function, nbytes):
    return both(name, lambda train: on_input(shape, function, train), nbytes=nbytes, factor=2)


CASES = [
    *pool(
        "max_pool2d/64x64x56x56-2",
        IMAGE,
        lambda T, x: T.nn.functional.max_pool2d(x, 2),
        1.25 * BYTES,
    ),
    *pool(
        "avg_pool2d/64x64x56x56-2",
        IMAGE,
        lambda T, x: T.nn.functional.avg_pool2d(x, 2),
        1.25 * BYTES,
    ),
    *pool(
        "max_pool2d/32x64x56x56-3s2p1",
        (32, 64, 56, 56),
        lambda T, x: T.nn.functional.max_pool2d(x, 3, 2, 1),
        1.25 * BYTES / 2,
    ),
    *pool(
        "max_pool2d/32x64x11x11-2",
        (32, 64, 11, 11),
        lambda T, x: T.nn.functional.max_pool2d(x, 2),
        1.25 * 4 * 32 * 64 * 121,
    ),
    *pool(
        "adaptive_avg_pool2d/32x512x7x7-1",
        (32, 512, 7, 7),
        lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, 1),
        4.0 * 32 * 512 * 49,
    ),
    *pool(
        "adaptive_avg_pool2d/32x1280x4x4-1",
        (32, 1280, 4, 4),
        lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, 1),
        4.0 * 32 * 1280 * 16,
    ),
    *pool(
        "adaptive_avg_pool2d/32x64x56x56-1",
        (32, 64, 56, 56),
        lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, 1),
        4.0 * 32 * 64 * 3136,
    ),
]
