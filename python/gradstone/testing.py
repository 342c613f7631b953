"""Comparing results in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradstone import _C, _creation
from gradstone._C import Tensor

# (rtol, atol) by dtype, as in PyTorch.
_TOLERANCES = {
    _C.float16: (1e-3, 1e-5),
    _C.bfloat16: (1.6e-2, 1e-5),
    _C.float32: (1.3e-6, 1e-5),
    _C.float64: (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    msg: str | None = None,
) -> None:
    """AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Tensors, arrays, numbers, and sequences or mappings of them. Shapes must agree, and dtypes and
    devices unless told otherwise. Tolerances follow the dtype: float32 1.3e-6 and 1e-5, float64
    1e-7 both, float16 1e-3 and 1e-5, bfloat16 1.6e-2 and 1e-5, integers 0.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol must both be specified or both be unspecified.")
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping) or actual.keys() != expected.keys():
            raise AssertionError(msg or f"keys differ: {list(actual)} and {list(expected)}")
        pairs: Any = [(f"[{k!r}]", actual[k], expected[k]) for k in expected]
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        if len(actual) != len(expected):
            raise AssertionError(msg or f"lengths differ: {len(actual)} and {len(expected)}")
        pairs = [(f"[{i}]", a, e) for i, (a, e) in enumerate(zip(actual, expected))]
    else:
        pairs = None
    if pairs is None:
        problem = _compare(actual, expected, rtol, atol, equal_nan, check_device, check_dtype)
        if problem:
            raise AssertionError(msg or problem)
        return
    for where, a, e in pairs:
        try:
            assert_close(
                a,
                e,
                rtol=rtol,
                atol=atol,
                equal_nan=equal_nan,
                check_device=check_device,
                check_dtype=check_dtype,
            )
        except AssertionError as error:
            raise AssertionError(msg or f"Item {where}: {error}") from None


def _compare(
    actual: Any,
    expected: Any,
    rtol: float | None,
    atol: float | None,
    equal_nan: bool,
    check_device: bool,
    check_dtype: bool,
) -> str | None:
    """What is wrong, or None."""
    numbers = not isinstance(actual, (Tensor, np.ndarray))
    a, e = _creation.as_tensor(actual), _creation.as_tensor(expected)
    if a.shape != e.shape:
        return f"shapes differ: {tuple(a.shape)} and {tuple(e.shape)}"
    if check_dtype and not numbers and a.dtype != e.dtype:
        return f"dtypes differ: {a.dtype} and {e.dtype}"
    if check_device and a.device != e.device:
        return f"devices differ: {a.device} and {e.device}"
    if rtol is None or atol is None:
        if numbers:
            rtol, atol = (1e-7, 1e-7) if isinstance(actual, float) else (0.0, 0.0)
        else:
            both = [_TOLERANCES.get(t.dtype, (0.0, 0.0)) for t in (a, e)]
            rtol, atol = max(t[0] for t in both), max(t[1] for t in both)
    x = _C._cast(a.detach().cpu(), _C.float64).numpy()
    y = _C._cast(e.detach().cpu(), _C.float64).numpy()
    with np.errstate(invalid="ignore"):
        gap = np.abs(x - y)
        bad = ~((x == y) | (gap <= atol + rtol * np.abs(y)))
    if equal_nan:
        bad &= ~(np.isnan(x) & np.isnan(y))
    if not bad.any():
        return None
    gap = np.where(x == y, 0.0, gap)
    where = np.unravel_index(
        int(np.argmax(np.where(bad, np.nan_to_num(gap, nan=np.inf), -1))), x.shape
    )
    place = tuple(int(i) for i in where)
    return (
        f"Tensor-likes are not close: {int(bad.sum())} of {x.size} elements differ, most at "
        f"{place}: "
        f"{x[place]:.9g} and {y[place]:.9g}, a difference of {gap[place]:.3g} "
        f"(rtol {rtol}, atol {atol})."
    )
