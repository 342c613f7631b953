"""The graph of operations behind a tensor, as text in the DOT language.

    from gradstone.graph_picture import make_dot

    loss = criterion(model(x), y)
    Path("graph.dot").write_text(make_dot(loss, model))

``dot -Tsvg graph.dot -o graph.svg`` (Graphviz) draws it, and so do many editors and web pages. The
language: https://graphviz.org/doc/info/lang.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradstone._C import Node, Tensor
from gradstone.autograd.grad_mode import enable_grad
from gradstone.model_summary.inputs import tensors_in
from gradstone.nn import Module

__all__ = ["make_dot"]

_LEAF = 'fillcolor="lightblue"'
_OUTPUT = 'fillcolor="palegreen"'
_DIRECTIONS = ("TB", "LR", "BT", "RL")


def quoted(text: str) -> str:
    """A DOT string that shows exactly `text`; a newline begins a new line."""
    out = []
    for char in text:
        if char == "\n":
            out.append("\\n")
        elif char in '"\\':
            out.append("\\" + char)
        else:
            out.append(char if char.isprintable() else f"\\\\x{ord(char):02x}")
    return '"' + "".join(out) + '"'


def _node_of(tensor: Tensor) -> Node:
    """Where the gradient of a tensor goes: its operation, or what adds into a leaf's ``.grad``."""
    if tensor.grad_fn is not None:
        return tensor.grad_fn
    with enable_grad():
        view = tensor.view_as(tensor).grad_fn
    leaf = None if view is None else view.next_functions[0][0]
    assert leaf is not None, "a view of a leaf leads to the leaf"
    return leaf


def make_dot(
    outputs: Tensor | Sequence[Any] | dict[Any, Any],
    names: Module | Mapping[str, Tensor] | None = None,
    *,
    direction: str = "TB",
) -> str:
    """DOT text of the operations that led to the outputs: a box for each operation, a blue one for
    each leaf, a green one for each output, with their shapes; arrows go the way the values went.

    outputs: a tensor, or the tensors of a nest of lists, tuples and dicts, as a model gives it.
    names: the model, whose parameters are then shown with their names, or tensors by name, leaves
    or results. Of an operation with several outputs the box shows the first one's shape; an arrow
    from a later one carries its number and its shape. direction: "TB" (from top to bottom), "LR",
    "BT" or "RL".

    ValueError for an output that no gradient leads back from, for none, or another direction.
    """
    roots = tensors_in(outputs if isinstance(outputs, (Tensor, dict)) else list(outputs))
    if not roots:
        raise ValueError("[make_dot] expected tensors as outputs, got none.")
    for i, root in enumerate(roots):
        if not root.requires_grad:
            raise ValueError(
                f"[make_dot] output {i} of shape {tuple(root.shape)} has no graph: it does not "
                "require a gradient."
            )
    if direction not in _DIRECTIONS:
        raise ValueError(f"[make_dot] expected direction to be one of {_DIRECTIONS}.")
    # Nodes are told apart by identity: these are held until the text is made.
    name_of: dict[Node, str] = {}
    given = dict(names.named_parameters() if isinstance(names, Module) else names or {})
    for name, tensor in given.items():
        if tensor.requires_grad:
            name_of[_node_of(tensor)] = name
    nodes = _nodes([_node_of(root) for root in roots])
    number = {node: i for i, node in enumerate(nodes)}
    lines = [
        "digraph {",
        f"  rankdir={direction};",
        '  node [shape=box, style=filled, fillcolor="white", fontname="sans-serif"];',
    ]
    for node, i in number.items():
        leaf = node.name() == "AccumulateGrad"
        title = [] if leaf else [node.name().removesuffix("Backward")]
        title += [name_of[node]] if node in name_of else ["leaf"] if leaf else []
        text = quoted("\n".join([*title, _shape(node, 0)]))
        lines.append(f"  n{i} [label={text}{', ' + _LEAF if leaf else ''}];")
    for node, i in number.items():
        for source, slot in node.next_functions:
            if source is not None:
                later = f" [label={quoted(f'{slot}: {_shape(source, slot)}')}]" if slot else ""
                lines.append(f"  n{number[source]} -> n{i}{later};")
    for k, root in enumerate(roots):
        which = "output" if len(roots) == 1 else f"output {k}"
        text = quoted(f"{which}\n{tuple(root.shape)}")
        lines.append(f"  out{k} [label={text}, {_OUTPUT}];")
        lines.append(f"  n{number[_node_of(root)]} -> out{k};")
    return "\n".join([*lines, "}", ""])


def _shape(node: Node, output: int) -> str:
    return str(tuple(node.output_shapes[output]))


def _nodes(roots: list[Node]) -> list[Node]:
    """The roots and all nodes that lead to them, each once; no recursion, graphs are deep."""
    found: dict[Node, None] = {}
    waiting = roots[::-1]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found[node] = None
        waiting += [source for source, _ in reversed(node.next_functions) if source is not None]
    return list(found)
