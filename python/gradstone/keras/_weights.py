"""The weights of layers: making, finding, reading and writing them, and their penalties."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gradstone.autograd.grad_mode import no_grad
from gradstone.keras import initializers, regularizers
from gradstone.keras._names import dtype_of
from gradstone.keras._tensor import Variable, array, from_host
from gradstone.nn import Module, ModuleDict, ModuleList


class WeightOwner(Module):
    """A module whose trained weights are its parameters and whose other weights are its buffers, in
    Keras's layout: what :class:`~gradstone.keras.layer.Layer` has to do with weights."""

    name: str
    built: bool
    _trainable: bool
    _losses: list[Any]

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
        shape = as_shape(shape)
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

    def __setattr__(self, name: str, value: Any) -> None:
        """Lists and dicts of layers become gradstone's, so that what is in them is found."""
        if "_modules" not in self.__dict__ and isinstance(value, Module):
            raise RuntimeError(
                f"In layer '{type(self).__name__}', you forgot to call `super().__init__()` as the "
                "first statement in the `__init__()` method."
            )
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

    def _sublayers(self) -> Iterable[WeightOwner]:
        """The layers directly below, also through gradstone's own containers."""
        for child in self.children():
            yield from _layers_in(child)

    def _collect(self, pick: Callable[[WeightOwner], list[Any]]) -> list[Any]:
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


def as_shape(shape: Any) -> tuple[Any, ...]:
    """A shape given as sizes or as one size."""
    return tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)


def _trained_weights(layer: WeightOwner) -> list[Any]:
    return layer._own_weights()[0]


def _layers_in(module: Any) -> Iterable[WeightOwner]:
    if isinstance(module, WeightOwner):
        yield module
        return
    for child in module.children():
        yield from _layers_in(child)


def _plain_weights(module: Any, pick: Callable[[WeightOwner], list[Any]]) -> list[Any]:
    """Parameters (and, where all weights are wanted, buffers) of modules that are no layers."""
    if isinstance(module, WeightOwner):
        return []
    found = [p for p in module._parameters.values() if p is not None]
    if pick is not _trained_weights:
        found += [b for b in module._buffers.values() if b is not None]
    for child in module.children():
        found += _plain_weights(child, pick)
    return found
