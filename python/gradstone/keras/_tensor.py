"""The tensor that Keras and TensorFlow programs see: gradstone's own, printed as TensorFlow does.

``Tensor`` is a subclass of :class:`gradstone.Tensor` without data of its own: a result becomes one
by changing its class, so that its history of operations stays. Operators give it back, take NumPy
arrays and lists in the tensor's dtype, and divide integers into float64, as TensorFlow does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._creation import as_tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.nn.parameter import Parameter

Base = _C.Tensor
_INTEGERS = (_C.uint8, _C.int8, _C.int16, _C.int32, _C.int64)


class TensorShape(tuple[Any, ...]):
    """A shape: a tuple that prints as TensorFlow's does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"TensorShape({list(self)})"

    def __str__(self) -> str:
        return tuple.__repr__(self)

    @property
    def rank(self) -> int:
        """How many dimensions there are."""
        return len(self)

    ndims = rank

    def as_list(self) -> list[Any]:
        """The sizes as a list."""
        return list(self)

    def num_elements(self) -> int:
        """The product of the sizes."""
        count = 1
        for size in self:
            count *= size
        return count

    numel = num_elements


def array(value: Any) -> np.ndarray:
    """The values as a NumPy array, whether or not a gradient is recorded; bfloat16 as float32."""
    if isinstance(value, Base):
        plain = value.detach().cpu()
        return Base.numpy(plain if plain.dtype != _C.bfloat16 else plain.float())
    return np.asarray(value)


def wrap(value: Any) -> Any:
    """A gradstone tensor becomes a ``Tensor`` in place; tuples, lists and dicts of them too."""
    return _change(value, Base, Tensor)


def unwrap(value: Any) -> Any:
    """The opposite of :func:`wrap`."""
    return _change(value, Tensor, Base)


def _change(value: Any, old: type, new: type) -> Any:
    if type(value) is old:
        value.__class__ = new
        return value
    if type(value) in (tuple, list):
        return type(value)(_change(v, old, new) for v in value)
    if type(value) is dict:
        return {key: _change(v, old, new) for key, v in value.items()}
    return value


def alias(value: Base) -> Base:
    """The same numbers and history in another object, for :func:`wrap` to change: a tensor of the
    user's keeps its class."""
    return value[...] if type(value) is Base else value


def from_host(value: Any, dtype: _C.dtype | None = None) -> Base:
    """Numbers, sequences (also of tensors) and NumPy arrays as a plain tensor of that dtype.
    Without one Python floats become float32 and Python integers int32 (int64 when too large),
    arrays keep theirs."""
    if isinstance(value, Base):
        return value if dtype is None or value.dtype == dtype else _C._cast(value, dtype)
    if isinstance(value, (list, tuple)) and _holds_tensor(value):
        return _C.stack([from_host(v, dtype) for v in value])
    data = np.asarray(value)
    if data.dtype.kind not in "biuf" and data.dtype.name != "bfloat16":
        raise ValueError(
            f"Attempt to convert a value ({value!r}) with an unsupported type ({type(value)}) to a "
            "Tensor."
        )
    if dtype is None and not isinstance(value, (np.ndarray, np.generic)):
        if data.dtype.kind == "f":
            data = data.astype(np.float32)
        elif data.dtype.kind == "i" and (data == data.astype(np.int32)).all():
            data = data.astype(np.int32)
    if data.dtype in (np.uint16, np.uint32, np.uint64):
        data = data.astype(np.int64)
    return as_tensor(np.array(data), dtype=dtype)


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_tensor(v) for v in value)
    return isinstance(value, Base)


def operand(self: Base, other: Any) -> Any:
    """The other side of an operator, in the tensor's dtype unless that would lose a fraction."""
    if isinstance(other, (list, tuple, np.ndarray)):
        other = from_host(other)
        fraction = other.dtype.is_floating_point and not self.dtype.is_floating_point
        return other if fraction or self.dtype == _C.bool else _C._cast(other, self.dtype)
    return other


def _binary(name: str, convert: Callable[[Any], Any] | None = None) -> Callable[..., Any]:
    """An operator of two tensors, both of which go through `convert`."""
    native = getattr(Base, name)

    def method(self: Any, other: Any) -> Any:
        if hasattr(other, "_keras_history"):
            return NotImplemented  # a symbolic tensor knows what to do
        other = operand(self, other)
        if convert is not None:
            self, other = convert(self), convert(other)
        return wrap(native(self, other))

    method.__name__ = name
    return method


def _fractions(value: Any) -> Any:
    """TensorFlow divides whole numbers into float64."""
    if isinstance(value, Base) and value.dtype in _INTEGERS:
        return _C._cast(value, _C.float64)
    return value


def _unary(name: str) -> Callable[..., Any]:
    native = getattr(Base, name)

    def method(self: Any, *args: Any) -> Any:
        return wrap(native(self, *args))

    method.__name__ = name
    return method


def _arrays(value: Any) -> Any:
    if isinstance(value, Base):
        return array(value)
    if type(value) in (tuple, list):
        return type(value)(_arrays(v) for v in value)
    return {k: _arrays(v) for k, v in value.items()} if type(value) is dict else value


def dtype_text(dtype: Any) -> str:
    """ "float32" for gradstone.float32."""
    return str(dtype).rpartition(".")[2]


def dtype_of(dtype: Any) -> Any:
    """A dtype given as itself, as text or NumPy's."""
    if dtype is None or isinstance(dtype, _C.dtype):
        return dtype or _C.float32
    found = getattr(_C, dtype if isinstance(dtype, str) else np.dtype(dtype).name, None)
    if not isinstance(found, _C.dtype):
        raise ValueError(f"Invalid dtype: {dtype}")
    return found


class _Operators:
    """What TensorFlow's tensors and variables share. Mixed in before a gradstone tensor."""

    __slots__ = ()

    @property
    def shape(self: Any) -> TensorShape:
        """The sizes."""
        return TensorShape(Base.shape.__get__(self))

    def get_shape(self: Any) -> TensorShape:
        """The sizes."""
        return self.shape

    def numpy(self: Any, *, force: bool = False) -> Any:
        """A copy of the values as a NumPy array; a NumPy number where there are no dimensions."""
        return array(self).copy()[()]

    def __array__(self: Any, dtype: Any = None, copy: Any = None) -> np.ndarray:
        values = array(self)
        return values if dtype is None else values.astype(dtype)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's functions take the values; else they would look for methods of NumPy's form."""
        return function(*_arrays(args), **_arrays(kwargs))

    def __iter__(self: Any) -> Iterator[Any]:
        return (wrap(row) for row in Base.__iter__(self))

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __format__(self: Any, spec: str) -> str:
        return format(self.numpy(), spec) if spec else str(self)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            f"'{type(self).__name__}' object does not support item assignment: make a new tensor "
            "(tf.where, tf.concat), or use Variable.assign."
        )

    __truediv__ = __itruediv__ = _binary("__truediv__", _fractions)
    __rtruediv__ = _binary("__rtruediv__", _fractions)


for _name in "add sub mul floordiv mod pow matmul and or xor".split():
    for _form in (f"__{_name}__", f"__r{_name}__"):
        if hasattr(Base, _form):
            setattr(_Operators, _form, _binary(_form))
    if hasattr(Base, f"__i{_name}__"):  # x += y makes a new tensor, as in TensorFlow
        setattr(_Operators, f"__i{_name}__", getattr(_Operators, f"__{_name}__"))
for _name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
    setattr(_Operators, _name, _binary(_name))
for _name in ("__neg__", "__abs__", "__invert__", "__getitem__"):
    setattr(_Operators, _name, _unary(_name))


class Tensor(_Operators, Base):  # type: ignore[misc]
    """A gradstone tensor that behaves and prints as ``tf.Tensor``. Made by ``tf.constant`` and by
    operations, not by its constructor."""

    __slots__ = ()

    def __str__(self) -> str:
        values = array(self)
        text = f"\n{values}" if values.ndim > 1 else f"{values}"
        return f"tf.Tensor({text}, shape={self.shape}, dtype={dtype_text(self.dtype)})"

    def __repr__(self) -> str:
        return (
            f"<tf.Tensor: shape={self.shape}, dtype={dtype_text(self.dtype)}, {_numpy_part(self)}>"
        )


def _numpy_part(t: Base) -> str:
    values = array(t)
    if values.ndim == 0:
        return f"numpy={values}"
    text = repr(values)
    return f"numpy={text}" if values.ndim == 1 else f"numpy=\n{text}"


class Variable(_Operators, Parameter):  # type: ignore[misc]
    """A tensor that is changed in place by ``assign``, and trained when ``trainable``.

    A :class:`gradstone.nn.Parameter`, so that gradstone's modules and optimizers take it too.
    """

    _name: str
    _path: str | None
    trainable: bool
    regularizer: Any

    def __new__(
        cls,
        initial_value: Any = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
        **ignored: Any,
    ) -> Variable:
        value = initial_value() if callable(initial_value) else initial_value
        if value is None:
            raise ValueError("The `initial_value` of a Variable must be a value, got None.")
        data = from_host(value, None if dtype is None else dtype_of(dtype)).detach().clone()
        train = bool(trainable) and data.dtype.is_floating_point
        made = _C._make_subclass(cls, data, train)
        made.trainable = train
        made._name = name or "Variable"
        made._path = None
        made.regularizer = None
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name if self._path is not None else f"{self._name}:0"

    @property
    def path(self) -> str:
        """layer/name for a layer's weight."""
        return self._path or self._name

    def value(self) -> Tensor:
        """The present value as a tensor."""
        return wrap(self.clone())

    def read_value(self) -> Tensor:
        """The present value as a tensor."""
        return self.value()

    def assign(self, value: Any) -> Variable:
        """Writes `value`, of the same shape. ValueError when the shapes differ."""
        new = from_host(value, self.dtype)
        if tuple(new.shape) != tuple(self.shape):
            raise ValueError(
                "The shape of the target variable and the shape of the target value in "
                f"`variable.assign(value)` must match. variable.shape={tuple(self.shape)}, "
                f"Received: value.shape={tuple(new.shape)}. Target variable: {self._name}"
            )
        with no_grad():
            self.copy_(new.detach())
        return self

    def assign_add(self, delta: Any) -> Variable:
        """Adds `delta`."""
        return self._step(operator.add, delta)

    def assign_sub(self, delta: Any) -> Variable:
        """Subtracts `delta`."""
        return self._step(operator.sub, delta)

    def _step(self, change: Callable[[Any, Any], Any], delta: Any) -> Variable:
        with no_grad():
            return self.assign(change(self, from_host(delta, self.dtype)))

    def __repr__(self, **kwargs: Any) -> str:
        kind = dtype_text(self.dtype)
        if self._path is not None:
            values = f"dtype={kind}, value={array(self)}"
            return f"<Variable path={self._path}, shape={self.shape}, {values}>"
        values = f"{array(self)!r}" if self.ndim else f"{array(self)}"
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={kind}, numpy={values}>"

    __str__ = __repr__
