"""The Tensor object: identity, garbage collection, subclasses, pickling, copying."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

from gradstone import _C
from native import DTYPES, arange, same, tensor


def test_the_same_tensor_is_the_same_object():
    x = arange(3)
    assert x.contiguous() is x
    assert x.add_(1) is x
    y = x
    y += 1
    assert y is x
    x.grad = arange(3)
    assert x.grad is x.grad
    reference = weakref.ref(x)
    del x, y
    assert reference() is None


def test_attributes_and_their_cycles_are_collected():
    x = arange(3)
    x.note = x
    assert x.note is x
    reference = weakref.ref(x)
    del x
    gc.collect()
    assert reference() is None


def test_a_hook_that_knows_its_tensor_is_collected():
    x = tensor([1.0], requires_grad=True)
    x.register_hook(lambda g, x=x: g * x)
    reference = weakref.ref(x)
    del x
    gc.collect()
    assert reference() is None


class Weight(_C.Tensor):
    def __new__(cls, data, requires_grad=True):
        return _C.Tensor._make_subclass(cls, data, requires_grad)


def test_subclasses():
    data = arange(2, 3)
    w = Weight(data)
    w.name = "w"
    assert type(w) is Weight and isinstance(w, _C.Tensor) and w.requires_grad and w.is_leaf
    assert type(w + 1) is _C.Tensor
    assert w.data_ptr() == data.data_ptr()
    assert w.requires_grad_(False) is w
    again = pickle.loads(pickle.dumps(w))
    assert type(again) is Weight and again.name == "w"
    same(again, data.numpy())
    deep = copy.deepcopy(w)
    assert type(deep) is Weight and deep.name == "w" and deep.data_ptr() != w.data_ptr()
    for _ in range(3):
        w = Weight(w)
    with pytest.raises(TypeError, match="subclass of Tensor"):
        _C._make_subclass(int, data)


def test_constructor():
    assert _C.Tensor().shape == (0,)
    assert _C.Tensor(2, 3).shape == (2, 3)
    same(_C.Tensor([1, 2]), np.float32([1, 2]))
    with pytest.raises(TypeError):
        _C.Tensor([1], dtype=_C.int64)
    with pytest.raises(TypeError):
        _C.Tensor(object())
    with pytest.raises(TypeError):
        _C.Tensor(2, "3")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_pickle_and_deepcopy(dtype):
    x = tensor([[0, 1, 1], [1, 0, 1]], dtype)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert y.dtype is dtype and y.shape == x.shape
        assert y.tolist() == x.tolist()
    assert copy.deepcopy(x).tolist() == x.tolist()


def test_deepcopy_keeps_sharing_and_grad_and_refuses_results():
    x = tensor([1.0, 2.0], requires_grad=True)
    x.grad = tensor([3.0, 4.0])
    a, b = copy.deepcopy([x, x])
    assert a is b and a.requires_grad and a.grad is not x.grad
    same(a.grad, np.float32([3, 4]))
    with pytest.raises(RuntimeError, match="leaf"):
        copy.deepcopy(x * 2)


def test_rebuild_refuses_what_does_not_fit():
    for data, shape in [(b"123", (1,)), (b"1" * 8, (1,)), (b"", (2**62, 2))]:
        with pytest.raises(ValueError):
            _C._rebuild_tensor(_C.Tensor, data, _C.float32, shape, False)
    with pytest.raises((TypeError, ValueError)):
        _C._rebuild_tensor(_C.Tensor, "1234", _C.float32, (1,), False)
    with pytest.raises(RuntimeError):
        _C._rebuild_tensor(_C.Tensor, b"1234", _C.int32, (1,), True)
