"""AdamW and SGD over 100 million parameters in 200 tensors."""

from __future__ import annotations

from typing import Any

from libraries import Library
from rows import Class, Row

SIZES = [(1024, 1024)] * 95 + [(1024,)] * 105
TINY = [(8, 8)] * 3 + [(8,)] * 2


def step_of(kind: str, sizes, options: dict[str, Any], fused: bool):
    def make(lib: Library) -> Any:
        parameters = [lib.T.nn.Parameter(lib.randn(*size)) for size in sizes]
        for p in parameters:
            p.grad = lib.randn(*p.shape)
        more = {"fused": True} if fused and lib.is_torch else {}
        return getattr(lib.T.optim, kind)(parameters, lr=1e-3, **options, **more).step

    return make


def classes(tiny: bool) -> list[Class]:
    sizes = TINY if tiny else SIZES
    numel = sum(size[0] * (size[1] if len(size) > 1 else 1) for size in sizes)
    rows = []
    # Bytes of a parameter: AdamW reads four numbers and writes three, SGD three and two.
    for name, kind, options, count in (
        ("AdamW", "AdamW", {"weight_decay": 0.01}, 28),
        ("SGD with momentum", "SGD", {"momentum": 0.9}, 20),
    ):
        ways = {"fused": step_of(kind, sizes, options, True),
                "default": step_of(kind, sizes, options, False)}  # fmt: skip
        rows.append(
            Row(f"{name}, {numel / 1e6:.3g}M parameters in {len(sizes)}",
                {"": step_of(kind, sizes, options, False)}, ways,
                [("", "fused", 1.05), ("", "default", 3.0)], bytes=float(count * numel),
                device=False, quick=True)
        )  # fmt: skip
    return [Class("optimizers", "optimizers, all parameters at once", "0.93 ms for AdamW", rows)]
