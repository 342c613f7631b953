"""Tensors to and from NumPy arrays and nested lists."""

from __future__ import annotations

import gc
import sys

import ml_dtypes
import numpy as np
import pytest

from gradstone import _C
from native import DTYPES, arange, same, tensor


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
