"""``GradientTape``: gradients of what was computed inside a ``with`` block."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone.keras._symbolic import leaves, map_leaves
from gradstone.keras._tensor import Base, Variable, wrap

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
        if self._used and not self.persistent:
            raise RuntimeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients "
                "(or jacobians)"
            )
        self._used = True
        targets = [t for t in leaves(target) if isinstance(t, Base) and t.requires_grad]
        wanted = list(leaves(sources))
        for t in wanted:
            if not isinstance(t, Base):
                raise ValueError(
                    f"Expected sources to be tensors or variables, got {type(t).__name__}."
                )
        grads: list[Any] = [None] * len(wanted)
        reachable = [i for i, t in enumerate(wanted) if t.requires_grad and self._may_see(t)]
        if targets and reachable:
            found = _C.grad(
                targets,
                [wanted[i] for i in reachable],
                _weights(targets, target, output_gradients),
                True,
                bool(_open),
                True,
            )
            for i, g in zip(reachable, found):
                grads[i] = g
        if getattr(unconnected_gradients, "value", unconnected_gradients) == "zero":
            grads = [
                _C._full(tuple(t.shape), 0, t.dtype) if g is None else g
                for g, t in zip(grads, wanted)
            ]
        answers = iter(grads)
        return map_leaves(lambda t: wrap(next(answers)), sources)

    def _may_see(self, t: Base) -> bool:
        return (
            self.watch_accessed_variables or not isinstance(t, Variable) or id(t) in self._watched
        )

    def jacobian(self, target: Any, sources: Any, **ignored: Any) -> Any:
        """Each element of `target` by each element of the source (or of each source in a list):
        shape of the target, then of the source."""
        if self._used and not self.persistent:
            raise RuntimeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients "
                "(or jacobians)"
            )
        self._used = True
        flat = target.reshape(-1)
        many = list(leaves(sources))
        rows = [
            _C.grad([flat[i]], many, [None], True, bool(_open), True) for i in range(flat.numel())
        ]

        def whole(column: int, t: Base) -> Any:
            parts = [r[column] for r in rows]
            if all(p is None for p in parts):
                return None
            zero = _C._full(tuple(t.shape), 0, t.dtype)
            stacked = _C.stack([zero if p is None else p for p in parts])
            return wrap(stacked.reshape(*target.shape, *t.shape))

        answers = iter([whole(i, t) for i, t in enumerate(many)])
        return map_leaves(lambda t: next(answers), sources)

    def stop_recording(self) -> Any:
        """Inside the block nothing is recorded."""
        from gradstone.autograd.grad_mode import no_grad

        return no_grad()


def _weights(targets: list[Base], target: Any, given: Any) -> list[Any]:
    """What each target's gradient is multiplied with: ones, or what was given."""
    flat = [None] * len(list(leaves(target))) if given is None else list(leaves(given))
    pairs = [
        (t, w) for t, w in zip(leaves(target), flat) if isinstance(t, Base) and t.requires_grad
    ]
    return [
        _C._full(tuple(t.shape), 1, t.dtype, t.device)
        if w is None
        else _C._cast(_tensor(w), t.dtype)
        for t, w in pairs
    ]


def _tensor(value: Any) -> Base:
    from gradstone.keras._tensor import from_host

    return from_host(value)
