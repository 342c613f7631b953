"""The benchmark's cases. Each is written once and runs on any library with PyTorch's names.

A case has a stable name (family/shape), a function `make(T)` that prepares inputs with library `T`
(gradstone or torch) and returns the function to time, and what one call computes: floating-point
operations, bytes moved, or samples processed. One file per family; `all_cases` collects their
`CASES`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FAMILIES = (
    "matmul",
    "convolution",
    "pooling",
    "normalisation",
    "losses",
    "elementwise",
    "reductions",
    "recurrent",
    "attention",
    "indexing",
    "optimizers",
    "overhead",
    "data",
    "training_steps",
    "inference",
)


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[Any], Callable[[], object]]
    flops: float = 0.0
    bytes: float = 0.0
    samples: float = 0.0
    threads: tuple[int, ...] = (1, 2)

    def rate(self, seconds: float, peaks: dict[str, float] | None = None) -> str:
        """What the case reached, in the unit that suits it, and of which share of the peak."""
        if self.flops:
            return _share(self.flops / seconds / 1e9, "GFLOP/s", (peaks or {}).get("gflops"))
        if self.bytes:
            return _share(self.bytes / seconds / 1e9, "GB/s", (peaks or {}).get("gbytes"))
        if self.samples:
            return f"{self.samples / seconds:,.0f} /s"
        return ""


def _share(value: float, unit: str, peak: float | None) -> str:
    share = f" ({100 * value / peak:.0f} %)" if peak else ""
    return f"{value:.1f} {unit}{share}"


def training(forward: Callable[[], Any], leaves: list[Any]) -> Callable[[], object]:
    """A step: `forward`, then backward from the sum of its result, into fresh gradients."""

    def step() -> object:
        for leaf in leaves:
            leaf.grad = None
        out = forward()
        out.sum().backward()
        return out

    return step


def on_input(shape: tuple[int, ...], function: Callable[[Any, Any], Any], train: bool = False):
    """make(T) for function(T, x) over a normal input of this shape; a training step when train."""

    def make(T: Any) -> Callable[[], object]:
        x = T.randn(*shape)
        if not train:
            return lambda: function(T, x)
        x.requires_grad_()
        return training(lambda: function(T, x), [x])

    return make


def of_module(build: Callable[[Any], Any], shape: tuple[int, ...], train: bool = False):
    """make(T) for a module on a normal input: forward under no_grad, or a training step."""

    def make(T: Any) -> Callable[[], object]:
        T.manual_seed(0)
        module, x = build(T), T.randn(*shape)

        def output() -> Any:
            out = module(x)
            return out[0] if isinstance(out, tuple) else out

        def forward() -> Any:
            with T.no_grad():
                return output()

        if not train:
            return forward
        x.requires_grad_()
        return training(output, [x, *module.parameters()])

    return make


def both(name: str, make: Callable[[bool], Any], flops=0.0, nbytes=0.0, factor=3.0) -> list[Case]:
    """The forward and the training case of one shape; training computes `factor` times as much."""
    return [
        Case(name, make(False), flops, nbytes),
        Case(name + "/train", make(True), flops * factor, nbytes * factor),
    ]


def all_cases() -> list[Case]:
    cases: list[Case] = []
    for family in FAMILIES:
        cases += importlib.import_module(f"{__name__}.{family}").CASES
    return cases
