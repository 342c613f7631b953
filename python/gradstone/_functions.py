"""Functions of the package whose arguments take several forms, built on the native operations.

Those that PyTorch also has as methods are attached to ``Tensor`` in ``_tensor.py``.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._limits import finfo
from gradstone._types import Number, TensorOrNumber

Dim = int | Sequence[int] | None


# ------------------------------------------------------------------------------------ reductions


def _numpys(op: str, dim: Any, keepdim: bool, names: dict[str, Any]) -> tuple[Any, bool]:
    """dim and keepdim, which may come under NumPy's names."""
    dim, keepdim = names.pop("axis", dim), names.pop("keepdims", keepdim)
    if names:
        raise TypeError(f"[{op}] has no argument {next(iter(names))!r}.")
    return dim, keepdim


def max(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    **names: Any,
) -> Any:
    """max(input): the largest element. max(input, dim): a named tuple (values, indices).
    max(input, other): elementwise maximum."""
    if names:
        dim, keepdim = _numpys("max", dim, keepdim, names)
    if other is not None or isinstance(dim, Tensor):
        return _C.maximum(input, dim if other is None else other)
    if dim is None:
        return _C.amax(_not_empty(input, "max"))
    return _C._max_dim(input, dim, keepdim)


def min(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    **names: Any,
) -> Any:
    """min(input): the smallest element. min(input, dim): a named tuple (values, indices).
    min(input, other): elementwise minimum."""
    if names:
        dim, keepdim = _numpys("min", dim, keepdim, names)
    if other is not None or isinstance(dim, Tensor):
        return _C.minimum(input, dim if other is None else other)
    if dim is None:
        return _C.amin(_not_empty(input, "min"))
    return _C._min_dim(input, dim, keepdim)


def _not_empty(input: Tensor, op: str) -> Tensor:
    if input.numel() == 0:
        raise ValueError(f"[{op}] expected at least one element; give a dim to reduce over.")
    return input


def _correction(dim: Any, unbiased: bool | None, correction: Number | None) -> tuple[Dim, float]:
    """PyTorch's forms: var(unbiased), var(dim, unbiased), var(dim, correction=...)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is not None:
        if unbiased is not None:
            raise TypeError("expected unbiased or correction, not both.")
        return dim, float(correction)
    return dim, 0.0 if unbiased is False else 1.0


def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
    **names: Any,
) -> Tensor:
    """Sum of squared deviations over n - correction (1 unless `unbiased` is False)."""
    if names:
        dim, keepdim = _numpys("var", dim, keepdim, names)
    dim, c = _correction(dim, unbiased, correction)
    return _C._var(input, dim, c, keepdim)


def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
    **names: Any,
) -> Tensor:
    """Square root of :func:`var`."""
    if names:
        dim, keepdim = _numpys("std", dim, keepdim, names)
    dim, c = _correction(dim, unbiased, correction)
    return _C._std(input, dim, c, keepdim)


def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
    **names: Any,
) -> tuple[Tensor, Tensor]:
    """(var, mean)."""
    if names:
        dim, keepdim = _numpys("var_mean", dim, keepdim, names)
    dim, c = _correction(dim, unbiased, correction)
    return _C._var(input, dim, c, keepdim), _C.mean(input, dim, keepdim)


def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
    **names: Any,
) -> tuple[Tensor, Tensor]:
    """(std, mean)."""
    if names:
        dim, keepdim = _numpys("std_mean", dim, keepdim, names)
    dim, c = _correction(dim, unbiased, correction)
    return _C._std(input, dim, c, keepdim), _C.mean(input, dim, keepdim)


def median(input: Tensor, dim: int | None = None, keepdim: bool = False, **names: Any) -> Any:
    """The lower median: median(input) an element, median(input, dim) (values, indices). NaN
    wins."""
    if names:
        dim, keepdim = _numpys("median", dim, keepdim, names)
    if input.dim() == 0 and dim is not None:
        _C.select(input.reshape(1), dim, 0)  # refuses any dim but 0 and -1
        found = median(input.reshape(1), 0)
        return type(found)((found.values.reshape(()), found.indices.reshape(())))
    if dim is None:
        if input.numel() == 0 and input.dtype.is_floating_point:
            return _C.sum(input) * float("nan")
        flat = _not_empty(input, "median").reshape(-1)
        line = _C.sort(flat, 0).values
        if input.dtype.is_floating_point and bool(_C.isnan(flat).any()):
            return line[-1]
        return line[(flat.numel() - 1) // 2]
    ordered = _C.sort(input, dim)
    middle = (input.size(dim) - 1) // 2
    values, indices = ordered.values.select(dim, middle), ordered.indices.select(dim, middle)
    if input.dtype.is_floating_point:
        bad = _C.isnan(input)
        has_nan = bad.any(dim)
        first = _C.argmax(_C._cast(bad, _C.uint8), dim)
        values = _C._where(has_nan, float("nan"), values)
        indices = _C._where(has_nan, first, indices)
    if keepdim:
        values, indices = values.unsqueeze(dim), indices.unsqueeze(dim)
    return type(ordered)((values, indices))  # type: ignore[call-arg, arg-type]


# -------------------------------------------------------------------------------------- choosing


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """where(condition, input, other): input where condition, elsewhere other.
    where(condition): a tuple of index vectors of the nonzero elements."""
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise TypeError("[where] expected one or three arguments, got two.")
    return _C._where(condition, input, other)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Indices of the nonzero elements: (n, dim) int64, or one vector for each dimension."""
    if not as_tuple:
        return _C._nonzero(input)
    if input.dim() == 0:
        input = input.unsqueeze(0)
    return _C.unbind(_C._nonzero(input), 1)


argwhere = nonzero


def repeat_interleave(
    input: Tensor,
    repeats: int | Tensor | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Each element repeated along dim: all equally often, or as a vector of counts says.
    repeat_interleave(counts): each position as often as its count."""
    if repeats is None:
        positions = _C._arange(0, input.numel(), 1, _C.int64, input.device)
        return repeat_interleave(positions, input, 0)
    if not isinstance(repeats, Tensor):
        return _C.repeat_interleave(input, repeats, dim)
    if dim is None:
        input, dim = input.reshape(-1), 0
    counts = repeats.tolist()
    if repeats.dim() == 0 or repeats.numel() == 1:
        return _C.repeat_interleave(input, int(repeats), dim)
    if repeats.dim() != 1 or len(counts) != input.size(dim) or repeats.is_floating_point():
        raise ValueError(
            f"[repeat_interleave] expected {input.size(dim)} integers as repeats, got "
            f"{repeats.dtype} of shape {tuple(repeats.shape)}."
        )
    if builtins.any(n < 0 for n in counts):
        raise ValueError(f"[repeat_interleave] expected repeats of 0 or more, got {counts}.")
    where = [i for i, n in enumerate(counts) for _ in range(n)]
    index = _C.tensor_from_data(where, _C.int64, input.device)
    return _C.index_select(input, dim, index)


def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of equal size (the last may be smaller), or of the given sizes, along dim."""
    size = split_size_or_sections
    if not isinstance(size, int):
        return _C._split(tensor, tuple(size), dim)
    length = tensor.size(dim)
    if size < 0 or (size == 0 and length):
        raise ValueError(f"[split] expected a positive size for {length} positions, got {size}.")
    sizes = [size] * (length // size) if size else []
    if size and length % size:
        sizes.append(length % size)
    return _C._split(tensor, tuple(sizes or [length]), dim)


# ------------------------------------------------------------------------------------ comparison


def _both_tensors(op: str, input: object, other: object) -> None:
    for name, given in (("input", input), ("other", other)):
        if not isinstance(given, Tensor):
            raise TypeError(f"[{op}] expected {name} to be a Tensor, got {type(given).__name__}.")


def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """|input - other| <= atol + rtol * |other|, elementwise. Infinities match themselves."""
    _both_tensors("isclose", input, other)
    if input.dtype != other.dtype:
        raise TypeError(f"[isclose] dtypes differ: {input.dtype} and {other.dtype}.")
    close = input == other
    if not input.dtype.is_floating_point:
        input, other = _C._cast(input, _C.float64), _C._cast(other, _C.float64)
    gap = (input - other).abs()
    close = close | (_C.isfinite(gap) & (gap <= atol + rtol * other.abs()))
    if equal_nan:
        close = close | (_C.isnan(input) & _C.isnan(other))
    return close


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether every element :func:`isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shape and every element agree."""
    _both_tensors("equal", input, other)
    if input.shape != other.shape:
        return False
    return bool((input == other).all())


def nan_to_num(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """NaN, inf and -inf replaced; by 0 and the largest and smallest finite number unless given."""
    if not input.dtype.is_floating_point:
        return input.clone()
    limit = finfo(input.dtype).max
    out = _C.masked_fill(input, _C.isnan(input), 0.0 if nan is None else nan)
    out = _C.masked_fill(out, input == float("inf"), limit if posinf is None else posinf)
    return _C.masked_fill(out, input == float("-inf"), -limit if neginf is None else neginf)


# ---------------------------------------------------------------------------------------- joining


def _sequence(tensors: tuple[Any, ...]) -> Sequence[Tensor]:
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return tensors[0]
    return tensors


def concat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Tensors joined along a dimension they have."""
    return _C.cat(tensors, dim if axis is None else axis)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Rows on top of each other; vectors become rows."""
    return _C.cat([t if t.dim() > 1 else t.reshape(1, -1) for t in tensors], 0)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side: along dim 1, for vectors along dim 0."""
    tensors = [t if t.dim() else t.reshape(1) for t in tensors]
    return _C.cat(tensors, 0 if tensors and tensors[0].dim() == 1 else 1)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Views of the tensors, all with their common shape."""
    import numpy as np

    given = _sequence(tensors)
    try:
        shape = np.broadcast_shapes(*(tuple(t.shape) for t in given))
    except ValueError:
        shapes = ", ".join(str(tuple(t.shape)) for t in given)
        raise ValueError(f"[broadcast_tensors] shapes do not broadcast: {shapes}.") from None
    return tuple(_C.broadcast_to(t, shape) for t in given)


def meshgrid(*tensors: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid from vectors; indexing "xy" exchanges the first two dimensions."""
    given = list(_sequence(tensors))
    if indexing not in ("ij", "xy"):
        raise ValueError(f"[meshgrid] indexing must be 'ij' or 'xy', got {indexing!r}.")
    swap = indexing == "xy" and len(given) > 1
    if swap:
        given[0], given[1] = given[1], given[0]
    shape = [t.numel() for t in given]
    grids = []
    for i, t in enumerate(given):
        form = [1] * len(given)
        form[i] = shape[i]
        grids.append(_C.broadcast_to(t.reshape(form), shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Einstein summation; see ``_C._einsum``."""
    return _C._einsum(equation, list(_sequence(operands)))


# ------------------------------------------------------------------------------------------ forms


def ravel(input: Tensor) -> Tensor:
    """One dimension, contiguous: a view where the elements lie so already."""
    return input.contiguous().reshape(-1)


def is_tensor(obj: object) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def clamp_min(input: Tensor, min: float) -> Tensor:
    """max(input, min)."""
    return _C.clamp(input, min, None)


def clamp_max(input: Tensor, max: float) -> Tensor:
    """min(input, max)."""
    return _C.clamp(input, None, max)


def rsub(input: TensorOrNumber, other: TensorOrNumber) -> Tensor:
    """other - input."""
    return _C.sub(other, input)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with this vector as its diagonal."""
    if input.dim() == 2:
        return _C.diagonal(input, diagonal, 0, 1).clone()
    if input.dim() != 1:
        raise ValueError(f"[diag] expected a vector or a matrix, got shape {tuple(input.shape)}.")
    size = input.numel() + builtins.abs(diagonal)
    row = _C._arange(0, input.numel(), 1, _C.int64, input.device)
    row, col = row - builtins.min(diagonal, 0), row + builtins.max(diagonal, 0)
    flat = _C._full((size * size,), 0, input.dtype, input.device)
    return _C.scatter(flat, 0, row * size + col, input).reshape(size, size)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each non-negative integer occurs in a vector, or the sum of its weights."""
    if input.dim() != 1:
        raise ValueError(f"[bincount] expected a vector, got shape {tuple(input.shape)}.")
    if input.numel() and int(_C.amin(input)) < 0:
        raise ValueError("[bincount] expected non-negative integers.")
    size = builtins.max(minlength, int(_C.amax(input)) + 1 if input.numel() else 0)
    if weights is None:
        weights = _C._full(tuple(input.shape), 1, _C.int64, input.device)
    zero = _C._full((size,), 0, weights.dtype, input.device)
    return _C.scatter_add(zero, 0, _C._cast(input, _C.int64), weights)


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (along dim: slices) in order, with their positions and counts when
    asked."""
    import numpy as np

    found: Any = np.unique(  # type: ignore[call-overload]
        input.detach().cpu().numpy(),
        return_inverse=return_inverse,
        return_counts=return_counts,
        axis=dim,
    )
    if not isinstance(found, tuple):
        return _C.from_numpy(found)
    parts = [_C.from_numpy(np.ascontiguousarray(part)) for part in found]
    if return_inverse:
        parts[1] = parts[1].reshape(tuple(input.shape) if dim is None else (-1,))
    return tuple(parts)
