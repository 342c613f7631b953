"""Matrix products: square, skinny, transposed, batched, double."""

from . import Case, both, of_module


def product(m, k, n, transposed="", dtype="float32", batch=()):
    """(m, k) @ (k, n); "a" or "b" in `transposed`: that operand is a transposed view."""

    def make(T):
        def operand(rows, columns, flip):
            shape = (*batch, columns, rows) if flip else (*batch, rows, columns)
            t = T.randn(*shape, dtype=getattr(T, dtype))
            return t.transpose(-2, -1) if flip else t

        a, b = operand(m, k, "a" in transposed), operand(k, n, "b" in transposed)
        return lambda: a @ b

    return make


def linear(n, inputs, outputs):
    def of(train):
        return of_module(lambda T: T.nn.Linear(inputs, outputs), (n, inputs), train)

    return both(f"linear/{n}x{inputs}x{outputs}", of, 2.0 * n * inputs * outputs)


CASES = [
    *(
        Case(f"gemm/{n}", product(n, n, n), 2.0 * n**3)
        for n in (16, 32, 64, 128, 256, 512, 1024, 2048)
    ),
    *(
        Case(f"gemm/{m}x{k}x{n}", product(m, k, n), 2.0 * m * k * n)
        for m, k, n in (
            (32, 10, 128),
            (1, 4096, 4096),
            (16, 1024, 1024),
            (4096, 4096, 64),
            (32, 784, 128),
            (128, 1600, 128),
            (2048, 256, 768),
        )
    ),
    *(
        Case(f"gemm/512{kind}", product(512, 512, 512, kind), 2.0 * 512**3)
        for kind in ("a", "b", "ab")
    ),
    Case("gemm/512-float64", product(512, 512, 512, dtype="float64"), 2.0 * 512**3),
    Case("bmm/96x128x64x128", product(128, 64, 128, batch=(96,)), 2.0 * 96 * 128 * 64 * 128),
    Case("bmm/512x16x16x16", product(16, 16, 16, batch=(512,)), 2.0 * 512 * 16**3),
    *linear(8, 1024, 1024),
    *linear(32, 784, 128),
    *linear(2048, 256, 1024),
]
