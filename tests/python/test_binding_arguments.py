"""How an operation reads its arguments: keywords, defaults, and what it refuses."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest

from gradstone import _C
from native import arange, same, tensor


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
        (lambda x: x.clamp("a"), TypeError, "must be a Tensor or a number"),
        (lambda x: _C.gelu(x, 3), TypeError, "must be a str"),
        (lambda x: _C.leaky_relu(x, "a"), TypeError, "must be a float"),
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
