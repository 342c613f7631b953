"""``Layer``: what every layer and model of the Keras front end is.

A layer is a :class:`gradstone.nn.Module` whose weights are made on the first call, from the shapes
of its inputs, and kept in Keras's layout. Data are channels-last.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gradstone import _C
from gradstone.keras import activations, initializers, regularizers
from gradstone.keras._config import Configured
from gradstone.keras._symbolic import (
    KerasTensor,
    Node,
    found_shape,
    is_symbolic,
    leaves,
    make_symbolic,
    map_leaves,
    shape_of,
)
from gradstone.keras._tensor import Base, dtype_of, from_host, unwrap, wrap
from gradstone.keras._weights import WeightOwner, as_shape
from gradstone.keras.backend import snake_case, unique_name
from gradstone.nn import Module

Shape = tuple[Any, ...]

# What an argument whose name ends so means when it is given by name.
_MEANINGS = {
    "activation": activations.get,
    "initializer": initializers.get,
    "regularizer": regularizers.get,
}


class _CallState(threading.local):
    """How deep in calls this thread is, and whether the call around trains."""

    depth = 0
    training = False


_Calls = _CallState()


def _as_tensor(value: Any) -> Any:
    """Arrays and numbers as tensors; their fractions become float32, as Keras casts them, and those
    of TensorFlow-like tensors. A tensor of gradstone's keeps its dtype."""
    if type(value) is Base:
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        value = from_host(value)
    if isinstance(value, Base) and value.dtype.is_floating_point and value.dtype != _C.float32:
        return _C._cast(value, _C.float32)
    return value


class Layer(Configured, WeightOwner):
    """Weights and a computation, ``call``.

    Subclasses write ``call(inputs, ...)``, which may take ``training`` and ``mask``, and
    ``build(input_shape)``, which makes the weights with :meth:`add_weight`. Called on symbolic
    tensors (:func:`Input`) a layer gives symbolic tensors. On NumPy arrays and on TensorFlow-like
    tensors it gives TensorFlow-like tensors, on gradstone's tensors gradstone's.
    """

    # Whether the steps that a mask on the input leaves out are left out of the output too.
    supports_masking = False
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
        self.name = name or unique_name(snake_case(type(self).__name__))
        if dtype_of(dtype) != _C.float32:
            raise ValueError(
                f"{type(self).__name__}: layers are made in float32, got dtype={dtype!r}; their "
                "to(), double() or half() changes it."
            )
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._nodes: list[Node] = []
        self._losses: list[Any] = []
        self._output_shape: Any = None
        self._batch_shape: Shape | None = None
        if "input_shape" in kwargs:
            self._batch_shape = (None, *as_shape(kwargs.pop("input_shape")))
        if "input_dim" in kwargs:
            self._batch_shape = (None, kwargs.pop("input_dim"))
        for spelling in ("batch_input_shape", "batch_shape"):
            if spelling in kwargs:
                self._batch_shape = as_shape(kwargs.pop(spelling))
        if kwargs:
            raise ValueError(
                f"Unrecognized keyword arguments passed to {type(self).__name__}: {kwargs}"
            )

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """Names of activations, initializers and regularizers become what they mean."""
        for name, value in arguments.items():
            meaning = _MEANINGS.get(name.rpartition("_")[2])
            super()._keep({name: value if meaning is None else meaning(value)})

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
        return found_shape(self, (KerasTensor(input_shape),), {})

    # -------------------------------------------------------------------------------------- calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not args and _accepted(type(self))[1] in kwargs:  # the input by its name
            args = (kwargs.pop(_accepted(type(self))[1]),)
        if len(args) == 1 and isinstance(args[0], Base) and not is_symbolic(kwargs):
            plain = type(args[0]) is Base  # one tensor: what nearly every call is
            args = (_as_tensor(args[0]),)
        elif is_symbolic(args) or is_symbolic(kwargs):
            return self._call_symbolically(args, kwargs)
        else:
            plain = all(type(t) is Base for t in leaves(args) if t is not None)
            args = map_leaves(_as_tensor, args)
        if not _Calls.depth and args and isinstance(args[0], (list, tuple)):
            if not any(isinstance(v, Base) for v in leaves(args[0])):  # numbers
                args = (_as_tensor(from_host(args[0])), *args[1:])
        if kwargs:
            kwargs = {k: _as_tensor(v) for k, v in kwargs.items()}
        if args and isinstance(args[0], Base):
            if self._casts_integers and not args[0].dtype.is_floating_point:
                args = (_C._cast(args[0], _C.float32), *args[1:])
            if self._ndim is not None or self._min_ndim is not None:
                self._check_ndim(tuple(Base.shape.__get__(args[0])))
        if not self.built:
            self._build_for(args, kwargs)
        result = self._run(args, kwargs)
        if self._output_shape is None:
            self._output_shape = shape_of(result)
        if _Calls.depth:
            return result
        return unwrap(result) if plain else wrap(result)

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
        if mask is not None and isinstance(result, Base) and not hasattr(result, "_keras_mask"):
            if self.supports_masking:
                result._keras_mask = mask  # type: ignore[attr-defined]
            elif "mask" not in accepted:
                self._warn_of_mask()
        if self.activity_regularizer is not None:
            outputs = [t for t in leaves(result) if isinstance(t, Base)]
            rows = max(1, outputs[0].size(0))
            self.add_loss(sum(self.activity_regularizer(t) for t in outputs) / rows)
        return result

    def _warn_of_mask(self) -> None:
        import warnings

        warnings.warn(
            f"Layer '{self.name}' (of type {type(self).__name__}) was passed an input with a mask "
            "attached to it. However, this layer does not support masking and will therefore "
            "destroy the mask information. Downstream layers will not see the mask.",
            stacklevel=2,
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._build(shape_of(args[0]) if args else None)

    def _build(self, input_shape: Any) -> None:
        self.build(input_shape)
        self.built = True

    def _check_ndim(self, shape: Shape) -> None:
        if (self._ndim and len(shape) != self._ndim) or len(shape) < (self._min_ndim or 0):
            wanted = f"ndim={self._ndim}" if self._ndim else f"min_ndim={self._min_ndim}"
            raise ValueError(
                f"Input 0 of layer '{self.name}' is incompatible with the layer: expected "
                f"{wanted}, found ndim={len(shape)}. Full shape received: {shape}"
            )

    def _check_last(self, shape: Any, size: int) -> None:
        if shape[-1] != size:
            raise ValueError(
                f"Input 0 of layer '{self.name}' is incompatible with the layer: expected axis -1 "
                f"of input shape to have value {size}, but received input with shape {tuple(shape)}"
            )

    def _call_symbolically(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(args[0], KerasTensor):
            self._check_ndim(args[0].shape)
        if not self.built:
            self._build_for(args, kwargs)
        self._output_shape = self._symbolic_shapes(args, kwargs)
        node = Node(self, args, kwargs)
        outputs = make_symbolic(self._output_shape)
        for t in leaves(outputs):
            t._keras_history = node
            node.outputs.append(t)
        return outputs

    def _symbolic_shapes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if type(self).compute_output_shape is Layer.compute_output_shape:
            return found_shape(self, args, kwargs)
        return self.compute_output_shape(shape_of(args[0]))

    # ----------------------------------------------------------------------------------------- text

    def _flatten_layers(self) -> Iterator[Layer]:
        """This and every layer below."""
        yield self
        for module in self.modules():
            if isinstance(module, Layer) and module is not self:
                yield module

    @property
    def input(self) -> Any:
        """The symbolic input of the layer's only call."""
        return _single(self._nodes[0].inputs) if self._nodes else never_called(self)

    @property
    def output(self) -> Any:
        """The symbolic output of the layer's only call."""
        return _single(self._nodes[0].outputs) if self._nodes else never_called(self)

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


def _single(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def never_called(layer: Layer) -> Any:
    raise AttributeError(f"The layer '{layer.name}' has never been called on a symbolic tensor.")


_accepted_arguments: dict[type, tuple[str, ...]] = {}


def _accepted(cls: type) -> tuple[str, ...]:
    """Names of the arguments of ``call``."""
    if cls not in _accepted_arguments:
        code = cls.call.__code__  # type: ignore[attr-defined]
        count = code.co_argcount + code.co_kwonlyargcount
        _accepted_arguments[cls] = code.co_varnames[:count]
    return _accepted_arguments[cls]
