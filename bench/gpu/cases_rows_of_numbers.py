"""Rows normalised or summed up: softmax, LayerNorm, RMSNorm, cross entropy."""

from __future__ import annotations

from typing import Any

from libraries import Library
from rows import Class, Row, same, turns

ROWS = [(32768, 1024), (16384, 4096), (8192, 8192)]
WIDE = [(1024, 65536), (512, 131072)]
LOGITS = [(8192, 50257), (8192, 32000), (65536, 1000)]


def normalised(kind: str, lib: Library, x: Any, weight: Any, bias: Any) -> Any:
    if kind == "softmax":
        return lib.T.softmax(x, -1)
    if kind == "layer norm":
        return lib.F.layer_norm(x, (x.shape[-1],), weight, bias)
    return lib.need(lib.F, "rms_norm")(x, (x.shape[-1],), weight)


def forward(kind: str, shape: tuple[int, int]):
    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            x = lib.randn(*shape, dtype="bfloat16")
            w, b = (lib.randn(shape[1], dtype="bfloat16") for _ in range(2))
            return lambda: normalised(kind, lib, x, w, b)

        return turns(lib, 4.0 * shape[0] * shape[1], one)

    return make


def backward(kind: str, shape: tuple[int, int]):
    """Gradients of the input, the weight and the bias; the graph is made once and kept."""

    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            x = lib.randn(*shape, dtype="bfloat16", grad=True)
            w, b = (lib.randn(shape[1], dtype="bfloat16", grad=True) for _ in range(2))
            y = normalised(kind, lib, x, w, b)
            g = lib.randn(*shape, dtype="bfloat16")
            leaves = [x, w, b] if kind == "layer norm" else [x, w] if kind == "RMS norm" else [x]
            return lambda: lib.T.autograd.grad(y, leaves, g, retain_graph=True)

        return turns(lib, 6.0 * shape[0] * shape[1], one)

    return make


def cross_entropy(shape: tuple[int, int]):
    """Loss and gradient of the logits."""

    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            x = lib.randn(*shape, dtype="bfloat16", grad=True)
            target = lib.randint(shape[1], shape[0])

            def step() -> Any:
                x.grad = None
                loss = lib.F.cross_entropy(x, target)
                loss.backward()
                return loss

            return step

        return turns(lib, 4.0 * shape[0] * shape[1], one)

    return make


def classes(tiny: bool) -> list[Class]:
    rows = [(6, 40), (3, 129)] if tiny else ROWS
    wide = [(2, 1100)] if tiny else WIDE
    logits = [(6, 50)] if tiny else LOGITS
    kinds = ("softmax", "layer norm", "RMS norm")

    def of(kind: str, shape, make, goal: float, passes: float) -> Row:
        return Row(f"{kind} {shape[0]}x{shape[1]}", **same(make(kind, shape), goal),
                   bytes=2.0 * passes * shape[0] * shape[1], quick=shape == rows[1])  # fmt: skip

    return [
        Class("norm", "bf16 softmax, LayerNorm, RMSNorm", "2.0 to 2.7 TB/s",
              [of(kind, shape, forward, 1.15, 2) for kind in kinds for shape in rows],
              "and 93 % of the copy"),
        Class("norm-wide", "the same, rows of 64k and more", "1.9 TB/s",
              [of(kind, shape, forward, 1.4, 2) for kind in kinds for shape in wide]),
        Class("norm-back", "LayerNorm, RMSNorm, backward", "two kernels",
              [of(kind, shape, backward, 1.8, 3) for kind in kinds[1:] for shape in rows[:2]]),
        Class("cross-entropy", "bf16 softmax + cross entropy, forward and backward", "four passes",
              [Row(f"{n}x{c}", **same(cross_entropy((n, c)), 3.0), bytes=4.0 * n * c,
                   quick=(n, c) == logits[0]) for n, c in logits]),
    ]  # fmt: skip
