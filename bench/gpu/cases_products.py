"""Matrix products: 16-bit, TF32, float32, float32 by three TF32 products, large and skinny."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from libraries import Library
from rows import Class, Row, same, turns

SIZES_OF = {"float32": 4, "bfloat16": 2, "float16": 2}
SHORT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def product(m: int, n: int, k: int, dtype: str, order: str = "nn", how: str = "exact"):
    """C (m x n) = A (m x k) B (k x n); t in `order`: that operand is a transposed view."""

    def make(lib: Library) -> list[Any]:
        lib.float32_products(how)

        def operand(rows: int, columns: int, flip: bool) -> Any:
            x = lib.randn(*((columns, rows) if flip else (rows, columns)), dtype=dtype)
            return x.transpose(0, 1) if flip else x

        def one() -> Any:
            a, b = operand(m, k, order[0] == "t"), operand(k, n, order[1] == "t")
            return lambda: a @ b

        return turns(lib, SIZES_OF[dtype] * (m * k + k * n + m * n), one)

    return make


def row(m, n, k, dtype, order, goal, how="exact", theirs_how=None, peak="", quick=False) -> Row:
    name = f"{SHORT[dtype]} {m}x{n}x{k} {order}"
    ours = product(m, n, k, dtype, order, how)
    theirs = product(m, n, k, dtype, order, theirs_how or how)
    size = SIZES_OF[dtype]
    return Row(
        name, {"": ours}, {"": theirs}, [("", "", goal)], 2.0 * m * n * k,
        size * float(m * k + k * n + m * n), peak=peak, quick=quick,
    )  # fmt: skip


def linear(m: int, n: int, k: int, dtype: str):
    """x W^T + b, one call: what a layer does with few rows."""

    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            x, w, b = (
                lib.randn(m, k, dtype=dtype),
                lib.randn(n, k, dtype=dtype),
                lib.randn(n, dtype=dtype),
            )
            return lambda: lib.F.linear(x, w, b)

        return turns(lib, SIZES_OF[dtype] * (m * k + k * n + m * n), one)

    return make


def batched(batch: int, m: int, n: int, k: int, dtype: str):
    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            a, b = lib.randn(batch, m, k, dtype=dtype), lib.randn(batch, k, n, dtype=dtype)
            return lambda: a @ b

        return turns(lib, SIZES_OF[dtype] * batch * (m * k + k * n + m * n), one)

    return make


def errors(lib: Library, n: int, how: str) -> float:
    """The largest error of a product of numbers in [-1, 1], over the root of k, against float64."""
    import numpy as np

    lib.float32_products(how)
    rng = np.random.default_rng(7)
    a, b = (rng.uniform(-1, 1, (n, n)).astype(np.float32) for _ in range(2))
    there = [lib.T.tensor(x).to(lib.device) for x in (a, b)]
    got = (there[0] @ there[1]).cpu().numpy().astype(np.float64)
    want = a.astype(np.float64) @ b.astype(np.float64)
    return float(np.abs(got - want).max() / np.sqrt(n))


def classes(tiny: bool) -> list[Class]:
    if tiny:
        large, fp32, skinny = [32], [24], [(1, 24, 16), (16, 16, 16)]
    else:
        large, fp32 = [2048, 4096, 8192], [2048, 4096, 8192]
        skinny = [
            (1, 4096, 4096), (16, 4096, 4096), (64, 4096, 4096), (256, 4096, 4096),
            (128, 8192, 2048), (512, 512, 512), (1024, 1024, 1024),
        ]  # fmt: skip
    first = large[-1] if tiny else 4096
    sixteen = [
        row(n, n, n, dtype, order, 0.95, peak="bf16", quick=order == "nn" and dtype == "bfloat16")
        for dtype in ("bfloat16", "float16")
        for n in large
        for order in ("nn", "nt", "tn")
        if dtype == "bfloat16" or (n == first)
    ]
    few = [
        row(m, n, k, "bfloat16", "nt", 1.10, peak="bf16", quick=m in (1, 16, 64))
        for m, n, k in skinny
    ]
    m, n, k = skinny[0] if tiny else (128, 8192, 2048)
    few.append(
        Row(f"bf16 linear {m}x{n}x{k} with bias", **same(linear(m, n, k, "bfloat16"), 1.10),
            flops=2.0 * m * n * k, peak="bf16")
    )  # fmt: skip
    batch = (4, 16, 16, 16) if tiny else (192, 512, 512, 64)
    few.append(
        Row("bf16 batch of {} {}x{}x{}".format(*batch), **same(batched(*batch, "bfloat16"), 1.10),
            flops=2.0 * batch[0] * batch[1] * batch[2] * batch[3], peak="bf16")
    )  # fmt: skip
    orders = ("nn", "nt", "tn")
    tf32 = [
        row(n, n, n, "float32", order, 0.90, "tf32", peak="tf32", quick=order == "nn")
        for n in fp32 for order in orders if order == "nn" or n == fp32[-1]
    ]  # fmt: skip
    exact = [
        row(n, n, n, "float32", order, 0.97, peak="fp32", quick=order == "nn" and n != 8192)
        for n in fp32 for order in orders if order == "nn" or n == fp32[0]
    ]  # fmt: skip
    three = [
        row(n, n, n, "float32", order, 2.0, "3xtf32", "exact", peak="tf32", quick=n != 8192)
        for n in fp32 for order in ("nn", "nt") if order == "nn" or n == fp32[0]
    ]  # fmt: skip
    n = 24 if tiny else 2048
    three[0] = replace(
        three[0], error_goal=2.0,
        error=lambda lib: errors(lib, n, "exact" if lib.is_torch else "3xtf32"),
    )  # fmt: skip
    return [
        Class("gemm-16", "16-bit matrix products, 2048 to 8192", "PyTorch 555 to 798 TFLOP/s",
              sixteen, "and 1.00 or more at two shapes"),
        Class("gemm-few", "bf16 matrix products of few rows, or small", "launch and memory", few),
        Class("gemm-tf32", "TF32 matrix products", "400 to 418 TFLOP/s", tf32),
        Class("gemm-fp32", "float32 matrix products, exact", "45 to 50 TFLOP/s", exact),
        Class("gemm-3xtf32", "float32 by three TF32 products, against PyTorch's default",
              "139 TFLOP/s, a third of TF32's", three,
              "and an error of at most twice cuBLAS's float32"),
    ]  # fmt: skip
