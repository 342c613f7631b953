"""Convolutions of bf16: forward, gradients of input and weight, with bias and ReLU.

PyTorch in both memory formats: its default (NCHW), and channels_last, which its tensor cores want.
gradstone in the one it has, the default.
"""

from __future__ import annotations

from typing import Any

from libraries import Library
from rows import Class, Row, turns

# N, C, H, K, kernel, stride
SHAPES = [(32, 64, 56, 64, 3, 1), (32, 128, 28, 128, 3, 1), (32, 256, 14, 256, 3, 1),
          (32, 512, 7, 512, 3, 1), (32, 256, 56, 64, 1, 1), (32, 128, 56, 128, 3, 2),
          (32, 3, 224, 64, 7, 2)]  # fmt: skip
TINY = [(2, 8, 6, 8, 3, 1), (2, 3, 9, 4, 3, 2)]
GOALS = [("", "channels_last", 0.95), ("", "NCHW", 1.5)]


def inputs(lib: Library, shape: tuple[int, ...], layout: str, grad: str = "") -> tuple[Any, ...]:
    n, c, h, k, r, _ = shape
    x, w = lib.randn(n, c, h, h, dtype="bfloat16"), lib.randn(k, c, r, r, dtype="bfloat16")
    if layout == "channels_last":
        x, w = (t.to(memory_format=lib.T.channels_last) for t in (x, w))
    x.requires_grad_("x" in grad)
    w.requires_grad_("w" in grad)
    return x, w, lib.randn(k, dtype="bfloat16")


def bytes_of(shape: tuple[int, ...]) -> float:
    n, c, h, k, r, s = shape
    return 2.0 * (n * c * h * h + n * k * (h // s) ** 2 + k * c * r * r)


def forward(shape: tuple[int, ...], layout: str = ""):
    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            x, w, _ = inputs(lib, shape, layout)
            return lambda: lib.F.conv2d(x, w, None, shape[5], shape[4] // 2)

        return turns(lib, bytes_of(shape), one)

    return make


def gradient(shape: tuple[int, ...], of: str, layout: str = ""):
    """Of the input ("x") or the weight ("w") alone: the graph is made once and kept."""

    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            x, w, _ = inputs(lib, shape, layout, of)
            y = lib.F.conv2d(x, w, None, shape[5], shape[4] // 2)
            g = lib.randn(*y.shape, dtype="bfloat16")
            if layout == "channels_last":
                g = g.to(memory_format=lib.T.channels_last)
            leaf = x if of == "x" else w
            return lambda: lib.T.autograd.grad(y, leaf, g, retain_graph=True)

        return turns(lib, bytes_of(shape), one)

    return make


def fused(shape: tuple[int, ...], layout: str = ""):
    """Convolution, bias and ReLU: in PyTorch eager, what a network does."""

    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            x, w, b = inputs(lib, shape, layout)
            stride, padding = shape[5], shape[4] // 2
            if lib.is_torch:
                return lambda: lib.T.relu(lib.F.conv2d(x, w, b, stride, padding))
            both = lib.need(lib.T._C, "_conv2d_relu")
            return lambda: both(x, w, b, stride, padding)

        return turns(lib, bytes_of(shape), one)

    return make


def rows_of(kind: str, make_of, shapes, pairs) -> list[Row]:
    out = []
    for shape in shapes:
        n, c, h, k, r, s = shape
        flops = 2.0 * n * k * (h // s) ** 2 * c * r * r
        ways = {layout: make_of(shape, layout) for layout in ("channels_last", "NCHW")}
        out.append(
            Row(f"{kind} {n}x{c}x{h}x{h} k{k} {r}x{r}" + (f" s{s}" if s > 1 else ""),
                {"": make_of(shape, "")}, ways, pairs, flops, bytes_of(shape), peak="bf16",
                quick=shape in shapes[:2])
        )  # fmt: skip
    return out


def classes(tiny: bool) -> list[Class]:
    shapes = TINY if tiny else SHAPES

    def gradient_of(which):
        return lambda shape, layout: gradient(shape, which, layout)

    return [
        Class("conv", "bf16 convolutions, forward", "31 us where memory's floor is 9",
              rows_of("forward", forward, shapes, GOALS)),
        Class("conv-input", "bf16 convolutions, gradient of the input", "",
              rows_of("dgrad", gradient_of("x"), shapes[:-1], GOALS)),
        Class("conv-weight", "bf16 convolutions, gradient of the weight", "",
              rows_of("wgrad", gradient_of("w"), shapes, GOALS)),
        Class("conv-relu", "bf16 convolution + bias + ReLU, against eager channels_last",
              "58.8 us on the first shape",
              rows_of("fused", fused, shapes[:3], [("", "channels_last", 1.5),
                                                   ("", "NCHW", None)])),
    ]  # fmt: skip
