"""``Layer``: what every layer and model of the Keras front end is.

A layer is a :class:`gradstone.nn.Module` whose weights are made on the first call, from the shapes
of its inputs, and kept in Keras's layout. Data are channels-last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gradstone import _C
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras import initializers, regularizers
from gradstone.keras._config import Configured
from gradstone.keras._symbolic import KerasTensor, Node, is_symbolic, leaves, map_leaves
from gradstone.keras._tensor import Base, Variable, array, from_host, wrap
from gradstone.nn import Module, ModuleDict, ModuleList

Shape = tuple[Any, ...]
_names: dict[str, int] = {}


class _Calls:
    """How deep in calls we are, and whether the outermost one trains."""

    depth = 0
    training = False


def snake_case(name: str) -> str:
    """ "max_pooling2d" for "MaxPooling2D"."""
    out = ""
    for i, letter in enumerate(name):
        before = name[i - 1] if i else ""
        after = name[i + 1] if i + 1 < len(name) else ""
        if letter.isupper() and i and (before.islower() or (after.islower() and before.isupper())):
            out += "_"
        out += letter.lower()
    return out.lstrip("_")


def unique_name(base: str) -> str:
    """base, base_1, base_2..."""
    count = _names.get(base, 0)
    _names[base] = count + 1
    return base if count == 0 else f"{base}_{count}"


def clear_names() -> None:
    """Names start from the beginning again."""
    _names.clear()


def dtype_of(dtype: Any) -> Any:
    """A dtype given as itself, as text or NumPy's."""
    if dtype is None or isinstance(dtype, _C.dtype):
        return dtype or _C.float32
    found = getattr(_C, dtype if isinstance(dtype, str) else np.dtype(dtype).name, None)
    if not isinstance(found, _C.dtype):
        raise ValueError(f"Invalid dtype: {dtype}")
    return found


def _as_tensor(value: Any) -> Any:
    """Arrays and numbers as tensors; fractions become float32, as Keras casts them."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = from_host(value)
    if isinstance(value, Base) and value.dtype == _C.float64:
        return _C._cast(value, _C.float32)
    return value


def _shape_of(value: Any) -> Any:
    """The shapes of nested tensors, each with None for the batch."""
    if isinstance(value, (list, tuple)):
        return [_shape_of(v) for v in value]
    if isinstance(value, dict):
        return {key: _shape_of(v) for key, v in value.items()}
    if isinstance(value, KerasTensor):
        return value.shape
    shape = tuple(Base.shape.__get__(value)) if isinstance(value, Base) else ()
    return (None, *shape[1:])


class Layer(Configured, Module):
    """Weights and a computation, ``call``.

    Subclasses write ``call(inputs, ...)``, which may take ``training`` and ``mask``, and
    ``build(input_shape)``, which makes the weights with :meth:`add_weight`. Called on symbolic
    tensors (:func:`Input`) a layer gives symbolic tensors. On NumPy arrays and on TensorFlow-like
    tensors it gives TensorFlow-like tensors, on gradstone's tensors gradstone's.
    """

    supports_masking = True
    # Layers that compute with fractions take whole numbers as float32.
    _casts_integers = False
    # Fewest and exact number of dimensions of the input, where that matters.
    _min_ndim: int | None = None
    _ndim: int | None = None

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        Module.__init__(self)
        self.training = False
        self.built = False
        self._trainable = bool(trainable)
        self._auto_named = name is None
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.compute_dtype = dtype_of(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._nodes: list[Node] = []
        self._losses: list[Any] = []
        self._output_shape: Any = None
        self._batch_shape: Shape | None = None
        if "input_shape" in kwargs:
            self._batch_shape = (None, *_tuple(kwargs.pop("input_shape")))
        if "input_dim" in kwargs:
            self._batch_shape = (None, kwargs.pop("input_dim"))
        for spelling in ("batch_input_shape", "batch_shape"):
            if spelling in kwargs:
                self._batch_shape = _tuple(kwargs.pop(spelling))
        if kwargs:
            raise ValueError(
                f"Unrecognized keyword arguments passed to {type(self).__name__}: {kwargs}"
            )

    # ------------------------------------------------------------------------------ for subclasses

    def build(self, input_shape: Any) -> None:
        """Makes the weights; nothing here."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; written by every subclass."""
        raise NotImplementedError(
            f"Layer {type(self).__name__} does not have a `call()` method implemented."
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Output shape (None for unknown sizes) for an input shape, found by running zeros of two
        sizes; layers that know it better write their own."""
        return _found_shape(self, (KerasTensor(input_shape),), {})

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        name: str | None = None,
        **ignored: Any,
    ) -> Variable:
        """A weight of this shape (Keras's layout). Without an initializer glorot_uniform."""
        if isinstance(shape, str):  # add_weight("name", shape), as before Keras 3
            shape, name = initializer if initializer is not None else (), shape
            initializer = ignored.pop("init", None)
        if initializer is None:
            initializer = "glorot_uniform"
        make = initializers.get(initializer)
        shape = _tuple(shape)
        weight = Variable(make(shape, dtype_of(dtype)), trainable=trainable)
        name = name or f"variable{len(self._parameters) + len(self._buffers)}"
        weight._name, weight._path = name, f"{self.name}/{name}"
        weight.regularizer = regularizers.get(regularizer)
        key = f"_{name}" if hasattr(type(self), name) else name
        while key in self._parameters or key in self._buffers:
            key += "_"
        if weight.trainable:
            self._parameters[key] = weight
            weight.requires_grad_(self._trainable)
        else:
            self._buffers[key] = weight
        return weight

    def add_loss(self, loss: Any) -> None:
        """Adds to what ``fit`` minimises in this step."""
        self._losses.append(loss)

    # -------------------------------------------------------------------------------------- calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if is_symbolic(args) or is_symbolic(kwargs):
            return self._call_symbolically(args, kwargs)
        plain = not _Calls.depth and all(type(t) is Base for t in leaves(args) if t is not None)
        args = map_leaves(_as_tensor, args)
        if (
            not _Calls.depth
            and args
            and isinstance(args[0], (list, tuple))
            and not _has_tensor(args[0])
        ):
            args = (_as_tensor(from_host(args[0])), *args[1:])
        if kwargs:
            kwargs = {k: _as_tensor(v) for k, v in kwargs.items()}
        if self._casts_integers and args and isinstance(args[0], Base):
            if not args[0].dtype.is_floating_point:
                args = (_C._cast(args[0], _C.float32), *args[1:])
        if self._ndim is not None or self._min_ndim is not None:
            self._check_ndim(tuple(args[0].shape))
        if not self.built:
            self._build_for(args, kwargs)
        result = self._run(args, kwargs)
        if self._output_shape is None:
            self._output_shape = _shape_of(result)
        return result if plain or _Calls.depth else wrap(result)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        training = kwargs.pop("training", None)
        outermost = _Calls.depth == 0
        if training is None:
            training = self.training if outermost else _Calls.training
        accepted = _accepted(type(self))
        if "training" in accepted:
            kwargs["training"] = bool(training)
        mask = kwargs.pop("mask", None)
        if mask is None and args:
            mask = getattr(args[0], "_keras_mask", None)
        if mask is not None and "mask" in accepted:
            kwargs["mask"] = mask
        before, _Calls.training = _Calls.training, bool(training)
        _Calls.depth += 1
        if outermost:
            self._forget_losses()
        try:
            result = Module.__call__(self, *args, **kwargs)
        finally:
            _Calls.depth -= 1
            _Calls.training = before
        if mask is not None and self.supports_masking and isinstance(result, Base):
            if not hasattr(result, "_keras_mask"):
                result._keras_mask = mask  # type: ignore[attr-defined]
        if self.activity_regularizer is not None:
            rows = max(1, leaves_of(result)[0].size(0))
            self.add_loss(sum(self.activity_regularizer(t) for t in leaves_of(result)) / rows)
        return result

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._build(_shape_of(args[0]) if args else None)

    def _build(self, input_shape: Any) -> None:
        self.build(tuple(input_shape) if isinstance(input_shape, tuple) else input_shape)
        self.built = True

    def _check_ndim(self, shape: Shape) -> None:
        wanted = f"ndim={self._ndim}" if self._ndim else f"min_ndim={self._min_ndim}"
        if (self._ndim and len(shape) != self._ndim) or len(shape) < (self._min_ndim or 0):
            raise ValueError(
                f"Input 0 of layer '{self.name}' is incompatible with the layer: expected "
                f"{wanted}, "
                f"found ndim={len(shape)}. Full shape received: {shape}"
            )

    def _check_last(self, shape: Any, size: int) -> None:
        if shape[-1] != size:
            raise ValueError(
                f"Input 0 of layer '{self.name}' is incompatible with the layer: expected axis -1 "
                "of "
                f"input shape to have value {size}, but received input with shape {tuple(shape)}"
            )

    def _call_symbolically(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if (self._ndim is not None or self._min_ndim is not None) and isinstance(
            args[0], KerasTensor
        ):
            self._check_ndim(args[0].shape)
        if not self.built:
            self._build_for(args, kwargs)
        shapes = self._symbolic_shapes(args, kwargs)
        self._output_shape = shapes
        node = Node(self, args, kwargs)
        dtype = self._output_dtype(args)
        outputs = _make_symbolic(shapes, dtype)
        for t in leaves(outputs):
            t._keras_history = node
            node.outputs.append(t)
        return outputs

    def _symbolic_shapes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if type(self).compute_output_shape is Layer.compute_output_shape:
            return _found_shape(self, args, kwargs)
        shape = _shape_of(args[0])
        return self.compute_output_shape(tuple(shape) if isinstance(shape, tuple) else shape)

    def _output_dtype(self, args: tuple[Any, ...]) -> Any:
        return _C.float32

    # -------------------------------------------------------------------------------------- weights

    def __setattr__(self, name: str, value: Any) -> None:
        """Lists and dicts of layers become gradstone's, so that what is in them is found."""
        if name.startswith("_") or "_modules" not in self.__dict__:
            pass
        elif (
            isinstance(value, (list, tuple)) and value and all(isinstance(v, Module) for v in value)
        ):
            value = ModuleList(value)
        elif (
            isinstance(value, dict) and value and all(isinstance(v, Module) for v in value.values())
        ):
            value = ModuleDict(value)
        elif isinstance(value, Variable) and self._owns(value):
            object.__setattr__(self, name, value)  # made by add_weight: has its place already
            return
        elif isinstance(value, Variable) and not value.trainable:
            self._buffers[name] = value
            return
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
            return
        super().__setattr__(name, value)

    def _owns(self, value: Any) -> bool:
        return any(v is value for d in (self._parameters, self._buffers) for v in d.values())

    def _own_weights(self) -> tuple[list[Any], list[Any]]:
        trained = [p for p in self._parameters.values() if p is not None]
        return trained, [b for b in self._buffers.values() if b is not None]

    def _sublayers(self) -> Iterable[Layer]:
        """The layers directly below, also through gradstone's own containers."""
        for child in self.children():
            yield from _layers_in(child)

    def _collect(self, pick: Callable[[Layer], list[Any]]) -> list[Any]:
        seen: dict[int, Any] = {}
        if pick is _trained_weights and not self._trainable:
            return []
        for weight in pick(self):
            seen.setdefault(id(weight), weight)
        for child in self.children():
            for layer in _layers_in(child):
                for weight in layer._collect(pick):
                    seen.setdefault(id(weight), weight)
            for weight in _plain_weights(child, pick):
                seen.setdefault(id(weight), weight)
        return list(seen.values())

    @property
    def weights(self) -> list[Any]:
        """Every weight: of each layer the trained ones, then the others."""
        return self._collect(lambda layer: sum(layer._own_weights(), []))

    variables = weights

    @property
    def trainable_weights(self) -> list[Any]:
        """Those that training changes."""
        return self._collect(_trained_weights)

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Those that training does not change: statistics, and what is frozen."""
        trained = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in trained]

    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it below too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for weight in self._own_weights()[0]:
            weight.requires_grad_(self._trainable)
        for layer in self._sublayers():
            layer.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights as NumPy arrays, in the order of :attr:`weights`."""
        return [array(weight).copy() for weight in self.weights]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Writes arrays as :meth:`get_weights` gives them. ValueError, and nothing written, when
        number or shapes differ."""
        own, given = self.weights, [np.asarray(array(w)) for w in weights]
        if len(own) != len(given):
            raise ValueError(
                f"You called `set_weights(weights)` on layer '{self.name}' with a weight list of "
                f"length {len(given)}, but the layer was expecting {len(own)} weights."
            )
        for weight, value in zip(own, given):
            if tuple(weight.shape) != value.shape:
                raise ValueError(
                    f"Layer {self.name} weight shape {tuple(weight.shape)} is not compatible with "
                    f"provided weight shape {value.shape}."
                )
        with no_grad():
            for weight, value in zip(own, given):
                weight.copy_(from_host(value, weight.dtype))

    def count_params(self) -> int:
        """How many numbers the weights have. ValueError before they are made."""
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't "
                "built. "
                "You can build it manually via: `layer.build(input_shape)`."
            )
        return sum(weight.numel() for weight in self.weights)

    @property
    def losses(self) -> list[Any]:
        """What regularizers and ``add_loss`` add to the loss."""
        found = list(self._losses)
        for weight in self._own_weights()[0]:
            if getattr(weight, "regularizer", None) is not None and self._trainable:
                found.append(weight.regularizer(weight))
        for layer in self._sublayers():
            found += layer.losses
        return found

    def _forget_losses(self) -> None:
        self._losses.clear()
        for layer in self._sublayers():
            layer._forget_losses()

    # ----------------------------------------------------------------------------------------- text

    @property
    def input(self) -> Any:
        """The symbolic input of the layer's only call."""
        return _single(self._nodes[0].inputs) if self._nodes else _never_called(self)

    @property
    def output(self) -> Any:
        """The symbolic output of the layer's only call."""
        return _single(self._nodes[0].outputs) if self._nodes else _never_called(self)

    @property
    def output_shape(self) -> Any:
        """The shape of the output, None for the batch. AttributeError before the first call."""
        if self._output_shape is None:
            raise AttributeError(
                f"The layer '{self.name}' has never been called: it has no output shape."
            )
        return self._output_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments and the name."""
        return super().get_config() | {"name": self.name}

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _tuple(shape: Any) -> Shape:
    return tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)


def _single(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _never_called(layer: Layer) -> Any:
    raise AttributeError(f"The layer '{layer.name}' has never been called on a symbolic tensor.")


def _has_tensor(value: Any) -> bool:
    return any(isinstance(v, Base) for v in leaves(value))


def leaves_of(result: Any) -> list[Any]:
    """The tensors of a result."""
    return [t for t in leaves(result) if isinstance(t, Base)]


def _trained_weights(layer: Layer) -> list[Any]:
    return layer._own_weights()[0]


def _layers_in(module: Any) -> Iterable[Layer]:
    if isinstance(module, Layer):
        yield module
        return
    for child in module.children():
        yield from _layers_in(child)


def _plain_weights(module: Any, pick: Callable[[Layer], list[Any]]) -> list[Any]:
    """Parameters (and, where all weights are wanted, buffers) of modules that are no layers."""
    if isinstance(module, Layer):
        return []
    found = [p for p in module._parameters.values() if p is not None]
    if pick is not _trained_weights:
        found += [b for b in module._buffers.values() if b is not None]
    for child in module.children():
        found += _plain_weights(child, pick)
    return found


_accepted_arguments: dict[type, tuple[str, ...]] = {}


def _accepted(cls: type) -> tuple[str, ...]:
    """Names of the arguments of ``call``."""
    if cls not in _accepted_arguments:
        code = cls.call.__code__  # type: ignore[attr-defined]
        count = code.co_argcount + code.co_kwonlyargcount
        _accepted_arguments[cls] = code.co_varnames[:count]
    return _accepted_arguments[cls]


def _make_symbolic(shapes: Any, dtype: Any) -> Any:
    if isinstance(shapes, tuple) and all(s is None or isinstance(s, int) for s in shapes):
        return KerasTensor(shapes, dtype)
    if isinstance(shapes, dict):
        return {key: _make_symbolic(s, dtype) for key, s in shapes.items()}
    return [_make_symbolic(s, dtype) for s in shapes]


def _found_shape(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The shapes that come out when zeros of two sizes go in; where they differ, None."""

    def run(batch: int, other: int) -> Any:
        def zeros(leaf: Any) -> Any:
            if not isinstance(leaf, KerasTensor):
                return leaf
            sizes = [other if s is None else s for s in leaf.shape]
            if leaf.shape and leaf.shape[0] is None:
                sizes[0] = batch
            return _C._full(tuple(sizes), 0, leaf.dtype)

        options = map_leaves(zeros, kwargs) | {"training": False}
        with no_grad():
            out = layer(*map_leaves(zeros, args), **options)
        return map_leaves(lambda t: tuple(Base.shape.__get__(t)), out)

    return _merge_shapes(run(1, 32), run(2, 33))


def _merge_shapes(a: Any, b: Any) -> Any:
    if isinstance(a, dict):
        return {key: _merge_shapes(a[key], b[key]) for key in a}
    if isinstance(a, tuple) and all(isinstance(s, int) for s in a):
        return tuple(x if x == y else None for x, y in zip(a, b))
    return [_merge_shapes(x, y) for x, y in zip(a, b)]
