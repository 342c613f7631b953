"""Every row of tests/op_specs, forward: against NumPy in float64, in each dtype, at each
instruction set, with inputs in every layout."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import _C
from op_specs import ALL, BY_NAME
from op_specs.run import (
    LAYOUTS,
    contiguous,
    evaluate,
    function,
    in_dtype,
    instruction_sets,
    numbers,
    run,
    sample_dtypes,
    tensors,
    widened,
)
from op_specs.spec import EPS, arrays

CASES = [pytest.param(row, i, id=f"{row.name}-{i}") for row in ALL for i in range(len(row.cases()))]


def operation_names() -> set[str]:
    return {entry["name"] for entry in _C.operations()}


def test_every_operation_has_a_row():
    missing = operation_names() - set(BY_NAME)
    assert not missing, f"exported, but without a row in tests/op_specs: {sorted(missing)}"


def test_every_row_has_an_operation():
    unknown = set(BY_NAME) - operation_names()
    assert not unknown, f"rows for operations that do not exist: {sorted(unknown)}"


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_row_is_complete(row):
    assert row.cases(), "no samples"
    assert row.reference or row.check, "nothing says what is right"
    sample = max(row.cases(), key=lambda s: sum(a.size for a in arrays(list(s.args))))
    assert row.flops(*sample.args, **sample.kwargs) >= 0
    assert row.bytes(*sample.args, **sample.kwargs) >= 0
    if row.differentiable:
        assert any(s.grad for s in row.cases()), "differentiable, but no sample says so"


@pytest.mark.parametrize(("row", "i"), CASES)
def test_forward(row, i):
    """Values, dtype and shape, in each dtype at each instruction set."""
    sample = row.cases()[i]
    for dtype in sample_dtypes(row, sample):
        args, kwargs, want = evaluate(row, sample, dtype)
        for isa in instruction_sets():
            _C.set_isa(isa)
            run(row, args, kwargs, want, dtype, what=f"{sample} [{isa}]")


@pytest.mark.parametrize(("row", "i"), [p for p in CASES if p.values[0].layouts])
def test_layouts(row, i):
    """The same values elsewhere: transposed, with a step, off by one element, rows of a matrix."""
    sample = row.cases()[i]
    dtypes = [
        d
        for d in sample_dtypes(row, sample)
        if d in ("float32", "bfloat16", "int64", "int8", "bool")
    ]
    for dtype in dtypes or sample_dtypes(row, sample)[:1]:
        args, kwargs, want = evaluate(row, sample, dtype)
        if not arrays([args, list(kwargs.values())]):
            continue
        for layout, make in LAYOUTS.items():
            run(row, args, kwargs, want, dtype, make, what=f"{sample} [{layout}]")


EXPANDABLE = [
    row
    for row in ALL
    if row.layouts
    and not row.inplace
    and not row.writes
    and row.reference
    # The rows of those are where ties are looked at: which of two equal values comes first.
    and not row.indices
    and row.name != "argsort"
]


@pytest.mark.parametrize("row", EXPANDABLE, ids=lambda row: row.name)
def test_expanded_inputs(row):
    """Strides of 0: one row repeated."""

    def repeated(value):
        if (
            isinstance(value, np.ndarray)
            and value.dtype == np.float64
            and value.ndim
            and value.size
        ):
            return np.broadcast_to(value[:1], value.shape)
        return [repeated(v) for v in value] if isinstance(value, list) else value

    def expanded(array):
        if array.ndim and array.size and array.strides[0] == 0:
            return contiguous(array[:1]).expand(array.shape)
        return contiguous(array)

    for sample in row.cases():
        if "float64" not in sample_dtypes(row, sample) or not sample.grad:
            continue
        args = in_dtype([repeated(a) for a in sample.args], "float64")
        with np.errstate(all="ignore"):
            want = row.reference(*widened(args), **sample.kwargs)
        want = [np.asarray(w) for w in (want if isinstance(want, (tuple, list)) else [want])]
        run(row, args, sample.kwargs, want, "float64", expanded, f"{sample} [expanded]", floor=1.0)


@pytest.mark.parametrize("row", [r for r in ALL if r.view], ids=lambda row: row.name)
def test_views_share_memory(row):
    for sample in row.cases():
        args, kwargs, _ = evaluate(row, sample, "float32")
        inputs = tensors(args)
        got = function(row.name)(*inputs, **tensors(kwargs))
        for part in got if isinstance(got, tuple) else [got]:
            if part.numel() == 0 or any(s == 0 for s in part.stride()):
                continue
            version = inputs[0]._version
            part.fill_(0.5)
            assert (numbers(inputs[0]) == 0.5).any(), f"{row.name}{sample} made a copy"
            assert inputs[0]._version > version, (
                "writing through the view did not advance the version"
            )


@pytest.mark.parametrize(
    "name", ["add", "mul", "sum", "matmul", "conv2d", "softmax", "layer_norm", "max_pool2d"]
)
def test_instruction_sets_agree(name):
    """Each level computes the same function: results differ by rounding alone."""
    row = BY_NAME[name]
    for sample in row.cases():
        if "float32" not in sample_dtypes(row, sample):
            continue
        args, kwargs, _ = evaluate(row, sample, "float32")
        seen = []
        for isa in instruction_sets():
            _C.set_isa(isa)
            assert _C.isa() == isa
            seen.append(numbers(function(name)(*tensors(args), **tensors(kwargs))))
        for other in seen[1:]:
            scale = np.abs(seen[0][np.isfinite(seen[0])]).max(initial=1.0)
            assert np.allclose(
                seen[0], other, rtol=1e-5, atol=row.bound * EPS["float32"] * scale, equal_nan=True
            )


def test_unknown_instruction_set_is_refused():
    with pytest.raises((ValueError, RuntimeError)):
        _C.set_isa("mmx")


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [gs.float32, gs.float64])
def test_batch_norm_updates_running_statistics(shape, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape) * 2 + 1
    mean, var = gs.zeros(3, dtype=dtype), gs.ones(3, dtype=dtype)
    _C.batch_norm(gs.tensor(x).to(dtype), mean, var, training=True, momentum=0.3)
    axes = (0, *range(2, len(shape)))
    rtol = 1e-5 if dtype is gs.float32 else 1e-12
    assert np.allclose(mean.numpy(), 0.3 * x.mean(axes), rtol=rtol, atol=rtol)
    assert np.allclose(var.numpy(), 0.7 + 0.3 * x.var(axes, ddof=1), rtol=rtol)


def test_results_are_fresh_memory():
    """An operation that changes nothing still gives memory of its own."""
    x = gs.ones(3)
    for f in (
        lambda t: t + 0,
        lambda t: t * 1,
        lambda t: t.clone(),
        lambda t: t.abs(),
        lambda t: t**1,
    ):
        y = f(x)
        y.zero_()
        assert x.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("overlap", [slice(0, 3), slice(1, 4)])
def test_writes_from_overlapping_memory(overlap):
    x = gs.arange(5).float()
    want = x.numpy().copy()
    want[1:4] = want[overlap].copy()
    x[1:4].copy_(x[overlap])
    assert x.tolist() == want.tolist()
    y = gs.arange(5).float()
    want = y.numpy().copy()
    want[1:4] = want[1:4] + want[overlap]
    y[1:4].add_(y[overlap])
    assert y.tolist() == want.tolist()
    z = gs.arange(9).float().reshape(3, 3)
    want = z.numpy() + z.numpy().T
    z.add_(z.t())
    assert np.array_equal(z.numpy(), want)
