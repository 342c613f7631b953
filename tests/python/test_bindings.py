"""gradstone._C itself: the Tensor type, arguments, indexing, arrays, and autograd from Python."""

from __future__ import annotations

import ast
import copy
import gc
import inspect
import math
import pickle
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from gradstone import _C
from gradstone.autograd.function import Function, once_differentiable

ROOT = Path(__file__).resolve().parents[2]
FLOATS = [_C.float16, _C.bfloat16, _C.float32, _C.float64]
DTYPES = [_C.bool, _C.uint8, _C.int8, _C.int16, _C.int32, _C.int64, *FLOATS]


def tensor(data, dtype=None, requires_grad=False):
    return _C.tensor_from_data(data, dtype).requires_grad_(requires_grad)


def arange(*shape, dtype=_C.float32):
    return tensor(np.arange(math.prod(shape)).reshape(shape), dtype)


def same(t, expected):
    expected = np.asarray(expected)
    got = t.detach().numpy()
    assert got.shape == expected.shape, (got.shape, expected.shape)
    np.testing.assert_array_equal(got, expected)


# ----------------------------------------------------------------------------------------- object


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


# ------------------------------------------------------------------------------------- attributes


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


# -------------------------------------------------------------------------------------- operators


def test_operators_with_numbers_arrays_and_tensors():
    x, a = arange(3), np.arange(3, dtype=np.float32)
    two = tensor(2.0)
    for other, value in [
        (2, 2),
        (2.0, 2.0),
        (True, True),
        (np.float32(2), 2),
        (np.int64(2), 2),
        (two, 2),
    ]:
        same(x + other, a + value)
        same(other + x, value + a)
        same(x - other, a - value)
        same(other - x, value - a)
        same(x * other, a * value)
        same(other * x, value * a)
        same(x / other, a / value)
        same(x**other, a**value)
        same(x == other, a == value)
        same(other > x, value > a)
    same(x // 2, a // 2)
    same(x % 2, a % 2)
    same(-x, -a)
    same(abs(-x), a)
    assert +x is x
    i, n = tensor([1, 2, 3]), np.array([1, 2, 3])
    same(i & 1, n & 1)
    same(i | 4, n | 4)
    same(i ^ 1, n ^ 1)
    same(i << 1, n << 1)
    same(i >> 1, n >> 1)
    same(~i, ~n)
    same(x @ x, a @ a)


def test_numpy_on_either_side_gives_tensors():
    x, a = arange(3), np.arange(3, dtype=np.float32) + 1
    for result in [
        x + a,
        a + x,
        a * x,
        a - x,
        x - a,
        a / (x + 1),
        a @ x,
        x @ a,
        a > x,
        a == x,
        np.float64(2) * x,
    ]:
        assert isinstance(result, _C.Tensor)
    same(a - x, np.float32([1, 1, 1]))
    same(np.float32(3) - x, np.float32([3, 2, 1]))
    assert isinstance(np.exp(x), np.ndarray)


def test_in_place_operators():
    x = arange(3)
    y = x
    y += 1
    y *= 2
    y -= 1
    y /= 2
    y **= 2
    assert y is x
    same(x, (((np.arange(3, dtype=np.float32) + 1) * 2 - 1) / 2) ** 2)
    m = tensor([True, False])
    m &= tensor([True, True])
    m |= tensor([False, True])
    same(m, [True, True])


def test_foreign_operands_are_refused():
    x = arange(3)
    for other in ["a", None, [1, 2, 3], object(), 1j, {}]:
        with pytest.raises(TypeError):
            x + other
        with pytest.raises(TypeError):
            other * x
        with pytest.raises(TypeError):
            _ = x < other
        assert (x == other) is False and (x != other) is True
    with pytest.raises(ValueError):
        x + 2**70
    with pytest.raises(TypeError):
        pow(x, 2, 3)
    with pytest.raises(TypeError):
        x @ 3


def test_conversions_to_python_numbers():
    assert int(tensor(3.7)) == 3 and float(tensor(3)) == 3.0 and bool(tensor([[0.5]]))
    assert [10, 20][tensor(1)] == 20 and not tensor(0)
    assert (
        tensor(True).item() is True
        and type(tensor(1).item()) is int
        and type(tensor(1.0).item()) is float
    )
    assert f"{tensor(3.14159):.2f}" == "3.14" and f"{tensor(7):03d}" == "007"
    with pytest.raises(TypeError):
        f"{arange(2):.2f}"
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(arange(2))
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(tensor([]))
    for convert in (int, float):
        with pytest.raises(RuntimeError):
            convert(arange(2))
    with pytest.raises(ValueError):
        int(tensor(float("nan")))
    with pytest.raises(OverflowError):
        int(tensor(float("inf")))
    with pytest.raises(TypeError):
        [1][tensor(0.0)]
    with pytest.raises(RuntimeError, match="shape"):
        arange(2).item()


def test_sequence_protocol():
    x = arange(2, 3)
    assert [row.tolist() for row in x] == [[0, 1, 2], [3, 4, 5]]
    a, b = x
    same(b, np.float32([3, 4, 5]))
    assert 4 in x and 9 not in x and tensor(2.0) in x
    with pytest.raises(TypeError):
        len(tensor(1))
    with pytest.raises(TypeError):
        iter(tensor(1))
    with pytest.raises(TypeError):
        _ = "a" in x
    assert hash(x) == hash(x) and x in {x: 1} and len({x, a, b}) == 3


# --------------------------------------------------------------------------------------- indexing

BASIC = [
    0,
    -1,
    np.int32(1),
    slice(None),
    slice(1, None),
    slice(None, -1),
    slice(0, 3, 2),
    slice(5, 2),
    None,
    ...,
    (0, 1),
    (0, 1, 2),
    (..., 0),
    (0, ..., 1),
    (slice(None), 1),
    (None, 0),
    (0, None, 1),
    (..., None),
    (slice(None), None, slice(1, 3)),
    (slice(None, None, 2), ..., slice(1, None, 2)),
    (),
    (1, slice(-2, None)),
    (slice(np.int64(1), None), None, ..., None),
]
ADVANCED = [
    [0, 1, 1],
    np.array([1, 0]),
    np.array([[0, 1], [1, 1]]),
    ([0, 1], [1, 2]),
    (slice(None), [0, 2]),
    (slice(None), slice(None), [3, 0, -1]),
    (..., [0, 1]),
    ([0, 1], slice(None), [0, 3]),
    (np.array([[0], [1]]), np.array([0, 2])),
    (slice(None), [0, 1], [1, 2]),
    (None, [1, 0]),
    ([1, 0], None),
    [],
    (slice(1, None), [0, 0, 1]),
    np.array([True, False]),
    (slice(None), np.array([True, False, True])),
    np.arange(24).reshape(2, 3, 4) % 3 == 0,
    np.ones((2, 3), bool),
    (..., np.array([True, True, False, False])),
    (np.array([True, False]), slice(None), [1]),
    np.zeros(2, bool),
    True,
    False,
    np.bool_(True),
    (np.array([[True, False, True], [False, False, True]]), 1),
    (slice(None), np.array([[1, 2], [0, 0]]), 1),
]


def numpy_index(key):
    return np.zeros(0, int) if isinstance(key, list) and not key else key


def as_tensor_index(key):
    if isinstance(key, tuple):
        return tuple(as_tensor_index(k) for k in key)
    if isinstance(key, np.ndarray):
        return _C.from_numpy(key)
    return key


@pytest.mark.parametrize("key", BASIC + ADVANCED, ids=repr)
def test_reading_by_index(key):
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    numpy_key = numpy_index(key)
    for k in (key, as_tensor_index(key)):
        same(tensor(a)[k], a[numpy_key])


@pytest.mark.parametrize("key", BASIC, ids=repr)
def test_basic_indexing_gives_views(key):
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x = tensor(a)
    view = x[key]
    assert view is not x
    view.fill_(-1)
    a[key] = -1
    same(x, a)


@pytest.mark.parametrize("key", BASIC + ADVANCED, ids=repr)
def test_writing_by_index(key):
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    numpy_key = numpy_index(key)
    for value in [7, np.float32(8.5), "row", "array", "tensor"]:
        x, b = tensor(a), a.copy()
        if isinstance(value, str):
            place = b[numpy_key]
            full = np.arange(place.size, dtype=np.float32).reshape(place.shape)
            if isinstance(key, list):  # an index met twice: which value stays is not said
                full = np.full(place.shape, 5.0, np.float32)
            elif value == "row" and place.ndim and place.size:
                full = full[..., :1]
            b[numpy_key] = full
            x[key] = tensor(full) if value != "array" else full
        else:
            b[numpy_key] = value
            x[key] = value
        same(x, b)


def test_assignment_of_lists_and_leading_ones():
    x = arange(2, 3)
    x[0] = [7, 8, 9]
    x[1] = tensor([[1.0, 2.0, 3.0]])
    x[:, 1] = (0, 5)
    same(x, np.float32([[7, 0, 9], [1, 5, 3]]))


def test_mixed_int_and_array_follow_pytorch():
    # NumPy counts the int among the arrays and moves the result's dimension to the front.
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    same(tensor(a)[0, :, [1, 2]], a[0][:, [1, 2]])


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        (2, IndexError, "index 2 is out of range for dimension 0 of size 2"),
        (-3, IndexError, "index -3 is out of range for dimension 0 of size 2"),
        ((0, 3), IndexError, "index 3 is out of range for dimension 1 of size 3"),
        ((..., 9), IndexError, "dimension 2 of size 4"),
        ((0, 0, 0, 0), IndexError, "too many indices"),
        ((..., 0, ...), IndexError, "ellipsis"),
        (2**70, IndexError, "64 bits"),
        (slice(None, None, -1), ValueError, "step"),
        (slice(None, None, 0), ValueError, "step"),
        (slice("a"), TypeError, "slice indices"),
        ("a", TypeError, "str"),
        (1.5, TypeError, "float"),
        ([0.5], TypeError, "float32"),
        ([5], IndexError, "5"),
        ([0, [1]], ValueError, "number at"),
        (np.array([True, False, True]), IndexError, "mask"),
        (np.ones((2, 2), bool), IndexError, "mask"),
        (([0, 1], [0, 1, 2]), (IndexError, ValueError), "broadcast"),
        (np.uint8([1]), TypeError, "uint8"),
        ({}, TypeError, "dict"),
    ],
    ids=repr,
)
def test_bad_indices(key, error, text):
    x = arange(2, 3, 4)
    before = x.tolist()
    with pytest.raises(error, match=text):
        x[key]
    with pytest.raises(error, match=text):
        x[key] = 0
    assert x.tolist() == before


def test_bad_assignments():
    x = arange(2, 3)
    before = x.tolist()
    for value in ["a", None, {}, object()]:
        with pytest.raises(TypeError):
            x[0] = value
    for value in [[1, 2], np.zeros(4), tensor([[1.0], [2.0]])]:
        with pytest.raises((ValueError, RuntimeError)):
            x[0] = value
    with pytest.raises(TypeError, match="deleted"):
        del x[0]
    assert x.tolist() == before
    with pytest.raises(IndexError):
        tensor(1.0)[0]


def test_indexing_is_differentiable():
    x = tensor(np.arange(6.0).reshape(2, 3), _C.float64, requires_grad=True)
    y = x[1, 1:] * 2
    z = x[[0, 0], [1, 1]] * 3
    w = x[x > 4] * 5
    (y.sum() + z.sum() + w.sum()).backward()
    same(x.grad, [[0.0, 6, 0], [0, 2, 7]])
    base = tensor([1.0, 2.0, 3.0], requires_grad=True)
    a = base * 1
    a[1] = base[0] * 10
    a.sum().backward()
    same(base.grad, np.float32([11, 0, 1]))


# ----------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_numpy_both_ways_without_copying(dtype):
    name = repr(dtype).rpartition(".")[2]
    numpy_dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    a = np.array([[0, 1, 1], [1, 0, 1]]).astype(numpy_dtype)
    for array in (a, a.T, a[:, ::2], a[1:], a[:0], a[0, 0:1].reshape(())):
        if not isinstance(array, np.ndarray):
            continue
        t = _C.from_numpy(array)
        assert t.dtype is dtype and t.shape == array.shape
        back = t.numpy()
        assert back.dtype == numpy_dtype and (back.strides == array.strides or array.size < 2)
        np.testing.assert_array_equal(back.astype(np.float32), array.astype(np.float32))
        if array.size:
            assert t.data_ptr() == array.ctypes.data == back.ctypes.data
    t = _C.from_numpy(a)
    t.fill_(1)
    assert (a == 1).all()
    a[0, 0] = 0
    assert t[0, 0].item() == 0


def test_arrays_keep_memory_alive():
    t = _C.from_numpy(np.arange(1000))
    gc.collect()
    assert t[999].item() == 999
    a = arange(1000).numpy()
    gc.collect()
    assert a[999] == 999
    array = np.arange(3)
    count = sys.getrefcount(array)
    t = _C.from_numpy(array)
    del t
    assert sys.getrefcount(array) == count


def test_read_only_arrays_are_copied():
    a = np.arange(3)
    a.flags.writeable = False
    t = _C.from_numpy(a)
    t[0] = 5
    assert a[0] == 0 and t[0].item() == 5


def test_bad_arrays():
    with pytest.raises(ValueError, match="copy"):
        _C.from_numpy(np.arange(4)[::-1])
    with pytest.raises(TypeError, match="complex64"):
        _C.from_numpy(np.zeros(2, np.complex64))
    for dtype in ["U3", "O", "uint16", "uint64", "M8[s]", "S2", [("a", "f4")], "g"]:
        with pytest.raises(TypeError, match="not supported"):
            _C.from_numpy(np.zeros(2, dtype))
    with pytest.raises(TypeError, match="byte order"):
        _C.from_numpy(np.zeros(2, ">f4"))
    with pytest.raises(ValueError, match="aligned|multiple"):
        _C.from_numpy(np.frombuffer(bytearray(9), np.uint8)[1:].view(np.float32))
    with pytest.raises(ValueError, match="multiple"):
        _C.from_numpy(np.zeros(4, [("a", "f4"), ("b", "u1")])["a"])
    for bad in [[1, 2], 3, None, arange(2)]:
        with pytest.raises(TypeError, match="ndarray"):
            _C.from_numpy(bad)


def test_numpy_refuses_what_it_cannot_follow():
    x = tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        x.numpy()
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(x)
    assert x.detach().numpy()[0] == 1 and x.numpy(force=True)[0] == 1


def test_array_protocol():
    x = arange(3)
    a = np.asarray(x)
    assert a.ctypes.data == x.data_ptr()
    assert np.array(x).ctypes.data != x.data_ptr()
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.stack([x, x]).shape == (2, 3)
    assert np.array([tensor(1.0), tensor(2.0)]).shape == (2,)
    with pytest.raises(ValueError):
        x.__array__(np.float64, copy=False)


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1, _C.int64, ()),
        (1.5, _C.float32, ()),
        (True, _C.bool, ()),
        ([], _C.float32, (0,)),
        ([[]], _C.float32, (1, 0)),
        ([[], []], _C.float32, (2, 0)),
        ([1, 2], _C.int64, (2,)),
        ([1, 2.5], _C.float32, (2,)),
        ([True, 2], _C.int64, (2,)),
        ([True, False], _C.bool, (2,)),
        ([[1, 2], [3, 4]], _C.int64, (2, 2)),
        (((1.0,), (2.0,)), _C.float32, (2, 1)),
        (range(4), _C.int64, (4,)),
        (np.float64(1), _C.float64, ()),
        (np.int32(1), _C.int32, ()),
        ([np.float16(1)], _C.float16, (1,)),
        (np.zeros((2, 0)), _C.float64, (2, 0)),
        ([np.zeros(3, np.float32)] * 2, _C.float32, (2, 3)),
        ([np.arange(2), [1.5, 2]], _C.float32, (2, 2)),
        (np.arange(4)[::-1], _C.int64, (4,)),
        (np.zeros(2, ">f4"), _C.float32, (2,)),
        (ml_dtypes.bfloat16(1), _C.bfloat16, ()),
    ],
    ids=repr,
)
def test_tensor_from_data(data, dtype, shape):
    t = _C.tensor_from_data(data)
    assert t.dtype is dtype and t.shape == shape
    expected = np.array(data)
    np.testing.assert_array_equal(t.numpy().astype(np.float64), expected.astype(np.float64))
    assert _C.tensor_from_data(data, _C.float64).dtype is _C.float64


def test_tensor_from_tensors():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = _C.tensor_from_data(x)
    assert y.data_ptr() != x.data_ptr() and not y.requires_grad
    same(_C.tensor_from_data([x, [3, 4]]), np.float32([[1, 2], [3, 4]]))
    same(_C.tensor_from_data([tensor(1), tensor(2)]), [1, 2])
    same(_C.tensor_from_data([[tensor(1.5), 2]]), np.float32([[1.5, 2]]))


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        ([[1, 2], [3]], ValueError, r"length 2 at \[1\], got length 1"),
        ([[1, 2], 3], ValueError, r"length 2 at \[1\], got int"),
        ([1, [2]], ValueError, r"number at \[1\]"),
        ([[[1]], [[1, 2]]], ValueError, r"\[1\]\[0\]"),
        ([[], [1]], ValueError, "length 0"),
        ([np.zeros(2), np.zeros(3)], ValueError, r"\[1\]"),
        ("abc", TypeError, "str"),
        (["a"], TypeError, r"\[0\].*str"),
        (None, TypeError, "NoneType"),
        ([None], TypeError, "NoneType"),
        ({}, TypeError, "dict"),
        ([1j], TypeError, "complex"),
        (2**63, RuntimeError, "64 bits"),
        (np.zeros(2, np.complex64), TypeError, "complex64"),
        (np.array(["a"]), TypeError, "not supported"),
        (object(), TypeError, "object"),
    ],
    ids=repr,
)
def test_bad_data(data, error, text):
    with pytest.raises(error, match=text):
        _C.tensor_from_data(data)


def test_data_that_bites():
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested"):
        _C.tensor_from_data(loop)
    with pytest.raises(RuntimeError, match="300"):
        _C.tensor_from_data([300], _C.uint8)

    class Shrinking:
        """A sequence whose length differs each time it is asked."""

        calls = 0

        def __len__(self):
            Shrinking.calls += 1
            return 3 if Shrinking.calls < 3 else 1

        def __getitem__(self, i):
            if i >= (3 if Shrinking.calls < 3 else 1):
                raise IndexError
            return 1

    try:
        assert _C.tensor_from_data(Shrinking()).dtype is _C.int64
    except ValueError as error:
        assert "changed" in str(error)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tolist(dtype):
    x = tensor([[0, 1], [1, 0]], dtype)
    assert x.T.tolist() == [[0, 1], [1, 0]]
    kind = bool if dtype is _C.bool else float if dtype.is_floating_point else int
    assert type(x[0, 0].tolist()) is kind and tensor([]).tolist() == []


# -------------------------------------------------------------------------------------- arguments


def test_keywords_defaults_and_aliases():
    x = arange(2, 3)
    same(_C.sum(x, dim=1), x.sum(1).numpy())
    same(x.sum(axis=1, keepdims=True), x.sum(1, True).numpy())
    same(_C.sum(input=x), x.sum().numpy())
    same(x.sum((0, 1)), x.sum([0, 1]).numpy())
    assert x.sum(dtype=_C.float64).dtype is _C.float64
    assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == x.reshape([3, 2]).shape == (3, 2)
    assert x.reshape(shape=(6,)).shape == x.view(-1).shape == x.view(x.numel()).shape == (6,)
    assert (
        x.permute(1, 0).shape == x.permute((1, 0)).shape == x.permute(dims=(1, 0)).shape == (3, 2)
    )
    assert x.reshape(np.int64(3), tensor(2)).shape == (3, 2)
    assert x.view(_C.Size([6])).shape == (6,)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: x.softmax("a"), TypeError,
         r"^\[softmax\] argument 'dim' must be an int, got str. "
         r"Signature: softmax\(input, dim, dtype=None\).$"),
        (lambda x: x.softmax(), TypeError, r"\[softmax\] misses the argument 'dim'. Signature"),
        (lambda x: x.softmax(0, out=x), TypeError, "has no argument 'out'"),
        (lambda x: x.softmax(0, dim=0), TypeError, "'dim' twice"),
        (lambda x: x.softmax(0, None, 1), TypeError, "at most 2 arguments, got 3"),
        (lambda x: _C.softmax(x, 0, None, 1), TypeError, "at most 3 arguments, got 4"),
        (lambda x: x.softmax(0.0), TypeError, "'dim' must be an int, got float"),
        (lambda x: x.softmax(True), TypeError, "must be an int, got bool"),
        (lambda x: x.softmax(2**64), ValueError, "64 bits"),
        (lambda x: x.softmax(0, dtype="float32"), TypeError, "must be a dtype, got str"),
        (lambda x: x.softmax(7), IndexError, "softmax"),
        (lambda x: _C.exp([1]), TypeError, "'input' must be a Tensor, got list"),
        (lambda x: _C.exp(None), TypeError, "got NoneType"),
        (lambda x: _C.exp(np.zeros(2)), TypeError, "numpy.ndarray"),
        (lambda x: _C.exp(), TypeError, "misses the argument 'input'"),
        (lambda x: _C.add(x, "b"), TypeError, "a Tensor or a number"),
        (lambda x: _C.cat(x), TypeError, "a list or tuple of Tensors"),
        (lambda x: _C.cat([x, 1]), TypeError, "element of type int"),
        (lambda x: _C.cat([x, None]), TypeError, "element of type NoneType"),
        (lambda x: x.reshape(3, "2"), TypeError, "element of type str"),
        (lambda x: x.reshape("32"), TypeError, "an int or a sequence of ints"),
        (lambda x: x.reshape(*[1] * 20), ValueError, "12"),
        (lambda x: x.sum(keepdim=1), TypeError, "must be a bool"),
        (lambda x: _C.gelu(x, 3), TypeError, "must be a str"),
        (lambda x: x.clamp("a"), TypeError, "must be a float"),
        (lambda x: _C._empty((2,), device=5), TypeError, "a device or its name"),
        (lambda x: _C._full((2,), 1j), TypeError, "must be a number"),
        (lambda x: x.register_hook(3), TypeError, "callable"),
        (lambda x: x.backward(retain_graph=3), TypeError, "must be a bool"),
        (lambda x: x.backward(inputs=3), TypeError, "inputs"),
        (lambda x: _C.set_grad_enabled(1), TypeError, "must be a bool"),
    ],
)  # fmt: skip
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call(arange(2, 3))


def test_methods_need_a_tensor():
    with pytest.raises(TypeError):
        _C.Tensor.exp(3)
    with pytest.raises(TypeError):
        _C.Tensor.shape.__get__(3)


def test_results():
    x = tensor([[3.0, 1.0], [2.0, 4.0]])
    pair = x.sort(0)
    values, indices = pair
    assert type(pair) is _C.ValuesIndices and pair.values is values and pair.indices is indices
    assert indices.dtype is _C.int64
    again = pickle.loads(pickle.dumps(pair))
    assert again.values.tolist() == values.tolist()
    assert type(x.unbind(0)) is tuple


def test_help_shows_signatures():
    assert str(inspect.signature(_C.softmax)) == "(input, dim, dtype=None)"
    assert "dim, dtype=None)" in str(inspect.signature(_C.Tensor.softmax))
    assert "exp(input) / sum" in _C.softmax.__doc__


# --------------------------------------------------------------------------------------- autograd


def test_backward_and_grad():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * x).sum()
    assert y.requires_grad and not y.is_leaf and x.is_leaf and y.grad_fn.name() == "SumBackward"
    assert repr(y.grad_fn) == "<SumBackward>"
    ((mul, slot),) = y.grad_fn.next_functions
    assert mul.name() == "MulBackward" and slot == 0
    assert mul.next_functions[0][0].name() == "AccumulateGrad" and x.grad_fn is None
    y.backward(retain_graph=True)
    same(x.grad, np.float32([2, 4, 6]))
    (g,) = _C.grad([y], [x])
    same(g, np.float32([2, 4, 6]))
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()
    with pytest.raises(RuntimeError):
        (x * 2).backward()
    with pytest.raises(RuntimeError):
        arange(2).sum().backward()
    (x * 2).backward(tensor([1.0, 1.0, 1.0]))
    same(x.grad, np.float32([4, 6, 8]))


def test_second_derivatives():
    x = tensor([1.0, 2.0], _C.float64, requires_grad=True)
    (g,) = _C.grad([(x**3).sum()], [x], create_graph=True)
    (h,) = _C.grad([g.sum()], [x])
    same(h, [6.0, 12.0])


def test_backward_inputs():
    x, w = tensor([1.0], requires_grad=True), tensor([2.0], requires_grad=True)
    (x * w).backward(inputs=[w])
    assert x.grad is None
    same(w.grad, np.float32([1]))
    with pytest.raises(RuntimeError):
        (x * w).backward(inputs=[])


def test_modes():
    x = tensor([1.0], requires_grad=True)
    _C.set_grad_enabled(False)
    try:
        assert not _C.is_grad_enabled() and not (x * 2).requires_grad
    finally:
        _C.set_grad_enabled(True)
    _C.set_inference_mode(True)
    try:
        y = x * 2
        assert _C.is_inference_mode() and y.is_inference() and not y.requires_grad
    finally:
        _C.set_inference_mode(False)


def test_hooks():
    x = tensor([1.0, 2.0], requires_grad=True)
    seen = []
    first = x.register_hook(lambda g: seen.append(g.tolist()))
    second = x.register_hook(lambda g: g * 10)
    (x * 2).sum().backward()
    assert seen == [[2, 2]]
    same(x.grad, np.float32([20, 20]))
    first.remove()
    second.remove()
    second.remove()
    (x * 2).sum().backward()
    assert seen == [[2, 2]]
    same(x.grad, np.float32([22, 22]))

    y = x * 3
    y.retain_grad()
    with y.register_hook(lambda g: g + 1):
        y.sum().backward()
    same(y.grad, np.float32([2, 2]))


def test_an_exception_in_a_hook_passes_through_unchanged():
    class Mine(Exception):
        pass

    error = Mine("unchanged")

    def hook(g):
        raise error

    x = tensor([1.0], requires_grad=True)
    handle = x.register_hook(hook)
    with pytest.raises(Mine) as caught:
        (x * 2).backward()
    assert caught.value is error
    handle.remove()
    x.register_hook(lambda g: "no tensor")
    with pytest.raises(TypeError, match="hook"):
        (x * 2).backward()
    y = tensor([1.0, 2.0], requires_grad=True)
    y.register_hook(lambda g: tensor([1.0]))
    with pytest.raises(RuntimeError, match="shape"):
        (y * 2).sum().backward()


def test_detach():
    x = tensor([1.0], requires_grad=True)
    y = x * 2
    assert y.detach().data_ptr() == y.data_ptr() and not y.detach().requires_grad
    assert y.detach_() is y and y.is_leaf and y.grad_fn is None and not y.requires_grad
    z = x * 2
    z.retain_grad()
    w = z * 3
    z.detach_()
    del z
    w.backward()
    with pytest.raises(RuntimeError):
        (x * 2)[0:].detach_()


# ------------------------------------------------------------------------------- autograd.Function


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * y


class Scale(Function):
    @staticmethod
    def forward(ctx, x, factor, note=None):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx, dy):
        assert ctx.needs_input_grad == (True, False, False)
        return dy * ctx.factor, None, None


def test_function_first_and_second_derivative():
    x = tensor([0.5, 1.0], _C.float64, requires_grad=True)
    y = Exp.apply(x)
    assert y.grad_fn.name() == "ExpBackward"
    (g,) = _C.grad([y.sum()], [x], create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), np.exp([0.5, 1.0]))
    (h,) = _C.grad([g.sum()], [x])
    np.testing.assert_allclose(h.numpy(), np.exp([0.5, 1.0]))
    Scale.apply(x, 3.0, "note").sum().backward()
    same(x.grad, [3.0, 3.0])
    assert not Scale.apply(x.detach(), 2.0).requires_grad


def test_function_notices_changes_in_place():
    x = tensor([0.5], requires_grad=True)
    y = Exp.apply(x)
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        y.backward()


def test_function_backward_twice():
    x = tensor([0.5], requires_grad=True)
    y = Exp.apply(x)
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_function_with_several_outputs():
    grads = []

    class Split(Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            largest = x.argmax()
            plain = x * 0
            ctx.mark_non_differentiable(plain)
            return x[:1].clone(), x[1:].clone(), largest, plain, "text"

        @staticmethod
        def backward(ctx, a, b, largest, plain, text):
            grads.append([g if g is None else g.tolist() for g in (a, b, largest, plain, text)])
            return tensor([1.0, 2.0, 3.0]), None

    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    for materialize, second in [(True, [0, 0]), (False, None)]:
        a, b, largest, plain, text = Split.apply(x, materialize)
        assert (
            a.requires_grad
            and b.requires_grad
            and not largest.requires_grad
            and not plain.requires_grad
        )
        assert text == "text" and largest.item() == 2
        a.sum().backward()
        assert grads.pop() == [[1], second, None, None, None]
    same(x.grad, np.float32([2, 4, 6]))


def test_function_returning_its_argument_or_a_view():
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 5

    class View(Same):
        @staticmethod
        def forward(ctx, x):
            return x.view(-1)

        @staticmethod
        def backward(ctx, dy):
            return dy.view(2, 1) * 7

    x = tensor([[1.0], [2.0]], requires_grad=True)
    y = Same.apply(x)
    assert y is not x and y.grad_fn is not None and x.is_leaf
    y.sum().backward()
    View.apply(x).sum().backward()
    same(x.grad, np.float32([[12], [12]]))


def test_function_mark_dirty():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    x = tensor([1.0], requires_grad=True)
    y = x * 3
    z = Double.apply(y)
    assert z is y
    z.backward()
    same(x.grad, np.float32([6]))
    with pytest.raises(RuntimeError):
        Double.apply(tensor([1.0], requires_grad=True))


def returning(value):
    class Returning(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            return value

    return Returning


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (tensor([1.0]), RuntimeError, "returned 1 gradients, expected 2"),
        ((tensor([1.0]), None, tensor([1.0])), RuntimeError, "3 gradients for 2 arguments"),
        ((tensor([1.0]), tensor([1.0])), RuntimeError, None),
        ((tensor([1.0, 2.0]), None), RuntimeError, r"shape \(2,\) for argument 0 of shape \(1,\)"),
        ((3, None), TypeError, "int"),
        ("ab", RuntimeError, "1 gradients"),
    ],
)
def test_function_with_a_wrong_backward(value, error, text):
    x = tensor([1.0], requires_grad=True)
    y = returning(value).apply(x, 3)
    if text is None:  # a gradient nobody asked for is ignored
        y.backward()
        return
    with pytest.raises(error, match=text):
        y.backward()


def test_function_errors_pass_through():
    class Broken(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            raise KeyError("mine")

    x = tensor([1.0], requires_grad=True)
    with pytest.raises(KeyError, match="mine"):
        Broken.apply(x).backward()
    with pytest.raises(NotImplementedError):
        Function.apply(x)
    with pytest.raises(TypeError):
        _C._apply_function(3, None, (), print)

    class SavesNonsense(Broken):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward("text")
            return x * 1

    with pytest.raises(TypeError, match="str"):
        SavesNonsense.apply(x)


def test_function_with_setup_context():
    class Cube(Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * 3 * x**2

    x = tensor([2.0], requires_grad=True)
    Cube.apply(x).backward()
    same(x.grad, np.float32([12]))


def test_once_differentiable():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, dy):
            assert not _C.is_grad_enabled()
            return dy * 2 * ctx.saved_tensors[0]

    x = tensor([3.0], requires_grad=True)
    Square.apply(x).backward()
    same(x.grad, np.float32([6]))
    (g,) = _C.grad([Square.apply(x)], [x], create_graph=True)
    same(g, np.float32([6]))
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.backward()


def test_function_graphs_are_freed():
    class Marker:
        pass

    class Keeps(Function):
        @staticmethod
        def forward(ctx, x, marker):
            y = x * 2
            ctx.marker = marker
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, dy):
            return dy * 2, None

    gc.disable()
    try:
        marker = Marker()
        reference = weakref.ref(marker)
        x = tensor([1.0], requires_grad=True)
        y = Keeps.apply(x, marker)
        y.backward()
        del marker
        assert reference() is not None
        del y
        assert reference() is None
    finally:
        gc.enable()


def test_saved_tensors_outlive_nothing():
    contexts = []

    class Leaks(Exp):
        @staticmethod
        def forward(ctx, x):
            contexts.append(ctx)
            return Exp.forward(ctx, x)

    x = tensor([1.0], requires_grad=True)
    y = Leaks.apply(x)
    same(contexts[0].saved_tensors[0], y.detach().numpy())
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        _ = contexts[0].saved_tensors
    del y
    with pytest.raises(RuntimeError, match="gone"):
        _ = contexts[0].saved_tensors


# -------------------------------------------------------------------------------------- generator


def test_generator():
    g = _C.Generator()
    assert g.manual_seed(5) is g and g.initial_seed() == 5
    assert g._next() == (5, 0) and g._next() == (5, 1) and g.offset == 2
    state = g.get_state()
    g._next()
    g.set_state(state)
    assert g.offset == 2
    assert pickle.loads(pickle.dumps(g)).offset == 2
    g.manual_seed(-1)
    g.manual_seed(2**64 + 3)
    assert g.initial_seed() == 3
    assert g.seed() == g.initial_seed()
    for bad in [arange(3), None, 3]:
        with pytest.raises(TypeError):
            g.set_state(bad)
    for bad in [1.5, "a", None]:
        with pytest.raises(TypeError):
            g.manual_seed(bad)
    _C.default_generator.manual_seed(7)
    a = _C._randperm(10).tolist()
    _C.default_generator.manual_seed(7)
    assert _C._randperm(10).tolist() == a and sorted(a) == list(range(10))


# ----------------------------------------------------------------------------------------- config


def test_config():
    threads = _C.num_threads()
    _C.set_num_threads(2)
    assert _C.num_threads() == 2
    _C.set_num_threads(threads)
    for bad in (0, -1, 10**9):
        with pytest.raises(ValueError):
            _C.set_num_threads(bad)
    isa = _C.isa()
    assert isa in ("baseline", "avx2", "avx512")
    _C.set_isa("baseline")
    assert _C.isa() == "baseline"
    _C.set_isa(isa)
    with pytest.raises(ValueError):
        _C.set_isa("mmx")
    with pytest.raises(ValueError):
        _C.set_memory_limit(-1)
    with pytest.raises(TypeError):
        _C.set_default_dtype(_C.int64)
    _C.set_default_dtype(_C.float64)
    try:
        assert tensor([1.0]).dtype is _C.float64 and _C.get_default_dtype() is _C.float64
    finally:
        _C.set_default_dtype(_C.float32)
    assert _C.promote_types(_C.int64, _C.float16) is _C.float16 and not _C.can_cast(
        _C.float32, _C.int8
    )
    stats = _C.memory_stats()
    assert (
        set(stats) == {"in_use", "peak", "cached", "allocations"}
        and stats["peak"] >= stats["in_use"] > 0
    )


def test_memory_errors_say_what_was_asked_for():
    _C.empty_cache()
    _C.set_memory_limit(_C.memory_stats()["in_use"] + 2**28)
    try:
        with pytest.raises(MemoryError, match=r"\d"):
            _C._empty((2**28,))
    finally:
        _C.set_memory_limit(0)
    with pytest.raises((ValueError, MemoryError)):
        _C._empty((2**40, 2**40))


def test_repr_function():
    with pytest.raises(TypeError):
        _C._set_repr(3)
    code = (
        "from gradstone import _C; x = _C.tensor_from_data([1, 2]); "
        "_C._set_repr(lambda t: f'T{t.tolist()}'); print(repr(x), str(x), f'{x}')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "T[1, 2] T[1, 2] T[1, 2]"


# ------------------------------------------------------------------------------- catalogue and stub


def test_every_operation_is_bound():
    rows = _C.operations()
    assert len(rows) > 200 and len({row["cpp_name"] for row in rows}) == len(rows)
    for row in rows:
        assert row["doc"].endswith((".", ")")), row
        if row["kind"] in ("F", "FM", "N"):
            assert callable(getattr(_C, row["name"]))
        if row["kind"] in ("M", "FM"):
            assert callable(getattr(_C.Tensor, row["name"]))


def test_stub_is_what_the_catalogue_says():
    subprocess.run([sys.executable, str(ROOT / "tests" / "make_stub.py"), "--check"], check=True)


def test_stub_names_everything():
    tree = ast.parse((ROOT / "python" / "gradstone" / "_C.pyi").read_text())

    def names(body):
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield node.name
            elif isinstance(node, ast.AnnAssign):
                yield node.target.id

    tensor_body = next(
        n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Tensor"
    ).body
    missing = {n for n in dir(_C) if not n.startswith("__")} - set(names(tree.body))
    assert not missing
    code = (
        "from gradstone import _C; print(*[n for n in vars(_C.Tensor) if not n.startswith('__')])"
    )
    bare = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['gradstone'] = type(sys)('gradstone'); "
         f"sys.modules['gradstone'].__path__ = {sys.modules['gradstone'].__path__!r}; {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not set(bare.stdout.split()) - set(names(tensor_body))


# -------------------------------------------------------------------------------------- threads


def test_backward_lets_other_threads_run():
    import threading

    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(2000):
        y = y * 1.0
    result = []
    worker = threading.Thread(target=lambda: (y.backward(), result.append(True)))
    worker.start()
    worker.join(60)
    assert result
    same(x.grad, np.float32([1]))


def test_a_signal_ends_a_long_backward():
    class Interrupted(Exception):
        pass

    def handler(*_):
        raise Interrupted

    x = tensor(np.ones(1_000, np.float32), requires_grad=True)
    y = x
    for _ in range(60_000):
        y = y * 1.0
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.005)
    try:
        with pytest.raises(Interrupted):
            y.sum().backward()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert x.grad is None
