"""``Sequential``: layers one after another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gradstone.keras._symbolic import Graph, KerasTensor
from gradstone.keras.layer import Layer
from gradstone.keras.layers.core import Input, InputLayer
from gradstone.keras.model import Model, free_key, shapes_of
from gradstone.nn import Module


class Sequential(Model):
    """Layers one after another. With an input shape on the first (or an ``Input`` before it) the
    weights are made at once, otherwise on the first call."""

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        Layer.__init__(self, name=name, trainable=trainable)
        self.optimizer = None
        self._tail: Any = None
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Appends a layer. ValueError for anything else, and for a name that is taken."""
        if isinstance(layer, KerasTensor):
            layer = layer._keras_history.layer
        if not isinstance(layer, (Layer, Module)):
            raise ValueError(
                "Only instances of `keras.Layer` can be added to a Sequential model. Received: "
                f"{layer} (of type {type(layer)})"
            )
        if not isinstance(layer, Layer):
            layer = _Wrapped(layer)
        if isinstance(layer, InputLayer):
            if self._tail is not None or self._own_layers():
                raise ValueError(
                    f"Sequential model '{self.name}' already has layers: an Input comes first."
                )
            self._head = self._tail = layer.output
            return
        if any(layer.name == known.name for known in self._own_layers()):
            raise ValueError(
                "All layers added to a Sequential model should have unique names. Name "
                f"'{layer.name}' is "
                "already the name of a layer in this model. Update the `name` argument to pass a "
                "unique name."
            )
        self._modules[free_key(self, layer.name)] = layer
        first = len(self._modules) == 1
        if self._tail is None and first:
            shape = layer._batch_shape
            if shape is None and isinstance(layer, Model) and layer._graph is not None:
                shape = layer.inputs[0].shape
            if shape is not None:
                self._head = self._tail = Input(batch_shape=shape)
        if self._tail is not None:
            self._extend(layer)

    def _extend(self, layer: Layer) -> None:
        self._tail = layer(self._tail)
        self.__dict__["_graph"] = Graph(self._head, self._tail)
        self._output_shape = shapes_of(self._tail)
        self.built = True

    def pop(self) -> None:
        """Takes the last layer away."""
        if not self._modules:
            raise TypeError("There are no layers in the model.")
        del self._modules[list(self._modules)[-1]]
        if self._tail is not None:
            rest = self._own_layers()
            self._tail = rest[-1].output if rest else self._head
            self.__dict__["_graph"] = Graph(self._head, self._tail) if rest else None

    def _own_layers(self) -> list[Any]:
        return list(self._modules.values())

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the input."""
        return self._own_layers()

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for inputs of this shape (with the batch first)."""
        if self._tail is not None or input_shape is None or not self._modules:
            return
        self._head = self._tail = Input(batch_shape=tuple(input_shape))
        for layer in self._own_layers():
            self._extend(layer)

    def _build(self, input_shape: Any) -> None:
        if isinstance(input_shape, tuple):
            self.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if self._graph is not None:
            (x,) = self._given_inputs(inputs)
        else:
            x = inputs
        for layer in self._own_layers():
            x = layer(x)
        return x

    def _connected_nodes(self) -> list[Any]:
        return []

    def get_config(self) -> dict[str, Any]:
        shape = None if self._tail is None else list(self._head.shape)
        return {"name": self.name, "layers": self._own_layers(), "batch_shape": shape}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        if "layers" not in config or cls is not Sequential and "batch_shape" not in config:
            return cls(**config)
        model = cls(name=config.get("name"))
        if config.get("batch_shape") is not None:
            model.add(InputLayer(batch_shape=tuple(config["batch_shape"])))
        for layer in config["layers"]:
            model.add(layer)
        return model


class _Wrapped(Layer):
    """One of gradstone's own modules as a layer. Cannot be saved with its structure."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module
        self.built = True

    def call(self, *args: Any) -> Any:
        return self.module(*args)
