"""The benchmark's cases. Each is written once and runs on any library with PyTorch's names.

A case has a stable name (family/shape), a function `make(T)` that prepares inputs with library `T`
(gradstone or torch) and returns the function to time, and what one call computes: floating-point
operations, bytes moved, or samples processed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[Any], Callable[[], object]]
    flops: float = 0.0
    bytes: float = 0.0
    samples: float = 0.0
    threads: tuple[int, ...] = (1, 2)

    def rate(self, seconds: float) -> str:
        """What the case reached, in the unit that suits it."""
        if self.flops:
            return f"{self.flops / seconds / 1e9:.1f} GFLOP/s"
        if self.bytes:
            return f"{self.bytes / seconds / 1e9:.1f} GB/s"
        if self.samples:
            return f"{self.samples / seconds:,.0f} /s"
        return ""


def training(forward: Callable[[], Any], leaves: list[Any]) -> Callable[[], object]:
    """A step: `forward`, then backward from the sum of its result, into fresh gradients."""

    def step() -> object:
        for leaf in leaves:
            leaf.grad = None
        out = forward()
        out.sum().backward()
        return out

    return step


def all_cases() -> list[Case]:
    from . import kernels, overhead, training_steps

    return [*kernels.CASES, *overhead.CASES, *training_steps.CASES]
