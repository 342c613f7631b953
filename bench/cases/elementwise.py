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
    Case("cast/1e7-float64", on_input((10_000_000,), lambda T, x: x.double()), bytes=12e7),
    Case(
        "cat/2x1024x1024", on_input((1024, 1024), lambda T, x: T.cat([x, x])), bytes=16.0 * 1024**2
    ),
]
