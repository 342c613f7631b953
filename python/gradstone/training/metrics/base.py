"""The base class of metrics: counts that grow batch by batch, and the figure made of them."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad

Sums = dict[str, Tensor]


class Metric:
    """``update(output, target)`` for each batch, ``compute()`` for the figure, ``reset()``.

    A subclass writes ``_count`` (what one batch adds: int64 or float64 tensors by name) and
    ``_result`` (the figure of the sums). `_layout` names the sums with their shapes, None for a
    shape that the data decide. ``update`` checks first and adds last: a batch that is refused
    leaves no trace. On a GPU nothing is read back before ``compute``.

    `target` may be a pair (target, sample weights), as ``WeightedLoss`` takes it: metrics count
    every sample once and leave the weights aside.

    Before anything was counted, ``compute`` gives NaN: 0 of 0.
    """

    _layout: dict[str, tuple[int, ...] | None] = {}

    def __init__(self) -> None:
        self._sums: Sums = {}

    def _count(self, output: Tensor, target: Tensor) -> Sums:
        raise NotImplementedError(f"{type(self).__name__} does not say what a batch adds.")

    def _result(self, sums: Sums) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say what its counts mean.")

    def _nothing(self) -> Any:
        """The figure before the first batch."""
        return float("nan")

    def _merge(self, sums: Sums, counts: Sums) -> Sums:
        """The sums with one more batch in them."""
        return {name: sums[name] + counts[name] for name in counts}

    @no_grad()
    def update(self, output: Any, target: Any) -> None:
        """Adds one batch. ValueError for shapes and labels that do not fit, TypeError for dtypes
        and kinds."""
        if isinstance(target, (tuple, list)) and len(target) == 2:
            target = target[0]
        for name, value in (("output", output), ("target", target)):
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"[{type(self).__name__}] expected {name} to be a tensor, got "
                    f"{type(value).__name__}."
                )
        counts = self._count(output.detach(), target.detach())
        if self._sums:
            first = next(iter(counts.values()))
            before = self._sums
            if next(iter(before.values())).device != first.device:
                before = {k: _C._to_device(v, first.device) for k, v in before.items()}
            counts = self._merge(before, counts)
        self._sums = counts

    def compute(self) -> Any:
        """The figure over all batches since ``reset``: a float, or a tensor where the class says
        so."""
        return self._result(self._sums) if self._sums else self._nothing()

    def reset(self) -> None:
        """Forgets all batches."""
        self._sums = {}

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of the counts; empty before the first batch."""
        return {name: value.clone() for name, value in self._sums.items()}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Takes a copy of what ``state_dict`` gave. ValueError for another metric's, or for
        another number of classes."""
        what = type(self).__name__
        if state_dict and set(state_dict) != set(self._layout):
            raise ValueError(
                f"[{what}] expected a state with {sorted(self._layout)}, got {sorted(state_dict)}."
            )
        for name, value in state_dict.items():
            shape = self._layout[name]
            if shape is not None and tuple(value.shape) != shape:
                raise ValueError(
                    f"[{what}] expected {name} of shape {shape}, got {tuple(value.shape)}."
                )
        self._sums = {name: value.clone() for name, value in state_dict.items()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def ratio(part: Tensor, whole: Tensor) -> float:
    """part / whole, NaN for nothing of nothing."""
    below = whole.item()
    return part.item() / below if below else float("nan")


def same_shape(op: str, output: Tensor, target: Tensor) -> None:
    """ValueError unless the shapes are one."""
    if output.shape != target.shape:
        raise ValueError(
            f"[{op}] expected output and target of one shape, got {tuple(output.shape)} and "
            f"{tuple(target.shape)}."
        )
