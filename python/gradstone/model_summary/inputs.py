"""What a model is called with: tensors as given, and tensors made from shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradstone as gs
from gradstone._C import Tensor, dtype
from gradstone._types import DeviceLike
from gradstone.nn import Module

DTypes = dtype | Sequence[dtype] | dict[str, dtype] | None


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        isinstance(size, int) and not isinstance(size, bool) for size in value
    )


def _dtypes(dtypes: DTypes, names: Sequence[Any], default: dtype) -> list[dtype]:
    """One dtype for each argument."""
    if dtypes is None:
        return [default] * len(names)
    if isinstance(dtypes, dtype):
        return [dtypes] * len(names)
    if isinstance(dtypes, dict):
        return [dtypes.get(name, default) for name in names]
    given = list(dtypes)
    if len(given) != len(names) or not all(isinstance(kind, dtype) for kind in given):
        raise ValueError(
            f"[summary] expected one dtype, or one for each of {len(names)} inputs, got {dtypes!r}."
        )
    return given


def call_arguments(
    model: Module, input: Any, dtypes: DTypes, where: DeviceLike
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(args, kwargs) for the model's call. Shapes become zeros: of `dtypes`, or of the dtype of the
    model's first floating parameter, on `where`, or where the model's first parameter is."""
    first = next(iter(model.parameters()), None)
    floating = next((p for p in model.parameters() if p.dtype.is_floating_point), None)
    default = gs.get_default_dtype() if floating is None else floating.dtype
    place = where if where is not None else ("cpu" if first is None else first.device)

    def made(value: Any, kind: dtype) -> Any:
        if not _is_shape(value):
            return value
        if any(size < 0 for size in value):
            raise ValueError(f"[summary] a shape has no negative sizes, got {tuple(value)}.")
        return gs.zeros(*value, dtype=kind, device=place)

    if isinstance(input, dict):
        kinds = _dtypes(dtypes, list(input), default)
        return (), {name: made(v, kind) for (name, v), kind in zip(input.items(), kinds)}
    if isinstance(input, Tensor):
        values: Sequence[Any] = (input,)
    elif isinstance(input, (tuple, list)):
        values = (input,) if input and _is_shape(input) else input
    else:
        raise TypeError(
            "[summary] expected input to be a tensor, a shape, a tuple of these, or a dict of them "
            f"by argument name, got {type(input).__name__}."
        )
    return tuple(made(v, k) for v, k in zip(values, _dtypes(dtypes, values, default))), {}


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors of a nest of tuples, lists and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [t for item in value for t in tensors_in(item)]
    return []
