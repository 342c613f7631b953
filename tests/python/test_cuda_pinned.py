"""Pinned memory and copies that nobody waits for. The emulator with GS_CUDA_HOST_LAZY=1 does them
as late as it may (test_cuda_graphs.py runs this file so)."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn
from gradstone.utils.data import DataLoader, Dataset, TensorDataset

needs_device = pytest.mark.skipif(
    not gs.cuda.is_available(), reason="no CUDA device: run by `make test-emu`"
)
without_device = pytest.mark.skipif(gs.cuda.is_available(), reason="there is a CUDA device")


@without_device
def test_without_a_device_pinning_says_so():
    assert not gs.ones(2).is_pinned()
    with pytest.raises(RuntimeError, match="CUDA"):
        gs.ones(2).pin_memory()
    with pytest.raises(RuntimeError, match="CUDA"):
        gs.empty(2, pin_memory=True)
    loader = DataLoader(TensorDataset(gs.arange(4)), batch_size=2, pin_memory=True)
    with pytest.warns(UserWarning, match="pin_memory"):
        assert [batch.tolist() for (batch,) in loader] == [[0, 1], [2, 3]]


@needs_device
def test_pinned_tensors_are_tensors_of_the_host():
    x = gs.arange(24).reshape(2, 3, 4).float()
    p = x.transpose(0, 2).pin_memory()
    assert p.is_pinned() and p[1:].is_pinned() and not x.is_pinned()
    assert p.device.type == "cpu" and p.pin_memory() is p
    assert np.array_equal(p.numpy(), x.transpose(0, 2).numpy())
    assert (p + 1).sum().item() == x.sum().item() + 24
    assert gs.empty(3, pin_memory=True).is_pinned()
    assert gs.tensor([1, 2], pin_memory=True).is_pinned()
    assert gs.empty(0, pin_memory=True).numel() == 0
    with pytest.raises(RuntimeError, match="memory of the host"):
        x.cuda().pin_memory()
    w = gs.ones(3, requires_grad=True)
    (w.pin_memory().cuda() * 2).sum().backward()
    assert w.grad.tolist() == [2, 2, 2]


@needs_device
def test_a_pinned_block_is_not_used_again_before_its_copy_is_done():
    copies = []
    for i in range(8):
        pinned = gs.full((5000,), float(i)).pin_memory()
        copies.append(pinned.to("cuda", non_blocking=True))
        del pinned
    for i, copy in enumerate(copies):
        assert (copy == i).all().item()
    side = gs.cuda.Stream()
    with gs.cuda.stream(side):
        pinned = gs.full((5000,), 1.0).pin_memory()
        first = pinned.cuda(non_blocking=True)
        del pinned
    gs.full((5000,), 2.0).pin_memory()
    side.synchronize()
    assert (first == 1).all().item()


@needs_device
def test_pinned_blocks_are_used_again():
    gs.cuda.empty_cache()
    pinned = gs.ones(5000).pin_memory()
    address = pinned.data_ptr()
    there = pinned.cuda(non_blocking=True)
    del pinned
    gs.cuda.synchronize()
    assert gs.ones(5000).pin_memory().data_ptr() == address
    assert there.sum().item() == 5000


@needs_device
def test_copies_that_only_begin():
    x = gs.randn(1000)
    there = x.pin_memory().to("cuda", non_blocking=True)
    unpinned = x.to("cuda", non_blocking=True)  # waits: the memory may be written at once
    x.fill_(7)
    assert (there == unpinned).all().item()
    back = there.to("cpu", non_blocking=True)
    assert back.is_pinned()
    gs.cuda.synchronize()
    assert (back == unpinned.cpu()).all()
    assert there.cpu().tolist() == back.tolist()
    into = gs.zeros(1000)
    into.copy_(there)
    assert (into == back).all()
    model = nn.Linear(3, 2).to("cuda", non_blocking=True)
    assert model.weight.is_cuda
    assert x.to("cuda", gs.float64, True).dtype == gs.float64


@needs_device
def test_copy_takes_tensors_of_any_device():
    here, there = gs.arange(6).float(), gs.zeros(2, 3, device="cuda")
    there.copy_(here.reshape(2, 3))
    assert there.tolist() == here.reshape(2, 3).tolist()
    there.copy_(gs.arange(3))  # broadcast and converted
    assert there.tolist() == [[0, 1, 2]] * 2
    there.t().copy_(here.reshape(3, 2), non_blocking=True)
    assert there.t().tolist() == here.reshape(3, 2).tolist()
    here.copy_(there.reshape(6))
    assert here.tolist() == there.reshape(6).tolist()
    w = gs.ones(2, 3, requires_grad=True)
    out = gs.zeros(2, 3, device="cuda")
    out.copy_(w)
    (out * 3).sum().backward()
    assert w.grad.tolist() == [[3.0] * 3] * 2


Pair = namedtuple("Pair", "x y")


class Items(Dataset):
    def __getitem__(self, i):
        return {"pair": Pair(gs.full((4,), float(i)), i), "name": str(i)}

    def __len__(self):
        return 6


@needs_device
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_hands_out_pinned_batches(workers):
    loader = DataLoader(Items(), batch_size=3, pin_memory=True, num_workers=workers)
    for batch, names in zip(loader, (["0", "1", "2"], ["3", "4", "5"])):
        assert batch["name"] == names
        assert isinstance(batch["pair"], Pair)
        assert batch["pair"].x.is_pinned() and batch["pair"].y.is_pinned()


@needs_device
def test_a_loop_over_pinned_batches_sees_every_batch():
    data = TensorDataset(gs.arange(4000).float().reshape(40, 100), gs.arange(40))
    loader = DataLoader(data, batch_size=4, pin_memory=True)
    sums, labels = [], []
    for x, y in loader:
        assert x.is_pinned() and y.is_pinned()
        x, y = x.to("cuda", non_blocking=True), y.to("cuda", non_blocking=True)
        sums.append(x.sum())
        labels.append(y)
    assert [s.item() for s in sums] == data.tensors[0].reshape(10, 400).sum(1).tolist()
    assert [int(v) for y in labels for v in y.tolist()] == list(range(40))
