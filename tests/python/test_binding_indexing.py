"""Reading and writing by index, beside NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from gradstone import _C
from native import arange, same, tensor

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
