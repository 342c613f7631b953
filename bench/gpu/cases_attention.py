"""Scaled dot-product attention of bf16, forward and backward, beside each backend of PyTorch's."""

from __future__ import annotations

import math
from typing import Any

from libraries import Library, Missing
from rows import Class, Row, turns

# batch, heads, length, width of a head, causal
SHAPES = [(4, 16, 4096, 128, False), (4, 16, 4096, 128, True), (2, 32, 8192, 64, True),
          (8, 16, 2048, 64, False), (8, 12, 1024, 64, True), (64, 12, 128, 64, False)]  # fmt: skip
TINY = [(1, 2, 16, 16, False), (1, 2, 20, 32, True)]
BACKENDS = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION")


def inputs(lib: Library, shape, grad: bool) -> list[Any]:
    b, h, t, d, _ = shape
    return [lib.randn(b, h, t, d, dtype="bfloat16", grad=grad) for _ in range(3)]


def unfused(lib: Library, shape):
    """A product, a softmax and a product, as one would write it; the mask is made before."""
    length, width, causal = shape[2:]
    hidden = lib.T.ones(length, length, device=lib.device).triu(1).bool() if causal else None

    def attend(q: Any, k: Any, v: Any) -> Any:
        scores = q @ k.transpose(-2, -1) / math.sqrt(width)
        if hidden is not None:
            scores = scores.masked_fill(hidden, float("-inf"))
        return lib.T.softmax(scores, -1) @ v

    return attend


def run_by(lib: Library, backend: str, q: Any, k: Any, v: Any, causal: bool) -> Any:
    attend = lib.F.scaled_dot_product_attention
    if not backend or not lib.is_torch:
        return attend(q, k, v, is_causal=causal)
    attention = lib.T.nn.attention
    with attention.sdpa_kernel(getattr(attention.SDPBackend, backend)):
        return attend(q, k, v, is_causal=causal)


def forward(shape, backend: str = ""):
    def make(lib: Library) -> list[Any]:
        attend = unfused(lib, shape) if backend == "unfused" else None

        def one() -> Any:
            q, k, v = inputs(lib, shape, False)
            if attend is not None:
                return lambda: attend(q, k, v)
            return lambda: run_by(lib, backend, q, k, v, shape[4])

        b, h, t, d, _ = shape
        return turns(lib, 8.0 * b * h * t * d, one)

    return checked(make, shape, backend)


def backward(shape, backend: str = ""):
    def make(lib: Library) -> list[Any]:
        def one() -> Any:
            leaves = inputs(lib, shape, True)
            y = run_by(lib, backend, *leaves, shape[4])
            g = lib.randn(*y.shape, dtype="bfloat16")
            return lambda: lib.T.autograd.grad(y, leaves, g, retain_graph=True)

        b, h, t, d, _ = shape
        return turns(lib, 16.0 * b * h * t * d, one)

    return checked(make, shape, backend)


def checked(make, shape, backend: str):
    """A backend that PyTorch refuses to use here is missing, not wrong."""

    def tried(lib: Library) -> list[Any]:
        try:
            calls = make(lib)
            calls[0]()
            if lib.is_torch and not backend:
                lib.note = f"SDPA chose {chosen_backend(lib, shape)}"
            return calls
        except RuntimeError as error:
            if lib.is_torch and "kernel" in str(error).lower():
                raise Missing(str(error).splitlines()[0][:120]) from error
            raise

    return tried


def chosen_backend(lib: Library, shape) -> str:
    """Which one PyTorch chooses by itself."""
    q, k, v = inputs(lib, shape, False)
    number = lib.T._fused_sdp_choice(q, k, v, is_causal=shape[4])
    members = lib.T.nn.attention.SDPBackend.__members__
    names = {getattr(m, "value", m): name for name, m in members.items()}
    return names.get(int(number), str(number))


def name_of(shape) -> str:
    b, h, t, d, causal = shape
    return f"{b}x{h}x{t}x{d}" + (" causal" if causal else "")


def classes(tiny: bool) -> list[Class]:
    shapes = TINY if tiny else SHAPES
    there, back = [], []
    for i, shape in enumerate(shapes):
        b, h, t, d, causal = shape
        flops = 4.0 * b * h * t * t * d / (2 if causal else 1)
        ways = {"default": forward(shape), **{n: forward(shape, n) for n in BACKENDS}}
        pairs = [("", "best", 0.85), ("", "default", None)]
        # The scores of the longest ones would be gigabytes: there the fused ones alone.
        if b * h * t * t < 2**31:
            ways["unfused"] = forward(shape, "unfused")
            pairs.append(("", "unfused", 4.0))
        there.append(
            Row(f"forward {name_of(shape)}", {"": forward(shape)}, ways, pairs, flops,
                8.0 * b * h * t * d, peak="bf16", quick=i < 2)
        )  # fmt: skip
        ways = {"default": backward(shape), **{n: backward(shape, n) for n in BACKENDS}}
        back.append(
            Row(f"backward {name_of(shape)}", {"": backward(shape)}, ways, [("", "best", 0.75)],
                2.5 * flops, 16.0 * b * h * t * d, peak="bf16", quick=i < 1)
        )  # fmt: skip
    return [
        Class("attention", "bf16 attention, forward", "595 to 690 TFLOP/s (cuDNN)", there),
        Class("attention-back", "bf16 attention, backward", "", back),
    ]  # fmt: skip
