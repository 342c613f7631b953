"""In-place forms of functions that have no native one: the result is computed, then written over
the tensor. Gradients flow as through the function itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor

# Methods whose result has the tensor's shape, and the same under another name.
_METHODS = (
    "atan ceil cos cosh cumprod cumsum erf expm1 floor fmod log1p log2 logical_and logical_not "
    "logical_or logical_xor bitwise_not masked_scatter nan_to_num reciprocal round rsqrt sign sin "
    "sinh square tan tril triu trunc addmm addmv baddbmm atan2 clamp_min clamp_max log10 exp2 frac "
    "asin acos atanh logit xlogy deg2rad rad2deg"
).split()
_ALIASES = {
    "absolute_": "abs_",
    "arccos_": "acos_",
    "arcsin_": "asin_",
    "arctan_": "atan_",
    "arctanh_": "atanh_",
    "fix_": "trunc_",
    "negative_": "neg_",
    "true_divide_": "div_",
}


def _writes(name: str, function: Callable[..., Tensor]) -> Any:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # What the gradient needs is a copy: the tensor's own values are about to go.
        result = function(self.clone() if self.requires_grad else self, *args, **kwargs)
        if not _C.can_cast(result.dtype, self.dtype):
            raise TypeError(
                f"[{name}] a result of dtype {result.dtype.name} cannot be stored in a tensor of "
                f"dtype {self.dtype.name}."
            )
        if result.shape != self.shape:
            raise ValueError(
                f"[{name}] expected a result of shape {tuple(self.shape)}, got "
                f"{tuple(result.shape)}."
            )
        return self.copy_(result)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In place {name[:-1]}."
    return method


def index_put_(
    self: Tensor, indices: tuple[Tensor, ...], values: Tensor, accumulate: bool = False
) -> Tensor:
    """In place: self[indices] = values, or with `accumulate` added, also where indices repeat."""
    if accumulate:
        return _C._index_put_(self, list(indices), values, True)
    self[tuple(indices)] = values
    return self


def fill_diagonal_(self: Tensor, fill_value: float) -> Tensor:
    """In place: `fill_value` on the diagonal of a matrix."""
    _C.diagonal(self).fill_(fill_value)
    return self


def _reshapes(name: str, function: Callable[..., Tensor]) -> Any:
    def method(self: Tensor, *args: Any) -> Tensor:
        if self.requires_grad or self._base is not None:
            raise RuntimeError(
                f"[{name}] the shape of a view, or of a tensor that requires a gradient, cannot be "
                f"changed in place; use x = x.{name[:-1]}(...)."
            )
        self.data = function(self, *args)
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In place {name[:-1]}: the same memory in another shape."
    return method


def methods() -> dict[str, Any]:
    """Every method of this file by name, once Tensor has those that they write."""
    found: dict[str, Any] = {f"{n}_": _writes(f"{n}_", getattr(Tensor, n)) for n in _METHODS}
    for n in ("squeeze", "unsqueeze", "t", "transpose"):
        found[f"{n}_"] = _reshapes(f"{n}_", getattr(Tensor, n))
    for alias, n in _ALIASES.items():
        found[alias] = found.get(n) or getattr(Tensor, n)
    found["swapaxes_"] = found["swapdims_"] = found["transpose_"]
    found["index_put_"], found["fill_diagonal_"] = index_put_, fill_diagonal_
    return found


def without_underscore(name: str, write: Any) -> Any:
    """The function that writes into a copy."""

    def copied(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return write(input.clone(), *args, **kwargs)

    copied.__name__ = copied.__qualname__ = name
    copied.__doc__ = f"A copy after {name}_."
    return copied


index_put = without_underscore("index_put", index_put_)
