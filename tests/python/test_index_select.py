"""index_select of tensors that are not contiguous: the values, and no copy of the whole."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import _C
from gradstone.utils.data import DataLoader, TensorDataset
from op_specs import run

ROWS = np.random.default_rng(0).normal(size=(400, 60, 40)).astype(np.float32)

VIEWS = {
    "a slice of rows": lambda t: t[:, :, :24],
    "a window": lambda t: t[:, 10:50],
    "every second": lambda t: t[::2],
    "every second element": lambda t: t[:, :, ::2],
    "axes exchanged": lambda t: t.swapaxes(0, 2),
    "the last two exchanged": lambda t: t.swapaxes(1, 2),
    "a window, axes exchanged": lambda t: t[:, 10:50, :24].swapaxes(0, 1),
    "one plane": lambda t: t[:, 7],
    "one column": lambda t: t[:, 7, 3],
    "contiguous": lambda t: t,
}


@pytest.mark.parametrize("count", [0, 1, 3, 90])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("name", VIEWS)
def test_values(name, dtype, count):
    whole = (ROWS * 100).astype(dtype)
    view, x = VIEWS[name](whole), VIEWS[name](gs.from_numpy(whole).to(run.DEVICE))
    assert tuple(x.shape) == view.shape
    for dim in range(view.ndim):
        at = np.random.default_rng(count).integers(0, view.shape[dim], count)
        got = gs.index_select(x, dim, gs.from_numpy(at).to(run.DEVICE))
        assert got.is_contiguous()
        np.testing.assert_array_equal(got.cpu().numpy(), view.take(at, dim))


def test_an_expanded_tensor_is_not_spread_out():
    x = gs.arange(5.0).expand(1 << 40, 5)
    got = gs.index_select(x, 0, gs.tensor([0, (1 << 40) - 1]))
    assert got.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_a_single_index_is_a_vector_of_one():
    x = gs.from_numpy(ROWS)[:, :, :24]
    assert gs.index_select(x, 0, gs.tensor(3)).tolist() == ROWS[3:4, :, :24].tolist()


def test_the_gradient():
    x = gs.from_numpy(ROWS).requires_grad_()
    gs.index_select(x[:, :, :24], 0, gs.tensor([2, 5, 2])).sum().backward()
    wanted = np.zeros_like(ROWS)
    wanted[2, :, :24], wanted[5, :, :24] = 2, 1
    np.testing.assert_array_equal(x.grad.numpy(), wanted)


def peak_of(f):
    """Bytes in use at most while f() runs, beyond those before."""
    _C.empty_cache()  # a larger block that was kept would count as a whole
    before = _C.memory_stats()["in_use"]
    _C.reset_peak_memory()
    f()
    return _C.memory_stats()["peak"] - before


@pytest.mark.parametrize("name", VIEWS)
def test_memory_of_a_few_rows(name):
    x = VIEWS[name](gs.from_numpy(ROWS))
    at = gs.tensor([0, 3, 1])
    result, whole = 3 * x[0].numel() * 4, x.numel() * 4
    # In other than rows, beside the result at most an offset of 8 bytes for each of its elements.
    most = 4 * result + 4096
    assert most < whole or name == "one column"
    assert peak_of(lambda: gs.index_select(x, 0, at)) <= most
    if name != "contiguous":
        assert peak_of(x.contiguous) >= whole


def test_memory_of_a_loader_over_a_slice():
    x = gs.from_numpy(ROWS)[:, :, :24]
    batches = iter(DataLoader(TensorDataset(x), 4))
    (first,) = next(batches)
    np.testing.assert_array_equal(first.numpy(), ROWS[:4, :, :24])
    batch = first.numel() * 4
    del first
    assert peak_of(lambda: next(batches)) <= 2 * batch
    assert batch * 50 < x.numel() * 4


def test_a_loader_over_a_slice_writes_ahead_the_same_values():
    x = gs.from_numpy(np.random.default_rng(1).normal(size=(64, 90, 200)).astype(np.float32))
    view = x[:, :, 20:190]
    threads = gs.get_num_threads()
    gs.set_num_threads(2)
    try:
        order = []
        for (batch,) in DataLoader(TensorDataset(view), 24):  # more than a megabyte each
            order.append(batch.numpy().copy())
    finally:
        gs.set_num_threads(threads)
    np.testing.assert_array_equal(np.concatenate(order), view.numpy())
