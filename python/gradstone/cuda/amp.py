"""``gradstone.amp`` for CUDA, under PyTorch's older names."""

from __future__ import annotations

from gradstone import _C, amp
from gradstone._types import DTypeLike

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):
    """``gs.autocast("cuda")``; float16 unless given, as these names always had it."""

    def __init__(
        self,
        enabled: bool = True,
        dtype: DTypeLike = _C.float16,
        cache_enabled: bool | None = None,
    ) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """``gs.amp.GradScaler("cuda")``."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )
