"""``GradientTape``: gradients of what was computed inside a ``with`` block."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras._symbolic import leaves, map_leaves
from gradstone.keras._tensor import Base, Variable, from_host, wrap
from gradstone.nn import Parameter

_open: list[GradientTape] = []


class GradientTape:
    """Gradients with respect to variables, and to tensors that are watched.

    gradstone records every operation on a variable, inside a tape or not; a tape says when
    gradients are asked for. A tape that is not persistent gives gradients once. Inside another
    tape the gradients are recorded themselves, so that gradients of gradients can be had.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent
        self.watch_accessed_variables = watch_accessed_variables
        self._used = False
        self._watched: dict[int, Base] = {}

    def __enter__(self) -> GradientTape:
        _open.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _open.remove(self)

    def watch(self, tensor: Any) -> None:
        """What is computed from the tensor (or tensors) from now on can be differentiated."""
        for t in leaves(tensor):
            if not isinstance(t, Base):
                raise ValueError(
                    f"Passed in object {t} of type {type(t).__name__}, not tf.Tensor or "
                    "tf.Variable."
                )
            if not t.dtype.is_floating_point:
                raise ValueError(
                    f"The dtype of the watched tensor must be floating, got {t.dtype}."
                )
            self._watched[id(t)] = t
            if not t.requires_grad:
                t.requires_grad_(True)

    def watched_variables(self) -> tuple[Any, ...]:
        """The variables that were watched by hand."""
        return tuple(t for t in self._watched.values() if isinstance(t, Variable))

    def reset(self) -> None:
        """Forgets what was watched."""
        self._watched.clear()
        self._used = False

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Any = "none",
    ) -> Any:
        """The gradient of the sum of `target` for each of `sources`, nested as they are; None for a
        source that the target does not depend on ("zero" asks for zeros). RuntimeError the second
        time unless the tape is persistent."""
        self._use()
        flat = list(leaves(target))
        given = [None] * len(flat) if output_gradients is None else list(leaves(output_gradients))
        pairs = [(t, w) for t, w in zip(flat, given) if isinstance(t, Base) and t.requires_grad]
        targets = [t for t, _ in pairs]
        weights = [_ones(t) if w is None else from_host(w, t.dtype) for t, w in pairs]
        grads = self._gradients(targets, list(leaves(sources)), weights)
        if getattr(unconnected_gradients, "value", unconnected_gradients) == "zero":
            grads = [_zeros(t) if g is None else g for g, t in zip(grads, leaves(sources))]
        answers = iter(grads)
        return map_leaves(lambda t: wrap(next(answers)), sources)

    def _use(self) -> None:
        if self._used and not self.persistent:
            raise RuntimeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients "
                "(or jacobians)"
            )
        self._used = True

    def _gradients(self, targets: list[Any], sources: list[Any], weights: list[Any]) -> list[Any]:
        """For each source the gradient of the weighted sum of the targets, or None."""
        for t in sources:
            if not isinstance(t, Base):
                raise ValueError(
                    f"Expected sources to be tensors or variables, got {type(t).__name__}."
                )
        seen = [t for t in sources if self._sees(t)]
        if not targets or not seen:
            return [None] * len(sources)
        found = iter(_C.grad(targets, seen, weights, True, bool(_open), True))
        return [next(found) if self._sees(t) else None for t in sources]

    def _sees(self, t: Base) -> bool:
        """Whether the tape knows of the tensor: a variable (unless these are to be watched by
        hand), what was watched, and what was computed from such."""
        if not t.requires_grad:
            return False
        known = self.watch_accessed_variables if isinstance(t, Parameter) else t.grad_fn is not None
        return known or id(t) in self._watched

    def jacobian(self, target: Any, sources: Any, **ignored: Any) -> Any:
        """Each element of `target` by each element of the source (or of each source in a list):
        shape of the target, then of the source; None for a source that no element depends on."""
        self._use()
        flat, many = target.reshape(-1), list(leaves(sources))
        elements = [[flat[i]] for i in range(flat.numel())] if target.requires_grad else []
        rows = [self._gradients(element, many, [None]) for element in elements]

        def whole(column: int, t: Base) -> Any:
            parts = [row[column] for row in rows]
            if all(p is None for p in parts):
                return None
            stacked = _C.stack([_zeros(t) if p is None else p for p in parts])
            return wrap(stacked.reshape(*target.shape, *t.shape))

        answers = iter([whole(i, t) for i, t in enumerate(many)])
        return map_leaves(lambda t: next(answers), sources)

    def stop_recording(self) -> Any:
        """Inside the block nothing is recorded."""
        return no_grad()


def _zeros(t: Base) -> Base:
    return _C._full(tuple(t.shape), 0, t.dtype, t.device)


def _ones(t: Base) -> Base:
    return _C._full(tuple(t.shape), 1, t.dtype, t.device)
