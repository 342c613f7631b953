"""Batches mixed with themselves: MixUp and CutMix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import real, whole


class _Mix:
    """What both share: own random numbers, targets as probabilities, and who is mixed with whom.

    The numbers come from a generator of its own: the same `seed` gives the same mixes of the same
    batches, whatever else is drawn. Without a seed one is drawn from the default generator, so
    that ``gs.manual_seed`` decides. ``state_dict`` is the place in the sequence.
    """

    def __init__(
        self,
        num_classes: int,
        alpha: float = 1.0,
        *,
        probability: float = 1.0,
        seed: int | None = None,
    ) -> None:
        op = type(self).__name__
        self.num_classes = whole(op, "num_classes", num_classes, 2)
        if not 0.0 < real(op, "alpha", alpha) < math.inf:
            raise ValueError(f"[{op}] expected alpha > 0, got {alpha}.")
        if not 0.0 <= real(op, "probability", probability) <= 1.0:
            raise ValueError(f"[{op}] expected 0 <= probability <= 1, got {probability}.")
        self.alpha = float(alpha)
        self.probability = float(probability)
        self._random = np.random.Generator(np.random.PCG64(_seed(op, seed)))

    def __call__(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (N, ...) in floating point and targets, integer classes (N) or probabilities (N,
        C), to mixed inputs of the same shape and dtype and probabilities (N, C). What is given
        stays as it was."""
        self._check(inputs, targets)
        soft = self._probabilities(inputs, targets)
        # Always as many draws, so that one batch's luck does not change the next one's numbers.
        mixed = self._random.random() < self.probability
        share = float(self._random.beta(self.alpha, self.alpha))
        order = self._random.permutation(inputs.size(0))
        place = self._random.random(2)
        if not mixed or inputs.size(0) == 0:
            return inputs, soft
        partner = _C._to_device(_C.from_numpy(order), inputs.device)
        inputs, share = self._mix(inputs, _C.index_select(inputs, 0, partner), share, place)
        other = _C.index_select(soft, 0, partner)
        return inputs, soft * share + other * (1.0 - share)

    def _mix(
        self, inputs: Tensor, others: Tensor, share: float, place: np.ndarray
    ) -> tuple[Tensor, float]:
        """The mix, and the share of `inputs` in it."""
        raise NotImplementedError

    def _check(self, inputs: Any, targets: Any) -> None:
        op = type(self).__name__
        for name, value in (("inputs", inputs), ("targets", targets)):
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"[{op}] expected {name} to be a tensor, got {type(value).__name__}."
                )
        if not inputs.dtype.is_floating_point:
            raise TypeError(
                f"[{op}] expected inputs in floating point, got {inputs.dtype}: mix after the "
                "conversion and normalisation."
            )
        n = inputs.size(0) if inputs.dim() else 0
        good = [(n,), (n, self.num_classes)][targets.dtype.is_floating_point]
        if inputs.dim() < 2 or tuple(targets.shape) != good:
            raise ValueError(
                f"[{op}] expected inputs (N, ...) with integer classes (N) or probabilities (N, "
                f"{self.num_classes}), got inputs {tuple(inputs.shape)} and "
                f"{str(targets.dtype).removeprefix('gradstone.')} targets {tuple(targets.shape)}."
            )

    def _probabilities(self, inputs: Tensor, targets: Tensor) -> Tensor:
        if targets.dtype.is_floating_point:
            return targets
        dtype = inputs.dtype if inputs.dtype.itemsize >= 4 else _C.float32
        return _C._cast(_C.one_hot(_C._cast(targets, _C.int64), self.num_classes), dtype)

    def state_dict(self) -> dict[str, Any]:
        """The place in the sequence of random numbers."""
        state = self._random.bit_generator.state
        numbers = state["state"]  # of 128 bits: as text, for readers with 64
        return {
            "state": str(numbers["state"]),
            "increment": str(numbers["inc"]),
            "kept": [state["has_uint32"], state["uinteger"]],  # half of a number, not yet used
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where ``state_dict`` was taken."""
        if set(state_dict) != {"state", "increment", "kept"}:
            raise ValueError(
                f"[{type(self).__name__}] expected a state with 'state', 'increment' and 'kept', "
                f"got {sorted(state_dict)}."
            )
        numbers = {"state": int(state_dict["state"]), "inc": int(state_dict["increment"])}
        has, kept = state_dict["kept"]
        self._random.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": numbers,
            "has_uint32": int(has),
            "uinteger": int(kept),
        }

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.num_classes}, alpha={self.alpha}, "
            f"probability={self.probability})"
        )


class MixUp(_Mix):
    """x = s x_i + (1 - s) x_j and the same for the targets, with s ~ Beta(alpha, alpha) for each
    batch and j a random order of the batch (Zhang et al., 2018; alpha 0.2 to 0.4 for images there).

    `probability`: of a batch to be mixed at all. The loss must take probabilities, as
    ``nn.CrossEntropyLoss`` does. Label smoothing is that loss's ``label_smoothing`` and adds to
    this.
    """

    def __init__(
        self,
        num_classes: int,
        alpha: float = 0.2,
        *,
        probability: float = 1.0,
        seed: int | None = None,
    ) -> None:
        super().__init__(num_classes, alpha, probability=probability, seed=seed)

    def _mix(
        self, inputs: Tensor, others: Tensor, share: float, place: np.ndarray
    ) -> tuple[Tensor, float]:
        return inputs * share + others * (1.0 - share), share


class CutMix(_Mix):
    """A box of each image (N, C, H, W) comes from another image of the batch, and the targets are
    mixed by area (Yun et al., 2019): sides H and W times sqrt(1 - s), s ~ Beta(alpha, alpha), round
    a centre drawn anywhere; what stands out is cut off and the area counted as it is then.

    `probability`: of a batch to be mixed at all. The loss must take probabilities, as
    ``nn.CrossEntropyLoss`` does.
    """

    def _check(self, inputs: Any, targets: Any) -> None:
        super()._check(inputs, targets)
        if inputs.dim() != 4:
            raise ValueError(
                f"[CutMix] expected images (N, C, H, W), got shape {tuple(inputs.shape)}."
            )

    def _mix(
        self, inputs: Tensor, others: Tensor, share: float, place: np.ndarray
    ) -> tuple[Tensor, float]:
        height, width = inputs.shape[2:]
        side = math.sqrt(1.0 - share)
        top, bottom = _span(place[0], side, height)
        left, right = _span(place[1], side, width)
        out = inputs.clone()
        if bottom > top and right > left:
            out[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        area = (bottom - top) * (right - left)
        return out, 1.0 - area / max(height * width, 1)


def measured(mixed: Any, targets: Any) -> Any:
    """What metrics compare the output for mixed inputs with: the mixed targets in the form that
    `targets` had. Classes (N, ...) become those with the largest share in probabilities (N, C,
    ...); a mix of another form than these, which metrics cannot know, leaves `targets`."""
    if not isinstance(mixed, Tensor) or not isinstance(targets, Tensor):
        return targets
    soft, was_soft = mixed.dtype.is_floating_point, targets.dtype.is_floating_point
    if soft == was_soft and mixed.shape == targets.shape:
        return mixed
    if soft and not was_soft and mixed.dim() == targets.dim() + 1:
        return _C.argmax(mixed.detach(), 1)
    return targets


def _span(place: float, side: float, size: int) -> tuple[int, int]:
    """First and last + 1 of `side` * size positions round the one at `place` of size, inside."""
    centre, length = int(place * size), int(side * size)
    first = centre - length // 2
    return max(first, 0), min(first + length, size)


def _seed(op: str, seed: int | None) -> int:
    if seed is not None:
        return whole(op, "seed", seed)
    drawn = _C._empty((), _C.int64)
    _C._random_integers_(drawn, 0, 2**62)
    return int(drawn.item())
