"""Sums, extremes, running sums and orderings over the first, the last and all dimensions."""

from . import Case, on_input

SHAPE = (4096, 4096)
BYTES = 4.0 * 4096 * 4096

CASES = [
    Case("sum/4096x4096-0", on_input(SHAPE, lambda T, x: x.sum(0)), bytes=BYTES),
    Case("sum/4096x4096-1", on_input(SHAPE, lambda T, x: x.sum(1)), bytes=BYTES),
    Case("sum/4096x4096", on_input(SHAPE, lambda T, x: x.sum()), bytes=BYTES),
    *(
        Case(f"sum/{rows}x{width}-1", on_input((rows, width), lambda T, x: x.sum(1)), bytes=4e7)
        for rows, width in ((3_333_333, 3), (1_000_000, 10), (312_500, 32), (100_000, 100))
    ),
    Case("sum/128x64x28x28-0x2x3", on_input((128, 64, 28, 28), lambda T, x: x.sum((0, 2, 3)))),
    Case("sum/32x10-1", on_input((32, 10), lambda T, x: x.sum(1))),
    Case("mean/65536x32-1", on_input((65536, 32), lambda T, x: x.mean(1))),
    Case("argmax/65536x10-1", on_input((65536, 10), lambda T, x: x.argmax(1))),
    Case("var/65536x32-1", on_input((65536, 32), lambda T, x: x.var(1))),
    Case("max/4096x1000-1", on_input((4096, 1000), lambda T, x: x.max(1)), bytes=4.0 * 4096e3),
    Case(
        "argmax/4096x1000-1", on_input((4096, 1000), lambda T, x: x.argmax(1)), bytes=4.0 * 4096e3
    ),
    Case("var/4096x1000-1", on_input((4096, 1000), lambda T, x: x.var(1)), bytes=4.0 * 4096e3),
    Case("norm/1e7", on_input((10_000_000,), lambda T, x: x.norm()), bytes=4e7),
    Case(
        "cumsum/4096x1000-1", on_input((4096, 1000), lambda T, x: x.cumsum(1)), bytes=8.0 * 4096e3
    ),
    Case(
        "cumsum/4096x1000-0", on_input((4096, 1000), lambda T, x: x.cumsum(0)), bytes=8.0 * 4096e3
    ),
    Case("cumsum/1e6", on_input((1_000_000,), lambda T, x: x.cumsum(0)), bytes=8e6),
    Case("cumprod/4096x1000-1", on_input((4096, 1000), lambda T, x: x.cumprod(1))),
    Case("topk/4096x1000-5", on_input((4096, 1000), lambda T, x: x.topk(5, 1))),
    Case("topk/4096x1000-50", on_input((4096, 1000), lambda T, x: x.topk(50, 1))),
    Case("sort/1e6", on_input((1_000_000,), lambda T, x: x.sort())),
]
