"""Short names for tests of gradstone._C, the compiled module, itself."""

from __future__ import annotations

import math

import numpy as np

from gradstone import _C

FLOATS = [_C.float16, _C.bfloat16, _C.float32, _C.float64]
DTYPES = [_C.bool, _C.uint8, _C.int8, _C.int16, _C.int32, _C.int64, *FLOATS]


def tensor(data, dtype=None, requires_grad=False):
    return _C.tensor_from_data(data, dtype).requires_grad_(requires_grad)


def arange(*shape, dtype=_C.float32):
    """0, 1, 2 ... in this shape."""
    return tensor(np.arange(math.prod(shape)).reshape(shape), dtype)


def same(t, expected):
    """Asserts equal shapes and values."""
    expected = np.asarray(expected)
    got = t.detach().numpy()
    assert got.shape == expected.shape, (got.shape, expected.shape)
    np.testing.assert_array_equal(got, expected)
