"""Every differentiable row: first and second derivatives against central differences in float64.

The gradient is asked for twice, plainly (fused kernels) and with create_graph (differentiable
operations); both must agree. The second derivative is that of the gradient, with respect to inputs
and cotangents."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from op_specs import ALL
from op_specs.run import (
    Differentiable,
    check_first,
    check_second,
    contiguous,
    numbers,
    variables,
)
from op_specs.spec import FLOATS


def differentiated(row, sample):
    if not sample.grad or "float64" not in (sample.dtypes or row.dtypes):
        return False
    inputs = Differentiable(row, sample).inputs()
    return bool(inputs) and sum(v.size for v in inputs) <= 220


CASES = [
    pytest.param(row, i, id=f"{row.name}-{i}")
    for row in ALL
    if row.differentiable
    for i, sample in enumerate(row.cases())
    if differentiated(row, sample)
]


@pytest.mark.parametrize(("row", "i"), CASES)
def test_first_derivative(row, i):
    check_first(row, row.cases()[i])


@pytest.mark.parametrize(("row", "i"), [p for p in CASES if p.values[0].second])
def test_second_derivative(row, i):
    check_second(row, row.cases()[i])


PLAIN = [
    row
    for row in ALL
    if not row.differentiable and not row.inplace and not row.writes and row.reference
]


@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row.name)
def test_the_rest_gives_no_gradient(row):
    """Comparisons, indices and the like: their results carry no history (or no gradient)."""
    for sample in row.cases():
        if "float64" not in (sample.dtypes or row.dtypes):
            continue
        f = Differentiable(row, sample)
        xs = variables(f.inputs())
        for y in f.call(xs):
            if y.requires_grad and row.name != "detach":
                found = gs.autograd.grad(y.sum(), xs, allow_unused=True)
                assert all(g is None or not g.any() for g in found)


@pytest.mark.parametrize("dtype", FLOATS[1:])
@pytest.mark.parametrize(
    "row", [r for r in ALL if r.differentiable and not r.inplace], ids=lambda row: row.name
)
def test_gradients_in_other_dtypes(row, dtype):
    """The float32 and 16-bit backward kernels against the float64 ones, loosely: derivatives proper
    are judged in float64."""
    samples = [
        s for s in row.cases() if differentiated(row, s) and dtype in (s.dtypes or row.dtypes)
    ]
    eps = {"float32": 2e-5, "float16": 0.06, "bfloat16": 0.4}[dtype]
    for sample in samples[:12]:
        f = Differentiable(row, sample)
        values = [v.astype(np.float32).astype(np.float64) for v in f.inputs()]
        if dtype != "float32":
            values = [contiguous(v).to(getattr(gs, dtype)).double().cpu().numpy() for v in values]
        exact = variables(values)
        rough = [contiguous(v).to(getattr(gs, dtype)).requires_grad_(True) for v in values]
        a, b = f.call(exact), Differentiable(row, sample, dtype).call(rough)
        pairs = [(y, z) for y, z in zip(a, b) if y.requires_grad]
        if not pairs:
            continue
        ga = gs.autograd.grad(
            [y for y, _ in pairs], exact, [gs.ones_like(y) for y, _ in pairs], allow_unused=True
        )
        gb = gs.autograd.grad(
            [z for _, z in pairs], rough, [gs.ones_like(z) for _, z in pairs], allow_unused=True
        )
        for x, y, r in zip(ga, gb, rough):
            assert (x is None) == (y is None)
            if x is None or x.numel() == 0:
                continue
            assert y.dtype is r.dtype, f"{row.name}{sample}: gradient of dtype {y.dtype}"
            x, y = numbers(x), numbers(y)
            assert np.isfinite(y).all() == np.isfinite(x).all()
            assert np.abs(x - y).max() <= eps * max(1.0, np.abs(x).max()), (
                f"{row.name}{sample} {dtype}:\n{x}\n{y}"
            )
