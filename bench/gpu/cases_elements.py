"""Elementwise operations, bias, reductions, pooling, copies; and chains of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libraries import Library
from rows import Class, Row, same, turns

BYTES = {"float32": 4, "bfloat16": 2}


def on(
    shape: tuple[int, ...], dtype: str, count: int, work: Callable[..., Any], vector: bool = False
):
    """work(lib, x, ...) over `count` tensors of the shape; with `vector` the last is of one row."""

    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            tensors = [lib.randn(*shape, dtype=dtype) for _ in range(count)]
            if vector:
                tensors.append(lib.randn(shape[-1], dtype=dtype))
            return lambda: work(lib, *tensors)

        numel = 1
        for n in shape:
            numel *= n
        return turns(lib, BYTES[dtype] * (count + 1.0) * numel, one)

    return make


def pooled(shape, kind: str, back: bool):
    """3x3 with steps of 2: windows that overlap."""

    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            x = lib.randn(*shape, dtype="bfloat16", grad=back)
            pool = getattr(lib.F, kind)
            if not back:
                return lambda: pool(x, 3, 2, 1)
            y = pool(x, 3, 2, 1)
            g = lib.randn(*y.shape, dtype="bfloat16")
            return lambda: lib.T.autograd.grad(y, x, g, retain_graph=True)

        return turns(lib, 4.0 * shape[0] * shape[1] * shape[2] * shape[3], one)

    return make


SIMPLE: list[tuple[str, int, Callable[..., Any], float]] = [
    # name, tensors, work, passes over memory
    ("copy", 1, lambda lib, x: x.clone(), 2),
    ("add", 2, lambda lib, x, y: x + y, 3),
    ("relu", 1, lambda lib, x: lib.T.relu(x), 2),
    ("gelu", 1, lambda lib, x: lib.F.gelu(x), 2),
    ("exp", 1, lambda lib, x: lib.T.exp(x), 2),
    ("to float32", 1, lambda lib, x: x.to(lib.T.float32), 3),
    ("sum of all", 1, lambda lib, x: x.sum(), 1),
    ("sum of columns", 1, lambda lib, x: x.sum(0), 1),
    ("sum of rows", 1, lambda lib, x: x.sum(1), 1),
    ("maximum of rows", 1, lambda lib, x: x.amax(1), 1),
    ("transposed copy", 1, lambda lib, x: x.transpose(0, 1).contiguous(), 2),
]


def classes(tiny: bool) -> list[Class]:
    shape = (24, 40) if tiny else (16384, 4096)
    image = (2, 3, 9, 9) if tiny else (64, 64, 112, 112)
    numel, pixels = float(shape[0] * shape[1]), float(image[0] * image[1] * image[2] * image[3])
    rows = [
        Row(f"{name} bf16 {shape[0]}x{shape[1]}", **same(on(shape, "bfloat16", count, work), 1.0),
            bytes=2 * passes * numel, quick=name in ("add", "gelu", "sum of all"))
        for name, count, work, passes in SIMPLE
    ]  # fmt: skip
    rows += [
        Row(f"{name} fp32 {shape[0]}x{shape[1]}", **same(on(shape, "float32", count, work), 1.0),
            bytes=4 * passes * numel)
        for name, count, work, passes in SIMPLE
        if name in ("add", "gelu", "sum of all", "sum of columns")
    ]  # fmt: skip
    rows.append(
        Row(f"bias bf16 {shape[0]}x{shape[1]}",
            **same(on(shape, "bfloat16", 1, lambda lib, x, b: x + b, True), 1.0), bytes=4 * numel)
    )  # fmt: skip
    name = "x".join(map(str, image))
    for kind in ("max_pool2d", "avg_pool2d"):
        for back in (False, True):
            rows.append(
                Row(f"{kind} bf16 {name}" + (" backward" if back else ""),
                    **same(pooled(image, kind, back), 1.0), bytes=2.5 * pixels)
            )  # fmt: skip
    chains = [
        ("gelu(x + b)", lambda lib, x, b: lib.F.gelu(x + b)),
        ("relu(x * 2 + b)", lambda lib, x, b: lib.T.relu(x * 2 + b)),
    ]
    return [
        Class("elements", "elementwise, bias, reductions, pooling", "85 to 95 % of the copy", rows,
              "and 93 % of the copy"),
        Class("chains", "chains of them, in one pass", "a pass each",
              [Row(f"{name} bf16", **same(on(shape, "bfloat16", 1, work, True), 2.0),
                   bytes=4 * numel) for name, work in chains]),
    ]  # fmt: skip
