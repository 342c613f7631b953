"""What several tests of the autograd engine start from."""

from __future__ import annotations

import gradstone as gs


def leaf(*values: float) -> gs.Tensor:
    """A float64 vector that requires a gradient."""
    return gs.tensor(values, dtype=gs.float64, requires_grad=True)


class Cube(gs.autograd.Function):
    """x^3, twice differentiable."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * 3 * x * x
