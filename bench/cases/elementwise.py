"""Maps over 1,000 and 10,000,000 elements, broadcasting, copies."""

from . import Case, on_input

FUNCTIONS = {
    "relu": lambda T, x: T.relu(x),
    "gelu": lambda T, x: T.nn.functional.gelu(x),
    "exp": lambda T, x: T.exp(x),
    "log": lambda T, x: T.log(x),
    "tanh": lambda T, x: T.tanh(x),
    "sigmoid": lambda T, x: T.sigmoid(x),
    "sqrt": lambda T, x: T.sqrt(x),
    "add": lambda T, x: x + x,
    "mul-number": lambda T, x: x * 2.5,
}
SIZES = (("1e3", 1_000), ("1e7", 10_000_000))


def moved(name, size):
    return 4.0 * size * (3 if name == "add" else 2)


def add_row(T):
    x, row = T.randn(4096, 1024), T.randn(1024)
    return lambda: x + row


def add_column(T):
    x, column = T.randn(4096, 1024), T.randn(4096, 1)
    return lambda: x + column


def where_broadcast(T):
    x, mask, row = T.randn(512, 128, 128), T.randn(128, 128) > 0, T.randn(128)
    return lambda: T.where(mask, x, row)


def channel_scale(T):
    x, scale = T.randn(32, 64, 56, 56), T.randn(64, 1, 1)
    return lambda: x * scale


def cat_narrow(T):
    parts = [T.randn(100_000, 4) for _ in range(4)]
    return lambda: T.cat(parts, 1)


def cat_channels(T):
    x, y = T.randn(32, 64, 28, 28), T.randn(32, 32, 28, 28)
    return lambda: T.cat([x, y], 1)


CASES = [
    *(
        Case(f"{name}/{text}", on_input((size,), function), bytes=moved(name, size))
        for name, function in FUNCTIONS.items()
        for text, size in SIZES
    ),
    Case("add-row/4096x1024", add_row, bytes=8.0 * 4096 * 1024),
    Case("add-column/4096x1024", add_column, bytes=8.0 * 4096 * 1024),
    Case(
        "transpose-copy/2048x2048",
        on_input((2048, 2048), lambda T, x: x.t().contiguous()),
        bytes=8.0 * 2048**2,
    ),
    Case(
        "permute-copy/16x128x8x32",
        on_input((16, 128, 8, 32), lambda T, x: x.transpose(1, 2).contiguous()),
        bytes=8.0 * 16 * 128 * 256,
    ),
    Case(
        "channels-last-copy/32x64x28x28",
        on_input((32, 64, 28, 28), lambda T, x: x.permute(0, 2, 3, 1).contiguous()),
        bytes=8.0 * 32 * 64 * 784,
    ),
    Case("cast/1e7-float64", on_input((10_000_000,), lambda T, x: x.double()), bytes=12e7),
    Case(
        "cat/2x1024x1024", on_input((1024, 1024), lambda T, x: T.cat([x, x])), bytes=16.0 * 1024**2
    ),
    Case("cat/4x100000x4-1", cat_narrow, bytes=8.0 * 16e5),
    Case("cat/32x64+32x28x28-1", cat_channels, bytes=8.0 * 32 * 96 * 784),
    Case("where/512x128x128", where_broadcast, bytes=8.0 * 512 * 128**2),
    Case("mul-channel/32x64x56x56", channel_scale, bytes=8.0 * 32 * 64 * 56**2),
]
