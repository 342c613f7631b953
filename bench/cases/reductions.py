"""Sums and extremes over the first, the last and all dimensions."""

from . import Case, on_input

SHAPE = (4096, 4096)
BYTES = 4.0 * 4096 * 4096

CASES = [
    Case("sum/4096x4096-0", on_input(SHAPE, lambda T, x: x.sum(0)), bytes=BYTES),
    Case("sum/4096x4096-1", on_input(SHAPE, lambda T, x: x.sum(1)), bytes=BYTES),
    Case("sum/4096x4096", on_input(SHAPE, lambda T, x: x.sum()), bytes=BYTES),
    Case("sum/1000000x10-1", on_input((1_000_000, 10), lambda T, x: x.sum(1)), bytes=4e7),
    Case("max/4096x1000-1", on_input((4096, 1000), lambda T, x: x.max(1)), bytes=4.0 * 4096e3),
    Case(
        "argmax/4096x1000-1", on_input((4096, 1000), lambda T, x: x.argmax(1)), bytes=4.0 * 4096e3
    ),
    Case("var/4096x1000-1", on_input((4096, 1000), lambda T, x: x.var(1)), bytes=4.0 * 4096e3),
    Case("norm/1e7", on_input((10_000_000,), lambda T, x: x.norm()), bytes=4e7),
    Case(
        "cumsum/4096x1000-1", on_input((4096, 1000), lambda T, x: x.cumsum(1)), bytes=8.0 * 4096e3
    ),
    Case("topk/4096x1000-5", on_input((4096, 1000), lambda T, x: x.topk(5, 1))),
    Case("sort/1e6", on_input((1_000_000,), lambda T, x: x.sort())),
]
