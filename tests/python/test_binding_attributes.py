"""Attributes of a tensor, and the small types they give: Size, dtype, device."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from gradstone import _C
from native import DTYPES, FLOATS, arange, same, tensor


def test_attributes():
    x = arange(2, 3)
    assert x.shape == (2, 3) and type(x.shape) is _C.Size and x.size() == (2, 3)
    assert repr(x.shape) == "Size([2, 3])" and x.shape.numel() == 6 and x.shape[-1] == 3
    assert type(x.shape[:1]) is _C.Size and type(x.shape + (4,)) is _C.Size
    assert pickle.loads(pickle.dumps(x.shape)) == x.shape
    assert x.size(-1) == 3 and x.stride() == (3, 1) and x.stride(0) == 3 and x.ndim == x.dim() == 2
    assert x.numel() == x.nelement() == 6 and x.itemsize == x.element_size() == 4 and x.nbytes == 24
    assert len(x) == 2 and x.T.shape == (3, 2) and x.mT.shape == (3, 2) and not x.T.is_contiguous()
    assert x[1:].storage_offset() == 3 and x[1:].data_ptr() == x.data_ptr() + 12
    assert x.is_floating_point() and not x.is_complex() and not x.is_cuda and x.is_leaf
    with pytest.raises(IndexError):
        x.size(2)
    with pytest.raises(AttributeError):
        x.shape = (6,)
    with pytest.raises(RuntimeError):
        _ = arange(3).mT


def test_dtypes():
    assert repr(_C.float32) == "gradstone.float32" and _C.float32.itemsize == 4
    assert [d for d in DTYPES if d.is_floating_point] == FLOATS
    for d in DTYPES:
        assert pickle.loads(pickle.dumps(d)) is d and copy.deepcopy(d) is d and {d: 1}[d] == 1
        assert tensor([0, 1], d).dtype is d
    assert _C.float32 != _C.float64 and not _C.int8.is_floating_point and not _C.uint8.is_signed


def test_devices():
    cpu, cuda = _C.device("cpu"), _C.device("cuda:1")
    assert repr(cpu) == "device(type='cpu')" and str(cpu) == "cpu" and cpu.index is None
    assert cuda == _C.device("cuda", 1) and hash(cuda) == hash(_C.device("cuda", 1)) and cuda != cpu
    assert (
        repr(cuda) == "device(type='cuda', index=1)"
        and str(cuda) == "cuda:1"
        and cuda.type == "cuda"
    )
    assert arange(1).device == cpu and _C.device(cuda) == cuda
    assert pickle.loads(pickle.dumps(cuda)) == cuda
    for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:999", "cuda:1x", "cpu:3"]:
        with pytest.raises(RuntimeError):
            _C.device(bad)
    for bad in [(None,), (3.5,), ("cuda", "1"), ("cpu", 1.5)]:
        with pytest.raises(TypeError):
            _C.device(*bad)
    with pytest.raises(RuntimeError, match="CUDA"):
        _C._empty((2,), device="cuda")


def test_data():
    x = tensor([1.0, 2.0], requires_grad=True)
    version = x._version
    x.data.mul_(2)
    same(x, np.float32([2, 4]))
    assert x._version == version and not x.data.requires_grad
    x.data = tensor([5.0, 6.0, 7.0])
    assert x.shape == (3,) and x.requires_grad and x.is_leaf
    (x * 2).sum().backward()
    same(x.grad, np.float32([2, 2, 2]))
    with pytest.raises(RuntimeError):
        x.data = tensor([1, 2])
    with pytest.raises(TypeError):
        x.data = 3
    with pytest.raises(TypeError):
        del x.data


def test_new_data_of_another_shape_is_noticed_by_an_older_graph():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    x.data = tensor([1.0])
    with pytest.raises(RuntimeError):
        y.backward()


def test_grad_is_checked():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert x.grad is None
    for bad, error in [(tensor([1.0]), RuntimeError), (tensor([1, 2]), TypeError), (3, TypeError)]:
        with pytest.raises(error):
            x.grad = bad
    x.grad = tensor([1.0, 1.0])
    del x.grad
    assert x.grad is None
    with pytest.raises(TypeError):
        x.requires_grad = 1
    with pytest.raises(RuntimeError):
        tensor([1]).requires_grad = True
