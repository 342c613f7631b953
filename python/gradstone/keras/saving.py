"""Models in files that hold no code.

The file is gradstone's own safe format (:mod:`gradstone.serialization`, a safetensors file): the
weights, and as data the names and arguments of the layers. Reading makes gradstone's own classes
and those that the caller names, and nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from gradstone._C import Tensor
from gradstone.keras._config import deserialize, serialize
from gradstone.keras._config import register_keras_serializable as register_keras_serializable
from gradstone.keras._symbolic import Graph, KerasTensor, leaves, map_leaves
from gradstone.keras._tensor import Base, array

_FORMAT = "gradstone-keras-1"


# -------------------------------------------------------------------------------- functional models


def graph_config(model: Any, graph: Graph) -> dict[str, Any]:
    """The layers and calls of a graph as data. A symbolic tensor is {"node": i, "output": j}."""
    layers = list({id(node.layer): node.layer for node in graph.nodes}.values())
    number = {id(layer): i for i, layer in enumerate(layers)}
    place = {id(t): (i, j) for i, n in enumerate(graph.nodes) for j, t in enumerate(n.outputs)}

    def reference(leaf: Any) -> Any:
        if isinstance(leaf, KerasTensor):
            node, output = place[id(leaf)]
            return {"node": node, "output": output}
        return array(leaf) if isinstance(leaf, Base) else leaf

    calls = [
        {
            "layer": number[id(node.layer)],
            "args": map_leaves(reference, list(node.args)),
            "kwargs": map_leaves(reference, node.kwargs),
        }
        for node in graph.nodes
    ]
    return {
        "layers": layers,
        "calls": calls,
        "name": model.name,
        "inputs": map_leaves(reference, graph.inputs),
        "outputs": map_leaves(reference, graph.outputs),
    }


def graph_of(config: dict[str, Any]) -> dict[str, Any]:
    """The inputs, outputs and name of the model whose ``graph_config`` this is."""
    from gradstone.keras.layers import InputLayer

    outputs: list[list[Any]] = []

    def resolve(value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {"node", "output"}:
            return outputs[value["node"]][value["output"]]
        if isinstance(value, dict):
            return {key: resolve(v) for key, v in value.items()}
        return [resolve(v) for v in value] if isinstance(value, (list, tuple)) else value

    for call in config["calls"]:
        layer = config["layers"][call["layer"]]
        if isinstance(layer, InputLayer):
            outputs.append([layer.output])
        else:
            out = layer(*resolve(call["args"]), **resolve(call["kwargs"]))
            outputs.append(list(leaves(out)))
    return {k: resolve(config[k]) for k in ("inputs", "outputs")} | {"name": config["name"]}


def clone_model(model: Any) -> Any:
    """A model of the same structure with weights of its own."""
    return deserialize(serialize(model, "model"))


def model_from_json(text: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that ``to_json`` wrote down."""
    return deserialize(json.loads(text), custom_objects)


# -------------------------------------------------------------------------------------------- files


def _may_write(filepath: Any, overwrite: bool) -> None:
    if not overwrite and os.path.exists(filepath):
        raise ValueError(
            f"The file {os.fspath(filepath)} exists: pass overwrite=True to replace it."
        )


def _write(state: dict[str, Any], filepath: Any) -> None:
    from gradstone import serialization  # takes longer to import than all of this package

    serialization.save(state, filepath)


def _weights_of(model: Any) -> dict[str, Any]:
    own = list(model.weights)
    if not own:
        raise ValueError(
            f"The model '{model.name}' has no weights yet: call it on data or build it before it "
            "is saved."
        )
    return {"weights": [w.detach() for w in own], "paths": [getattr(w, "_path", None) for w in own]}


def save_model(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Writes structure, weights, compilation and the optimizer's state. TypeError, and nothing
    written, for what only code could say (a Lambda layer, a function of one's own)."""
    _may_write(filepath, overwrite)
    state: dict[str, Any] = {"format": _FORMAT, "model": serialize(model, "model")}
    state |= _weights_of(model)
    state["build_shape"] = serialize(model._built_for, "build_shape")
    compiled = model._compiled
    if compiled is not None:
        state["compile"] = {k: serialize(v, f"compile({k})") for k, v in compiled.items()}
        state["optimizer"] = model.optimizer.state_of(model.trainable_weights)
    state["trainable"] = [layer._trainable for layer in model._flatten_layers()]
    _write(state, filepath)


def load_model(
    filepath: Any,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model in a file that ``save`` wrote. Classes of one's own must be named in
    `custom_objects` (or registered)."""
    state = _read(filepath)
    if "model" not in state:
        raise ValueError(
            f"{os.fspath(filepath)} holds weights alone: make the model and use load_weights()."
        )
    try:
        return _made(state, os.fspath(filepath), custom_objects, compile)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{os.fspath(filepath)} does not describe a model that can be made here: "
            f"{type(error).__name__}: {error}"
        ) from error


def _made(
    state: dict[str, Any], name: str, custom_objects: Mapping[str, Any] | None, compile: bool
) -> Any:
    model = deserialize(state["model"], custom_objects)
    if state["build_shape"] is not None and model._graph is None:
        model.built = False
        model.build(state["build_shape"])
    _write_weights(model, state, name)
    for layer, flag in zip(model._flatten_layers(), state["trainable"]):
        layer._set_trainable(flag)
    if compile and "compile" in state:
        options = {k: deserialize(v, custom_objects) for k, v in state["compile"].items()}
        model.compile(**options)
        model.optimizer.restore(state["optimizer"], model.trainable_weights)
    return model


def save_weights(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Writes the weights."""
    _may_write(filepath, overwrite)
    _write({"format": _FORMAT, **_weights_of(model)}, filepath)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Reads weights into a model that has been built. ValueError, and nothing written, when number
    or shapes differ; with `skip_mismatch` those that differ are left."""
    _write_weights(model, _read(filepath), os.fspath(filepath), skip_mismatch)


def _read(filepath: Any) -> dict[str, Any]:
    with open(filepath, "rb") as file:
        start = file.read(4)
    if start[:2] == b"PK" or start == b"\x89HDF":
        raise ValueError(
            f"{os.fspath(filepath)} is a file of Keras itself, which is not read here. In Keras "
            "take the arrays of model.get_weights() and give them to set_weights(): the shapes are "
            "the same."
        )
    from gradstone import serialization

    state = serialization.load(filepath)
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise ValueError(f"{os.fspath(filepath)} is not a file that gradstone.keras wrote.")
    weights, paths = state.get("weights"), state.get("paths")
    lists = isinstance(weights, list) and isinstance(paths, list) and len(weights) == len(paths)
    if not lists or not all(isinstance(w, Tensor) for w in weights or ()):
        raise ValueError(f"{os.fspath(filepath)} is damaged: it holds no list of weights.")
    return state


def _write_weights(model: Any, state: dict[str, Any], name: str, skip: bool = False) -> None:
    own, given = model.weights, state["weights"]
    if not own:
        raise ValueError(
            f"The model '{model.name}' has no weights yet: call it on data or build it before "
            "weights are loaded."
        )
    if len(own) != len(given) and not skip:
        raise ValueError(
            f"{name} holds {len(given)} weights, the model '{model.name}' has {len(own)}."
        )
    fits = [tuple(w.shape) == tuple(v.shape) for w, v in zip(own, given)]
    if not all(fits) and not skip:
        i = fits.index(False)
        raise ValueError(
            f"{name}: weight {state['paths'][i]} has shape {tuple(given[i].shape)}, the model's "
            f"{getattr(own[i], '_path', i)} has {tuple(own[i].shape)}."
        )
    values = [array(v) if fit else array(w) for w, v, fit in zip(own, given, fits)]
    model.set_weights([*values, *[array(w) for w in own[len(values) :]]])
