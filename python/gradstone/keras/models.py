"""``Model`` by subclassing or from symbolic inputs and outputs, and ``Sequential``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from gradstone.keras import saving
from gradstone.keras._config import serialize
from gradstone.keras._printing import summary
from gradstone.keras._symbolic import Graph, KerasTensor, found_shape, leaves, shape_of
from gradstone.keras._tensor import Base
from gradstone.keras._training import Trainer
from gradstone.keras.backend import unique_name
from gradstone.keras.layer import Layer, never_called
from gradstone.keras.layers.core import Input, InputLayer
from gradstone.keras.saving import clone_model as clone_model
from gradstone.keras.saving import load_model as load_model
from gradstone.keras.saving import model_from_json as model_from_json
from gradstone.keras.saving import save_model as save_model
from gradstone.nn import Module


class Model(Trainer):
    """A network that can be trained, saved and summed up.

    ``Model(inputs, outputs)`` is the graph of layers between symbolic tensors; a subclass makes its
    layers in ``__init__`` and writes ``call``.
    """

    _graph: Graph | None = None
    _built_for: Any = None  # the input's shape, for a file

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any
    ) -> None:
        if (inputs is None) != (outputs is None):
            raise ValueError("A functional model needs both `inputs` and `outputs`.")
        if name is None and inputs is not None and type(self) is Model:
            name = unique_name("functional")
        Layer.__init__(self, name=name, **kwargs)
        self.optimizer = None
        if inputs is not None:
            self._connect(Graph(inputs, outputs))
            for node in self._graph.nodes:  # type: ignore[union-attr]
                if node.layer not in self._modules.values():
                    self._add_child(node.layer)

    def _connect(self, graph: Graph) -> None:
        self._graph = graph
        self.built = True
        self._output_shape = shape_of(graph.outputs)

    def _add_child(self, layer: Layer) -> None:
        """Under its name, unless that holds a dot or the model has such an attribute."""
        key = base = layer.name.replace(".", "_")
        count = 1
        while hasattr(self, key):
            key, count = f"{base}_{count}", count + 1
        self._modules[key] = layer

    # ---------------------------------------------------------------------------- functional models

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs of a functional model."""
        return [] if self._graph is None else self._graph.input_list

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs of a functional model."""
        return [] if self._graph is None else self._graph.output_list

    @property
    def input(self) -> Any:
        """The symbolic input, nested as it was given."""
        return never_called(self) if self._graph is None else self._graph.inputs

    @property
    def output(self) -> Any:
        """The symbolic output, nested as it was given."""
        return never_called(self) if self._graph is None else self._graph.outputs

    @property
    def input_shape(self) -> Any:
        """Shapes of the inputs, None for the batch."""
        return shape_of(self.input)

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The graph on these inputs; subclasses write their own."""
        if self._graph is None:
            return super().call(inputs)  # which says that there is none
        return self._graph.run(self._given_inputs(inputs))

    def _given_inputs(self, inputs: Any) -> list[Any]:
        """The data in the order of the inputs, checked against their shapes."""
        assert self._graph is not None
        wanted = self._graph.input_list
        if isinstance(inputs, dict):
            own = self._graph.inputs
            names = list(own) if isinstance(own, dict) else [t.name for t in wanted]
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(
                    f"There are no data for the input {missing[0]!r}: got {list(inputs)}."
                )
            values = [inputs[name] for name in names]
        else:
            values = list(leaves(inputs))
        if len(values) != len(wanted):
            raise ValueError(
                f"Layer '{self.name}' expects {len(wanted)} input(s), but it received "
                f"{len(values)} input tensors."
            )
        return [self._fitting(value, t, i) for i, (value, t) in enumerate(zip(values, wanted))]

    def _fitting(self, value: Any, t: KerasTensor, i: int) -> Any:
        shape = tuple(value.shape)
        if len(shape) == len(t.shape) - 1 and t.shape[-1] == 1 and isinstance(value, Base):
            value, shape = value.unsqueeze(-1), (*shape, 1)
        elif len(shape) == len(t.shape) + 1 and shape[-1] == 1 and isinstance(value, Base):
            value, shape = value.squeeze(-1), shape[:-1]
        pairs = zip(shape[1:], t.shape[1:])
        if len(shape) != len(t.shape) or any(a != b and None not in (a, b) for a, b in pairs):
            raise ValueError(
                f"Input {i} with name '{t.name}' of layer '{self.name}' is incompatible with the "
                f"layer: expected shape={t.shape}, found shape={shape}"
            )
        return value

    def _graph_output_names(self) -> list[str]:
        if self._graph is None:
            return []
        if isinstance(self._graph.outputs, dict):
            return list(self._graph.outputs)
        names: list[str] = []
        for t in self._graph.output_list:
            name, count = t._keras_history.layer.name, 1
            while name in names:
                name, count = f"{t._keras_history.layer.name}_{count}", count + 1
            names.append(name)
        return names

    def _symbolic_shapes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._graph is not None:
            given = [t.shape for t in leaves(args) if isinstance(t, KerasTensor)]
            if given == [t.shape for t in self._graph.input_list]:
                return shape_of(self._graph.outputs)
        return super()._symbolic_shapes(args, kwargs)

    def _connected_nodes(self) -> list[Any]:
        """The graph's calls, where they are more than a chain."""
        return [] if self._graph is None else self._graph.nodes

    # --------------------------------------------------------------------------------------- layers

    @property
    def layers(self) -> list[Layer]:
        """The layers directly below, in order."""
        return [layer for layer in self._sublayers() if isinstance(layer, Layer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer with this name or at this place. ValueError when there is none."""
        layers = self.layers
        if index is not None:
            if index >= len(layers):
                raise ValueError(
                    f"Was asked to retrieve layer at index {index} but model only has "
                    f"{len(layers)} layers."
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"No such layer: {name}. Existing layers are: {[layer.name for layer in layers]}."
        )

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights of all layers for inputs of this shape (with the batch first)."""
        if self.built or input_shape is None or type(self).call is Model.call:
            return
        # While this runs the model counts as built, else its call would come back here.
        self.built = True
        self._built_for = input_shape
        self._output_shape = found_shape(self, (_symbols(input_shape),), {})

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._built_for = shape_of(args[0]) if args else None
        super()._build_for(args, kwargs)

    def _build(self, input_shape: Any) -> None:
        if type(self).build is not Model.build:
            self.build(input_shape)
        self.built = True  # the layers build themselves when they are called

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Prints layers, output shapes and numbers of parameters."""
        summary(self, line_length, print_fn, expand_nested)

    # ---------------------------------------------------------------------------------------- files

    def save(self, filepath: Any, overwrite: bool = True, **ignored: Any) -> None:
        """Writes structure, weights and, when compiled, how it was compiled and the optimizer's
        state, to one file that holds no code."""
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the weights alone."""
        saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **ignored: Any) -> None:
        """Reads what ``save_weights`` or ``save`` wrote. ValueError when it does not fit."""
        saving.load_weights(self, filepath, skip_mismatch)

    def get_config(self) -> dict[str, Any]:
        """What :meth:`from_config` takes."""
        if self._graph is not None and type(self) is Model:
            return saving.graph_config(self, self._graph)
        return super().get_config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Made anew, with fresh weights."""
        if cls is Model:
            return Model(**saving.graph_of(config))
        return cls(**config)

    def to_json(self, **kwargs: Any) -> str:
        """The structure as text."""
        return json.dumps(serialize(self, "model"), **kwargs)


def _symbols(shape: Any) -> Any:
    """Symbolic tensors for a shape, or for nested shapes."""
    if isinstance(shape, dict):
        return {key: _symbols(s) for key, s in shape.items()}
    if any(isinstance(s, (list, tuple)) for s in shape):
        return [_symbols(s) for s in shape]
    return KerasTensor((None, *shape[1:]))


class Sequential(Model):
    """Layers one after another. With an input shape on the first (or an ``Input`` before it) the
    weights are made at once, otherwise on the first call."""

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        Layer.__init__(self, name=name, trainable=trainable)
        self.optimizer = None
        self._head: Any = None  # the symbolic input and output, when the input's shape is known
        self._tail: Any = None
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the input."""
        return list(self._modules.values())  # type: ignore[arg-type]

    def add(self, layer: Any) -> None:
        """Appends a layer. ValueError for anything else, and for a name that is taken."""
        if isinstance(layer, KerasTensor):
            layer = layer._keras_history.layer
        if not isinstance(layer, Module):
            raise ValueError(
                "Only instances of `keras.Layer` can be added to a Sequential model. Received: "
                f"{layer} (of type {type(layer)})"
            )
        if not isinstance(layer, Layer):
            layer = _Wrapped(layer)
        if isinstance(layer, InputLayer):
            if self._head is not None or self.layers:
                raise ValueError(
                    f"Sequential model '{self.name}' already has layers: an Input comes first."
                )
            self._head = self._tail = layer.output
            return
        if any(layer.name == known.name for known in self.layers):
            raise ValueError(
                f"All layers added to a Sequential model should have unique names. Name "
                f"'{layer.name}' is already the name of a layer in this model. Update the `name` "
                "argument to pass a unique name."
            )
        self._add_child(layer)
        if self._head is None and len(self.layers) == 1:
            shape = layer._batch_shape
            if shape is None and isinstance(layer, Model) and layer._graph is not None:
                shape = layer.inputs[0].shape
            if shape is not None:
                self._head = self._tail = Input(batch_shape=shape)
        if self._head is not None:
            self._extend(layer)

    def _extend(self, layer: Layer) -> None:
        self._tail = layer(self._tail)
        self._connect(Graph(self._head, self._tail))

    def pop(self) -> None:
        """Takes the last layer away."""
        if not self._modules:
            raise TypeError("There are no layers in the model.")
        del self._modules[list(self._modules)[-1]]
        if self._head is not None:
            self._tail = self.layers[-1].output if self.layers else self._head
            if self.layers:
                self._connect(Graph(self._head, self._tail))
            else:
                self._graph = None

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for inputs of this shape (with the batch first)."""
        if self._head is not None or input_shape is None or not self._modules:
            return
        self._head = self._tail = Input(batch_shape=tuple(input_shape))
        for layer in self.layers:
            self._extend(layer)

    def _build(self, input_shape: Any) -> None:
        if isinstance(input_shape, tuple):
            self.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        x = inputs if self._graph is None else self._given_inputs(inputs)[0]
        for layer in self._modules.values():
            x = layer(x)  # type: ignore[misc]
        return x

    def _connected_nodes(self) -> list[Any]:
        return []

    def get_config(self) -> dict[str, Any]:
        shape = None if self._head is None else list(self._head.shape)
        return {"name": self.name, "layers": self.layers, "batch_shape": shape}

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
