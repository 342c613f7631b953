"""A model as a table: layers, output shapes, parameters, multiply-adds, memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradstone import nn
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike
from gradstone.model_summary.calls import Place, Watch, tree
from gradstone.model_summary.inputs import DTypes, call_arguments, tensors_in
from gradstone.model_summary.multiply_adds import Formula
from gradstone.model_summary.products import counting
from gradstone.model_summary.table import table
from gradstone.model_summary.undisturbed import undisturbed

__all__ = ["ModelSummary", "Row", "summary"]


@dataclass(frozen=True)
class Row:
    """One module. What it counts is its own; that of a row whose children `depth` hides is theirs
    too. So the rows of a summary add up to its totals.

    path: the module's dotted name, "" for the model. kind: its class. depth: 0 for the model.
    calls: how often it ran. output_shapes: of every tensor that the first call gave, None when
    there was none. parameters: elements of parameters that no earlier row has; shared_parameters:
    of those that one has, in the module that shared_with names. trainable: "yes", "no", "partly",
    or "" without parameters. multiply_adds: of all calls.
    output_bytes: what all calls gave, but for results that lie in the memory of an input or of
    what another module gave: views, results written in place, a container's.
    """

    path: str
    kind: str
    depth: int
    calls: int
    output_shapes: list[tuple[int, ...]] | None
    parameters: int
    trainable_parameters: int
    shared_parameters: int
    shared_with: str | None
    trainable: str
    multiply_adds: int
    output_bytes: int
    parameter_bytes: int


@dataclass(frozen=True)
class ModelSummary:
    """The rows, in the order of the calls, and their totals; ``str()`` gives the table.

    Counts are of elements and of multiply-adds, memory is in bytes. Without an input, input_bytes
    is None, and multiply_adds and output_bytes are 0.
    """

    rows: list[Row]
    total_parameters: int
    trainable_parameters: int
    multiply_adds: int
    input_bytes: int | None
    output_bytes: int
    parameter_bytes: int
    buffer_bytes: int

    @property
    def total_bytes(self) -> int:
        """Input, outputs, parameters and buffers together."""
        return (
            (self.input_bytes or 0) + self.output_bytes + self.parameter_bytes + self.buffer_bytes
        )

    def __str__(self) -> str:
        return table(self)

    __repr__ = __str__


def summary(
    model: nn.Module,
    input: Any = None,
    *,
    dtypes: DTypes = None,
    depth: int | None = None,
    mode: str | None = "eval",
    device: DeviceLike = None,
    formulas: Mapping[type, Formula] | None = None,
) -> ModelSummary:
    """Layers, output shapes, parameters, multiply-adds and memory of a model: print the result.

    input: what the model is called with once: a tensor; a shape, such as (32, 1, 28, 28), for
    zeros of this shape; a tuple of tensors and shapes for several arguments; a dict of these by
    argument name. None tells parameters alone. dtypes: of the tensors made from shapes, one or one
    for each; the model's own by default, ``gs.int64`` for indices. device: where they are made, the
    model's by default. depth: how many levels below the model get rows (all by default); what is
    hidden is added to the row above. mode: "eval" (default), "train", or None for the model's own.

    The call leaves no trace: modes, buffers, gradients and the default generator are as before.
    Hooks of your own run as in any call.

    Multiply-adds: layers have formulas (in ``model_summary.multiply_adds``); in modules of your own
    the products are counted that forward computes, with ``@`` or a function (``products``).
    `formulas`, {class: function(module, args, kwargs, output) -> int}, come before both: for one
    call, without the children's.

    TypeError for what is no module or no such input, ValueError for a wrong mode, depth or shape;
    an error of the model itself comes through, with a note that names the layer.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"[summary] expected a Module, got {type(model).__name__}.")
    if mode not in ("eval", "train", None):
        raise ValueError(f'[summary] expected mode "eval", "train" or None, got {mode!r}.')
    if depth is not None:
        whole("summary", "depth", depth)
    root = tree(model)
    given: list[Tensor] | None = None
    if input is not None:
        args, kwargs = call_arguments(model, input, dtypes, device)
        given = tensors_in([args, kwargs])
        watch = Watch(root, formulas or {})
        with undisturbed(model, mode), watch, counting(watch.count_product):
            try:
                model(*args, **kwargs)
            except Exception as error:
                if watch.running:
                    error.add_note(_where(watch.running[-1].place, dtypes))
                raise
        root.sort()
    return _summary(root, given, depth)


def _where(place: Place, dtypes: DTypes) -> str:
    """A note for an error of the model."""
    name = f"layer '{place.path}'" if place.path else "the model"
    note = f"[summary] while {name} ({type(place.module).__name__}) was called."
    if isinstance(place.module, nn.Embedding) and dtypes is None:
        note += " An input of indices needs dtypes=gs.int64."
    return note


def _summary(root: Place, given: list[Tensor] | None, depth: int | None) -> ModelSummary:
    own = _own_rows(root)
    rows: list[Row] = []

    def show(place: Place, level: int) -> None:
        if depth is not None and level >= depth:
            rows.append(_folded([own[id(p)] for p in place.walk()]))
            return
        rows.append(own[id(place)])
        for child in place.children:
            show(child, level + 1)

    show(root, 0)
    buffers = {id(b): b.nbytes for m in root.module.modules() for b in m.buffers(recurse=False)}
    return ModelSummary(
        rows=rows,
        total_parameters=sum(row.parameters for row in rows),
        trainable_parameters=sum(row.trainable_parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
        input_bytes=None if given is None else sum(t.nbytes for t in given),
        output_bytes=sum(row.output_bytes for row in rows),
        parameter_bytes=sum(row.parameter_bytes for row in rows),
        buffer_bytes=sum(buffers.values()),
    )


def _trainable(total: int, trained: int) -> str:
    if not total:
        return ""
    return "yes" if trained == total else "partly" if trained else "no"


def _own_rows(root: Place) -> dict[int, Row]:
    """By place: the row of a module alone, in the order of display."""
    owner: dict[int, str] = {}  # of a parameter or a module: the path it was first met at
    rows = {}
    for place in root.walk():
        parameters = list(place.module.parameters(recurse=False))
        shared_with = owner.get(id(place.module))
        new = [p for p in parameters if id(p) not in owner]
        old = [p for p in parameters if id(p) in owner]
        if old and shared_with is None:
            shared_with = owner[id(old[0])]
        for thing in (*new, place.module):
            owner.setdefault(id(thing), place.path)
        rows[id(place)] = Row(
            path=place.path,
            kind=type(place.module).__name__,
            depth=place.path.count(".") + bool(place.path),
            calls=place.calls,
            output_shapes=place.outputs,
            parameters=sum(p.numel() for p in new),
            trainable_parameters=sum(p.numel() for p in new if p.requires_grad),
            shared_parameters=sum(p.numel() for p in old),
            shared_with=shared_with,
            trainable=_trainable(
                sum(p.numel() for p in parameters),
                sum(p.numel() for p in parameters if p.requires_grad),
            ),
            multiply_adds=place.multiply_adds,
            output_bytes=place.output_bytes,
            parameter_bytes=sum(p.nbytes for p in new),
        )
    return rows


def _folded(rows: list[Row]) -> Row:
    """A module's row with those of all below it added."""
    first = rows[0]
    if len(rows) == 1:
        return first
    kinds = {row.trainable for row in rows if row.trainable}
    return Row(
        path=first.path,
        kind=first.kind,
        depth=first.depth,
        calls=first.calls,
        output_shapes=first.output_shapes,
        parameters=sum(row.parameters for row in rows),
        trainable_parameters=sum(row.trainable_parameters for row in rows),
        shared_parameters=sum(row.shared_parameters for row in rows),
        shared_with=first.shared_with,
        trainable=kinds.pop() if len(kinds) == 1 else "partly" if kinds else "",
        multiply_adds=sum(row.multiply_adds for row in rows),
        output_bytes=sum(row.output_bytes for row in rows),
        parameter_bytes=sum(row.parameter_bytes for row in rows),
    )
