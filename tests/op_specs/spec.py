"""What a row of the table says, and the small tools the rows are written with."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
NUMBERS = FLOATS + INTEGERS
ALL_DTYPES = (*NUMBERS, "bool")

# Sizes round the widths of vectors.
SIZES = (0, 1, 3, 7, 15, 17, 31, 33, 65)

NUMPY = {name: np.dtype(name) for name in (*INTEGERS, "bool", "float16", "float32", "float64")}
NUMPY["bfloat16"] = np.dtype(ml_dtypes.bfloat16)

# Half a unit in the last place of 1.
EPS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


class DType:
    """A dtype as an argument: the tests put gradstone's object in its place."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return self.name


class Fixed:
    """An array that keeps its own dtype whatever dtype the sample runs in."""

    def __init__(self, array: Any):
        self.array = np.asarray(array)

    def __repr__(self) -> str:
        return f"Fixed({self.array.dtype}{self.array.shape})"


class HostArray(np.ndarray):
    """What becomes a tensor of the CPU, whatever device the table runs on."""


class Host(Fixed):
    """A Fixed array for arguments that live on the CPU: the step counts of optimizers."""

    def __init__(self, array: Any):
        self.array = np.asarray(array).view(HostArray)


class Sample:
    """Arguments of one call. NumPy arrays of float64 become tensors of the dtype under test, other
    arrays and Fixed ones tensors of their own dtype, lists are walked."""

    def __init__(
        self, *args: Any, grad: bool = True, dtypes: tuple[str, ...] | None = None, **kwargs: Any
    ):
        # NumPy turns results of 0 dimensions into scalars.
        self.args = tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in args)
        self.kwargs = kwargs
        self.grad = grad  # may be differentiated (no kinks within reach of finite differences)
        self.dtypes = dtypes  # instead of the row's

    def __repr__(self) -> str:
        def short(value: Any) -> str:
            if isinstance(value, np.ndarray):
                return f"{value.dtype}{list(value.shape)}"
            if isinstance(value, (list, tuple)):
                return "[" + ", ".join(short(v) for v in value) + "]"
            return repr(value)

        words = [short(a) for a in self.args] + [f"{k}={short(v)}" for k, v in self.kwargs.items()]
        return f"({', '.join(words)})"


@dataclass
class Error:
    """A call that must be refused, leaving its inputs as they were."""

    sample: Sample
    kind: type[Exception]
    message: str  # a regular expression
    dtype: str = "float32"


def bad(
    kind: type[Exception], message: str, *args: Any, dtype: str = "float32", **kw: Any
) -> Error:
    return Error(Sample(*args, **kw), kind, message, dtype)


@dataclass
class Spec:
    name: str
    reference: Callable[..., Any] | None  # NumPy, in float64; None: `check` looks at the result
    samples: Callable[[], Iterable[Sample]]
    dtypes: tuple[str, ...] = FLOATS
    # dtype of the result: "same", a dtype's name, "float" (integers become float32), "sum"
    # (integers become int64), "reference" (what NumPy gave) or "any" (not looked at).
    out: str = "same"
    indices: bool = False  # the second result holds positions, in int64
    # |got - expected| <= bound * eps * (|expected| + scale); scale is the largest |expected|.
    bound: float = 4.0
    bound_of: dict[str, float] = field(default_factory=dict)  # for some dtypes
    differentiable: bool = False
    constant: tuple[int | str, ...] = ()  # arguments that are not differentiated
    second: bool = True  # second derivatives are looked at too
    errors: tuple[Error, ...] = ()
    inplace: bool = False  # writes its first argument and returns it
    writes: bool = False  # may write arguments (states of optimizers, running statistics)
    layouts: bool = True  # also with inputs that are not contiguous
    view: bool = False  # the result shares the input's memory
    # A look at the result instead of (or after) the comparison: check(result, args, kwargs).
    check: Callable[..., None] | None = None
    # Work of one call with these arguments, for the benchmark.
    flops: Callable[..., float] | None = None
    bytes: Callable[..., float] | None = None
    _cases: list[Sample] | None = None

    def cases(self) -> list[Sample]:
        """The samples, with the same values whichever tests run and in any order."""
        if self._cases is None:
            global _generator
            before, _generator = _generator, np.random.default_rng(zlib.crc32(self.name.encode()))
            self._cases = list(self.samples())
            _generator = before
        return self._cases

    def __post_init__(self) -> None:
        if self.flops is None:
            self.flops = lambda *args, **kw: float(sum(a.size for a in arrays(args)))
        if self.bytes is None:
            # Every input is read once; the result is as large as the largest.
            self.bytes = lambda *args, **kw: float(
                sum(a.nbytes for a in arrays(args))
                + max((a.nbytes for a in arrays(args)), default=0)
            )


def arrays(value: Any) -> list[np.ndarray]:
    """All arrays among the arguments."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, Fixed):
        return [value.array]
    if isinstance(value, (list, tuple)):
        return [a for v in value for a in arrays(v)]
    return []


# ---- values

_generator = np.random.default_rng(20240607)


def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
    """Away from 0, so that kinks at 0 are out of reach of finite differences."""
    x = np.asarray(_generator.standard_normal(shape) * scale)
    return np.where(np.abs(x) < 0.02 * scale, 0.02 * scale, x)


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    return np.asarray(_generator.uniform(low, high, shape))


def distinct(*shape: int, step: float = 0.125) -> np.ndarray:
    """Values at least `step` apart in every dtype, in random order: no ties, no near ties."""
    n = int(np.prod(shape))
    return (_generator.permutation(n).reshape(shape) - n // 2) * step


def integers(low: int, high: int, *shape: int, dtype: str = "int64") -> np.ndarray:
    return np.asarray(_generator.integers(low, high, shape), dtype)


def flags(*shape: int) -> np.ndarray:
    return np.asarray(_generator.random(shape) < 0.5)


def sizes(make: Callable[..., np.ndarray] = normal, **kw: Any) -> list[Sample]:
    """One vector of each odd size, a scalar, a matrix."""
    return [Sample(make(n)) for n in SIZES] + [
        Sample(make()),
        Sample(make(3, 1, 5)),
        Sample(make(2, 0)),
    ]
