"""``Model`` by subclassing, or from symbolic inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gradstone.keras._names import unique_name
from gradstone.keras._shapes import found_shape, shape_of
from gradstone.keras._summary import summary
from gradstone.keras._symbolic import Graph, KerasTensor, leaves
from gradstone.keras._tensor import Base
from gradstone.keras._training import Trainer
from gradstone.keras.layer import Layer, _never_called


class Model(Trainer, Layer):
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

    # ---------------------------------------------------------------------------- functional models

    def _connect(self, graph: Graph) -> None:
        self._graph = graph
        for node in graph.nodes:
            if node.layer not in self._modules.values():
                self._modules[free_key(self, node.layer.name)] = node.layer
        self.built = True
        self._output_shape = shapes_of(graph.outputs)

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
        return _never_called(self) if self._graph is None else self._graph.inputs

    @property
    def output(self) -> Any:
        """The symbolic output, nested as it was given."""
        return _never_called(self) if self._graph is None else self._graph.outputs

    @property
    def input_shape(self) -> Any:
        """Shapes of the inputs, None for the batch."""
        return shapes_of(self.input)

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The graph on these inputs; subclasses write their own."""
        if self._graph is None:
            raise NotImplementedError(
                f"Model {type(self).__name__} does not have a `call()` method implemented."
            )
        return self._graph.run(self._given_inputs(inputs))

    def _given_inputs(self, inputs: Any) -> list[Any]:
        """The data in the order of the inputs, checked against their shapes."""
        assert self._graph is not None
        wanted = self._graph.input_list
        if isinstance(inputs, dict) and not isinstance(self._graph.inputs, dict):
            missing = [t.name for t in wanted if t.name not in inputs]
            if missing:
                raise ValueError(
                    f"There are no data for the input {missing[0]!r}: got {list(inputs)}."
                )
            values = [inputs[t.name] for t in wanted]
        elif isinstance(self._graph.inputs, dict) and isinstance(inputs, dict):
            values = [inputs[key] for key in self._graph.inputs]
        else:
            values = list(leaves(inputs))
        if len(values) != len(wanted):
            raise ValueError(
                f"Layer '{self.name}' expects {len(wanted)} input(s), but it received "
                f"{len(values)} input "
                "tensors."
            )
        return [self._fitting(value, t, i) for i, (value, t) in enumerate(zip(values, wanted))]

    def _fitting(self, value: Any, t: KerasTensor, i: int) -> Any:
        shape = tuple(value.shape)
        if len(shape) == len(t.shape) - 1 and t.shape[-1] == 1 and isinstance(value, Base):
            value, shape = value.unsqueeze(-1), (*shape, 1)
        elif len(shape) == len(t.shape) + 1 and shape[-1] == 1 and isinstance(value, Base):
            value, shape = value.squeeze(-1), shape[:-1]
        fits = len(shape) == len(t.shape) and all(
            a is None or b is None or a == b for a, b in zip(shape[1:], t.shape[1:])
        )
        if not fits:
            raise ValueError(
                f"Input {i} with name '{t.name}' of layer '{self.name}' is incompatible with the "
                "layer: "
                f"expected shape={t.shape}, found shape={shape}"
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
                return shapes_of(self._graph.outputs)
        return super()._symbolic_shapes(args, kwargs)

    # --------------------------------------------------------------------------------------- layers

    @property
    def layers(self) -> list[Layer]:
        """The layers directly below, in order."""
        return [layer for layer in self._sublayers() if isinstance(layer, Layer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer with this name or at this place. ValueError when there is none."""
        if index is not None:
            if index >= len(self.layers):
                raise ValueError(
                    f"Was asked to retrieve layer at index {index} but model only has "
                    f"{len(self.layers)} layers."
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"No such layer: {name}. Existing layers are: {[layer.name for layer in self.layers]}."
        )

    def _flatten_layers(self) -> Iterable[Layer]:
        """This and every layer below."""
        yield self
        for module in self.modules():
            if isinstance(module, Layer) and module is not self:
                yield module

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

    def _connected_nodes(self) -> list[Any]:
        """The graph's calls, where they are more than a chain."""
        return [] if self._graph is None else self._graph.nodes

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
        from gradstone.keras.saving import save_model

        save_model(self, filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the weights alone."""
        from gradstone.keras.saving import save_weights

        save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **ignored: Any) -> None:
        """Reads what :meth:`save_weights` or :meth:`save` wrote. ValueError when it does not "
        "fit."""
        from gradstone.keras.saving import load_weights

        load_weights(self, filepath, skip_mismatch)

    def get_config(self) -> dict[str, Any]:
        """What :meth:`from_config` takes."""
        if self._graph is not None and type(self) is Model:
            from gradstone.keras.saving import graph_config

            return graph_config(self, self._graph)
        return super().get_config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Made anew, with fresh weights."""
        if cls is Model:
            from gradstone.keras.saving import model_from_graph

            return model_from_graph(config, custom_objects)
        return cls(**config)

    def to_json(self, **kwargs: Any) -> str:
        """The structure as text."""
        import json

        from gradstone.keras._config import serialize

        return json.dumps(serialize(self, "model"), **kwargs)


def free_key(model: Model, name: str) -> str:
    """A name for a child that holds no dot and that the model has no attribute of."""
    key = base = name.replace(".", "_")
    count = 1
    while hasattr(model, key):
        key, count = f"{base}_{count}", count + 1
    return key


def shapes_of(tensors: Any) -> Any:
    if isinstance(tensors, KerasTensor):
        return tensors.shape
    if isinstance(tensors, dict):
        return {key: shapes_of(t) for key, t in tensors.items()}
    return [shapes_of(t) for t in tensors]


def _symbols(shape: Any) -> Any:
    """Symbolic tensors for a shape, or for nested shapes."""
    if isinstance(shape, dict):
        return {key: _symbols(s) for key, s in shape.items()}
    if any(isinstance(s, (list, tuple)) for s in shape):
        return [_symbols(s) for s in shape]
    return KerasTensor((None, *shape[1:]))
