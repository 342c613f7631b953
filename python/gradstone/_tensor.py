"""Methods of ``Tensor`` that are written in Python, attached to the native type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstone import (
    _C,
    _creation,
    _functions,
    _in_place,
    _interchange,
    _printing,
    _sampling,
    _tensor_queries,
    _tensor_types,
)
from gradstone._C import Generator, Tensor, dtype
from gradstone._creation import dtype_of
from gradstone._types import DeviceLike, DTypeLike, Number
from gradstone.random import stream

# ------------------------------------------------------------------------------------ conversions


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """to(dtype), to(device), to(device, dtype), to(other): converted; the tensor itself when it is
    so already, unless ``copy=True``.

    With ``non_blocking=True`` a copy from pinned memory to a GPU is only begun: work put into the
    same stream comes after it, and the pinned memory must not be written before it is done. A copy
    to the host is only begun as well, into pinned memory: wait (``gs.cuda.synchronize``) before it
    is read. ``memory_format`` is accepted."""
    dtype, device, non_blocking, copy = parse_to(args, kwargs)
    out = self
    if dtype is not None and dtype != out.dtype:
        out = _C._cast(out, dtype)
    if device is not None:
        out = _C._to_device(out, device, non_blocking)
    return out.clone() if copy and out is self else out


def parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, bool]:
    """(dtype, device, non_blocking, copy) from the arguments of ``to``."""
    if len(args) == 1 and not kwargs:
        first = args[0]
        if isinstance(first, str) or isinstance(first, _C.device):
            return None, first, False, False
        if isinstance(first, (dtype, type)):
            return dtype_of(first, "to"), None, False, False
    options = dict(kwargs)
    non_blocking = options.pop("non_blocking", False)
    options.pop("memory_format", None)
    copy = options.pop("copy", False)
    wanted, place = options.pop("dtype", None), options.pop("device", None)
    other = options.pop("other", None)
    if options:
        raise TypeError(f"[to] unexpected argument {next(iter(options))!r}.")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    elif rest and isinstance(rest[0], dtype):
        wanted = rest.pop(0)
    elif rest:
        place = rest.pop(0)
        if place is not None and not isinstance(place, (str, int, _C.device)):
            raise TypeError(
                f"[to] expected a dtype, a device or a tensor, got {type(place).__name__}."
            )
        if rest and (rest[0] is None or isinstance(rest[0], dtype)):
            wanted = rest.pop(0) or wanted
    if len(rest) > 2 or not all(isinstance(flag, bool) for flag in rest):
        raise TypeError("[to] expected (dtype), (device, dtype) or (other), then flags.")
    if rest:
        non_blocking = rest[0]
    if len(rest) == 2:
        copy = rest[1]
    if other is not None:
        wanted, place = other.dtype, other.device
    return wanted, place, bool(non_blocking), bool(copy)


def _caster(name: str, kind: dtype) -> Any:
    def cast(self: Tensor) -> Tensor:
        return _C._cast(self, kind)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The values as {kind}."
    return cast


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The values in the dtype of `other`."""
    return _C._cast(self, other.dtype)


def cpu(self: Tensor) -> Tensor:
    """The tensor in main memory."""
    return _C._to_device(self, "cpu")


def cuda(self: Tensor, device: DeviceLike = None, non_blocking: bool = False) -> Tensor:
    """The tensor on a GPU. RuntimeError where there is none. With ``non_blocking=True`` a copy from
    pinned memory is only begun, as in :meth:`to`."""
    return _C._to_device(self, "cuda" if device is None else device, non_blocking)


def pin_memory(self: Tensor, device: DeviceLike = None) -> Tensor:
    """A copy in memory that a GPU reads by itself, so that ``to(device, non_blocking=True)`` waits
    for nobody; the tensor itself when it lies there already. RuntimeError for a tensor on a GPU,
    and where there is no GPU."""
    return _C._pin_memory(self)


def is_pinned(self: Tensor) -> bool:
    """Whether the tensor lies in pinned memory."""
    return _C._is_pinned(self)


# ----------------------------------------------------------------------------------------- new_*


def new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """A copy of `data` with this tensor's dtype and device."""
    return _creation.tensor(
        data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
    )


def _new(name: str) -> Any:
    make = getattr(_creation, name)

    def new(
        self: Tensor, *size: Any, dtype: DTypeLike = None, device: DeviceLike = None, **kw: Any
    ) -> Tensor:
        return make(*size, dtype=dtype or self.dtype, device=device or self.device, **kw)

    new.__name__ = new.__qualname__ = f"new_{name}"
    new.__doc__ = f"``{name}`` with this tensor's dtype and device."
    return new


# ------------------------------------------------------------------------------------------ views


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """view(other.shape)."""
    return self.view(other.shape)


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """reshape(other.shape)."""
    return self.reshape(other.shape)


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """expand(other.shape)."""
    return self.expand(other.shape)


# ----------------------------------------------------------------------------- random, in place


def uniform_(
    self: Tensor,
    from_: float = 0.0,
    to: float = 1.0,
    *,
    generator: Generator | None = None,
    **kw: Any,
) -> Tensor:
    """Fills with uniform numbers in [from, to)."""
    low = kw.pop("from", from_)
    if kw:
        raise TypeError(f"[uniform_] unexpected argument {next(iter(kw))!r}.")
    if low > to:
        raise ValueError(f"[uniform_] expected from <= to, got {low} and {to}.")
    return _C._uniform_(self, float(low), float(to), *stream(generator))


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fills with normal numbers."""
    if std < 0:
        raise ValueError(f"[normal_] expected std >= 0, got {std}.")
    return _C._normal_(self, float(mean), float(std), *stream(generator))


def bernoulli_(
    self: Tensor, p: float | Tensor = 0.5, *, generator: Generator | None = None
) -> Tensor:
    """Fills with 1 with probability p, otherwise 0."""
    if isinstance(p, Tensor):
        return self.copy_(_sampling.bernoulli(p.expand(self.shape), generator=generator))
    p = _sampling.check_probability(p, "bernoulli_")
    return _C._bernoulli_(self, p, *stream(generator))


# Whole numbers that every value of the dtype up to there can hold.
_RANDOM_LIMITS = {
    _C.bool: 2,
    _C.uint8: 2**8,
    _C.int8: 2**7,
    _C.int16: 2**15,
    _C.int32: 2**31,
    _C.int64: 2**63 - 1,
    _C.float16: 2**11 + 1,
    _C.bfloat16: 2**8 + 1,
    _C.float32: 2**24 + 1,
    _C.float64: 2**53 + 1,
}


def random_(
    self: Tensor,
    from_: int | None = None,
    to: int | None = None,
    *,
    generator: Generator | None = None,
    **kw: Any,
) -> Tensor:
    """random_(): whole numbers from 0 up to what the dtype holds exactly. random_(to),
    random_(from, to): in [from, to)."""
    low = kw.pop("from", from_)
    if kw:
        raise TypeError(f"[random_] unexpected argument {next(iter(kw))!r}.")
    if to is None:
        low, to = 0, _RANDOM_LIMITS[self.dtype] if low is None else low
    low = 0 if low is None else low
    if low >= to:
        raise ValueError(f"[random_] expected from < to, got {low} and {to}.")
    return _C._random_integers_(self, int(low), int(to), *stream(generator))


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fills with exponentially distributed numbers of rate `lambd`."""
    if lambd <= 0:
        raise ValueError(f"[exponential_] expected lambd > 0, got {lambd}.")
    with _no_grad():
        uniform = _sampling.rand(tuple(self.shape), generator=generator, device=self.device)
        return self.copy_(_C.log1p(-uniform) * (-1.0 / lambd))


def _no_grad() -> Any:
    from gradstone.autograd.grad_mode import no_grad

    return no_grad()


# ------------------------------------------------------------------------------------------ others


def masked_scatter(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with the elements of `source`, in order, where mask."""
    self, mask = _functions.broadcast_tensors(self, mask)
    flat_mask = mask.reshape(-1)
    flat = self.reshape(-1).clone()
    count = int(flat_mask.sum())
    if source.numel() < count:
        raise ValueError(
            f"[masked_scatter] the mask asks for {count} elements, source has {source.numel()}."
        )
    flat[flat_mask] = source.reshape(-1)[:count]
    return flat.reshape(self.shape)


def _positions(op: str, self: Tensor, dim: int, index: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
    """The tensor (of one dimension at least) and what to index it with for positions of dim."""
    if not isinstance(index, Tensor) or index.dtype in (_C.bool, _C.uint8):
        given = index.dtype if isinstance(index, Tensor) else type(index).__name__
        raise TypeError(f"[{op}] expected index to be an integer tensor, got {given}.")
    if index.dim() > 1:
        raise IndexError(f"[{op}] expected a vector as index, got shape {tuple(index.shape)}.")
    at = self if self.dim() else self.view(1)
    if not -at.dim() <= dim < at.dim():
        raise IndexError(
            f"[{op}] expected a dimension from {-at.dim()} to {at.dim() - 1}, got {dim}."
        )
    return at, (*[slice(None)] * (dim % at.dim()), index.reshape(-1))


def index_fill_(self: Tensor, dim: int, index: Tensor, value: Number | Tensor) -> Tensor:
    """Writes `value` at positions `index` of dim."""
    at, where = _positions("index_fill_", self, dim, index)
    if isinstance(value, Tensor) and value.dim():
        shape = tuple(value.shape)
        raise ValueError(f"[index_fill_] expected one value, got a tensor of shape {shape}.")
    at[where] = value
    return self


def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Writes `source` at positions `index` of dim."""
    at, where = _positions("index_copy_", self, dim, index)
    size = list(at.shape)
    size[dim] = index.numel()
    if list(source.shape if self.dim() or source.dim() else (1,)) != size:
        raise ValueError(
            f"[index_copy_] expected a source of shape {tuple(size)}, got {tuple(source.shape)}."
        )
    at[where] = source
    return self


def split(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of equal size (the last may be smaller), or of the given sizes, along dim."""
    return _functions.split(self, split_size, dim)


def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """self where condition, elsewhere other."""
    return _C._where(condition, self, other)


def multinomial(
    self: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Positions drawn in proportion to the weights of each row."""
    return _sampling.multinomial(self, num_samples, replacement, generator=generator)


def bernoulli(self: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element names, otherwise 0."""
    return _sampling.bernoulli(self, generator=generator)


# Functions of _composed that are methods too.
_COMPOSED = (
    "acos addmv aminmax arccos arcsin arctanh asin atanh corrcoef cov deg2rad diag_embed diff "
    "dist exp2 fliplr flipud fmax fmin frac heaviside histc hypot inner kron kthvalue log10 "
    "logaddexp logit nanmean nansum positive quantile rad2deg rot90 take tensor_split tile trace "
    "xlogy"
).split()


def _composed(name: str) -> Any:
    """A method that finds its function, and imports it, when it is called."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        from gradstone import _composed

        return getattr(_composed, name)(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``gs.{name}`` of the tensor."
    return method


def _attach() -> None:
    casts = {
        "float": _C.float32,
        "double": _C.float64,
        "half": _C.float16,
        "bfloat16": _C.bfloat16,
        "long": _C.int64,
        "int": _C.int32,
        "short": _C.int16,
        "char": _C.int8,
        "byte": _C.uint8,
        "bool": _C.bool,
    }
    methods: dict[str, Any] = {name: _caster(name, kind) for name, kind in casts.items()}
    for name in ("zeros", "ones", "empty", "full"):
        methods[f"new_{name}"] = _new(name)
    methods |= {"type": _tensor_types.type_of, "new": _tensor_types.new}
    here = globals()
    for name in (
        "to type_as cpu cuda pin_memory is_pinned new_tensor view_as reshape_as expand_as uniform_ "
        "normal_ bernoulli_ random_ exponential_ masked_scatter index_fill_ index_copy_ split "
        "where multinomial bernoulli"
    ).split():
        methods[name] = here[name]
    for name in (
        "max min var std median nonzero isclose allclose equal nan_to_num ravel clamp_min "
        "clamp_max diag bincount unique repeat_interleave argwhere"
    ).split():
        methods[name] = getattr(_functions, name)
    for name in _COMPOSED:
        methods[name] = _composed(name)
    aliases = {
        "swapaxes": "transpose",
        "swapdims": "transpose",
        "moveaxis": "movedim",
        "clip": "clamp",
        "clip_": "clamp_",
        "absolute": "abs",
        "multiply": "mul",
        "multiply_": "mul_",
        "subtract": "sub",
        "subtract_": "sub_",
        "divide": "div",
        "divide_": "div_",
        "true_divide": "div",
        "negative": "neg",
        "greater": "gt",
        "greater_equal": "ge",
        "less": "lt",
        "less_equal": "le",
        "not_equal": "ne",
        "fix": "trunc",
        "arctan": "atan",
        "arctan2": "atan2",
        "ger": "outer",
        "sgn": "sign",
        "vdot": "dot",
    }
    for name, target in aliases.items():
        methods[name] = getattr(Tensor, target)
    methods |= _tensor_queries.METHODS
    methods["index_put"] = _in_place.index_put
    methods["index_fill"] = _in_place.without_underscore("index_fill", index_fill_)
    methods["index_copy"] = _in_place.without_underscore("index_copy", index_copy_)
    methods["__dlpack__"] = _interchange.dlpack
    methods["__dlpack_device__"] = _interchange.dlpack_device
    for name, method in methods.items():
        setattr(Tensor, name, method)
    for name, method in _in_place.methods().items():
        setattr(Tensor, name, method)
    _C._set_repr(_printing.tensor_repr)


_attach()
