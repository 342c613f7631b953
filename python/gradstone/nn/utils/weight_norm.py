"""Weights as a direction and a length (Salimans and Kingma, 2016)."""

from __future__ import annotations

from typing import Any, TypeVar

from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter
from gradstone.nn.utils._computed import add, check, remove

M = TypeVar("M", bound=Module)


def _length(v: Tensor, dim: int | None) -> Tensor:
    """The norm of v over all dimensions but dim, which keep size 1."""
    if dim is None:
        return v.norm()
    rest = [d for d in range(v.dim()) if d != dim]
    return (v * v).sum(rest, keepdim=True).sqrt() if rest else v.abs()


class WeightNorm:
    """Computes weight = g * v / |v| before each forward."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = dim

    def compute(self, module: Module) -> Tensor:
        """The weight of now."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / _length(v, self.dim))

    def __call__(self, module: Module, args: Any) -> None:
        object.__setattr__(module, self.name, self.compute(module))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Replaces the parameter `name` by its lengths `name`_g, one for each index of `dim` (None: one
    in all), and its directions `name`_v; the parameter itself is computed before each forward."""
    weight = check("weight_norm", module, name, WeightNorm)
    if dim is not None:
        if not -weight.dim() <= dim < weight.dim():
            raise ValueError(
                f"[weight_norm] expected dim to be one of {name} of shape {tuple(weight.shape)}, "
                f"got {dim}."
            )
        dim = None if dim == -1 else dim % weight.dim()
    with no_grad():
        length = _length(weight, dim)
    parts = {
        f"{name}_{part}": Parameter(value.detach(), weight.requires_grad)
        for part, value in (("g", length), ("v", weight))
    }
    add(module, name, WeightNorm(name, dim), parts)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """The product becomes the parameter `name` again."""
    rule: WeightNorm = remove("weight_norm", module, name, WeightNorm)
    with no_grad():
        weight = rule.compute(module)
    for part in ("g", "v"):
        delattr(module, f"{name}_{part}")
    module.register_parameter(name, Parameter(weight))
    return module
