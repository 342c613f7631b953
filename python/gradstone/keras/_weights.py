"""The weights of layers: making, finding, reading and writing them, and their penalties."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gradstone.autograd.grad_mode import no_grad
from gradstone.keras import initializers, regularizers
from gradstone.keras._tensor import Variable, array, dtype_of, from_host
from gradstone.nn import Module, ModuleDict, ModuleList


class WeightOwner(Module):
    """A module whose trained weights are its parameters and whose other weights are its buffers, in
    Keras's layout: what :class:`~gradstone.keras.layer.Layer` has to do with weights."""

    name: str
    built: bool
    _trainable: bool
    _losses: list[Any]

    # --------------------------------------------------------------------------------------- making

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
        make = initializers.get("glorot_uniform" if initializer is None else initializer)
        value = make(as_shape(shape), dtype_of(dtype))
        weight = Variable(value, trainable=trainable)
        name = name or f"variable{len(self._parameters) + len(self._buffers)}"
        weight._name, weight._path = name, f"{self.name}/{name}"
        weight.regularizer = regularizers.get(regularizer)
        key = f"_{name}" if hasattr(type(self), name) else name
        while self._parameters.get(key) is not None or self._buffers.get(key) is not None:
            key += "_"
        if weight.trainable:
            self._parameters[key] = weight
            weight.requires_grad_(self._trainable)
        else:
            self._buffers[key] = weight
        return weight

    def _make(self, name: str, shape: Any, wanted: bool = True, options: str = "") -> None:
        """The weight that ``self.{name}_initializer`` and ``_regularizer`` (or those of the name
        `options`) describe; None when it is not wanted."""
        if not wanted:
            self.register_parameter(name, None)
            return
        initializer = getattr(self, f"{options or name}_initializer")
        regularizer = getattr(self, f"{options or name}_regularizer")
        self.add_weight(shape, initializer, regularizer=regularizer, name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Lists and dicts of layers become gradstone's, so that what is in them is found."""
        if "_modules" not in self.__dict__:
            if isinstance(value, Module):
                raise RuntimeError(
                    f"In layer '{type(self).__name__}', you forgot to call `super().__init__()` as "
                    "the first statement in the `__init__()` method."
                )
        elif isinstance(value, Variable) and self._owns(value):
            object.__setattr__(self, name, value)  # made by add_weight: has its place already
            return
        elif isinstance(value, Variable) and not value.trainable:
            self._buffers[name] = value
            return
        elif not name.startswith("_") and isinstance(value, (list, tuple, dict)) and value:
            if all(
                isinstance(v, Module)
                for v in (value.values() if isinstance(value, dict) else value)
            ):
                value = ModuleDict(value) if isinstance(value, dict) else ModuleList(value)
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def _owns(self, value: Any) -> bool:
        return any(v is value for d in (self._parameters, self._buffers) for v in d.values())

    # -------------------------------------------------------------------------------------- finding

    def _sublayers(self) -> Iterable[WeightOwner]:
        """The layers directly below, also through gradstone's own containers."""
        waiting = list(self.children())
        while waiting:
            child = waiting.pop(0)
            if isinstance(child, WeightOwner):
                yield child
            else:
                waiting = [*child.children(), *waiting]

    @property
    def weights(self) -> list[Any]:
        """Every weight: of each layer the trained ones, then the others."""
        return _weights_in(self, trained=False)

    @property
    def trainable_weights(self) -> list[Any]:
        """Those that training changes."""
        return _weights_in(self, trained=True)

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Those that training does not change: statistics, and what is frozen."""
        trained = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in trained]

    variables, trainable_variables = weights, trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it below too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._set_trainable(bool(value))
        for layer in self._sublayers():
            layer.trainable = value

    def _set_trainable(self, value: bool) -> None:
        self._trainable = value
        for weight in self._own_trained():
            weight.requires_grad_(value)

    def _own_trained(self) -> list[Any]:
        return [p for p in self._parameters.values() if p is not None]

    # -------------------------------------------------------------------------- reading and writing

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
                "built. You can build it manually via: `layer.build(input_shape)`."
            )
        return sum(weight.numel() for weight in self.weights)

    # ------------------------------------------------------------------------------------ penalties

    def add_loss(self, loss: Any) -> None:
        """Adds a scalar, or several, to what ``fit`` minimises in this step."""
        self._losses += loss if isinstance(loss, (list, tuple)) else [loss]

    @property
    def losses(self) -> list[Any]:
        """What regularizers and ``add_loss`` add to the loss."""
        found = list(self._losses)
        if self._trainable:
            found += [w.regularizer(w) for w in self._own_trained() if has_penalty(w)]
        for layer in self._sublayers():
            found += layer.losses
        return found

    def _forget_losses(self) -> None:
        self._losses.clear()
        for layer in self._sublayers():
            layer._forget_losses()


def as_shape(shape: Any) -> tuple[Any, ...]:
    """A shape given as sizes or as one size."""
    return tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)


def has_penalty(weight: Any) -> bool:
    """Whether a regularizer was given for the weight."""
    return getattr(weight, "regularizer", None) is not None


def _weights_in(module: Module, trained: bool) -> list[Any]:
    """The weights of a module and all below, each once; `trained`: only those to be trained."""
    if trained and isinstance(module, WeightOwner) and not module._trainable:
        return []
    found = [*module._parameters.values()] + ([] if trained else [*module._buffers.values()])
    for child in module.children():
        found += _weights_in(child, trained)
    return list({id(w): w for w in found if w is not None}.values())
