"""The CUDA device, under PyTorch's names. This build has none: every question has the answer no."""

from __future__ import annotations

from gradstone._C import Tensor


def is_available() -> bool:
    """Whether tensors can live on a GPU."""
    return False


def device_count() -> int:
    """How many GPUs there are."""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds the GPUs' generators; without a GPU nothing is to be done."""


def manual_seed_all(seed: int) -> None:
    """Seeds the GPUs' generators; without a GPU nothing is to be done."""


def empty_cache() -> None:
    """Gives unused GPU memory back; without a GPU nothing is to be done."""


def is_initialized() -> bool:
    """Whether the CUDA runtime has been started."""
    return False


def synchronize(device: object = None) -> None:
    """Waits for a GPU. RuntimeError where there is none."""
    raise RuntimeError("gradstone was built without CUDA.")


def get_rng_state_all() -> list[Tensor]:
    """States of the GPUs' generators."""
    return []
