"""Images as columns of patches, and transposed convolution of sequences."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn
from gradstone.nn import functional as F


def randn(*shape):
    return gs.tensor(np.random.default_rng(sum(shape)).standard_normal(shape))


def test_fold_is_the_gradient_of_unfold():
    x = randn(2, 3, 5, 6).requires_grad_()
    options = {"kernel_size": (2, 3), "dilation": (1, 2), "padding": 1, "stride": 2}
    columns = nn.Unfold(**options)(x)
    weight = randn(*columns.shape)
    columns.backward(weight)
    fold = nn.Fold((5, 6), **options)
    assert gs.allclose(fold(weight), x.grad)
    assert gs.allclose(fold(weight[0]), x.grad[0])
    with pytest.raises(ValueError, match=r"expected input of shape \(N, C \* 2 \* 3, 3 \* 2\)"):
        fold(weight[:, :, 1:])


def test_transposed_convolution_of_sequences():
    x = randn(2, 4, 5).requires_grad_()
    layer = nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, groups=2).double()
    assert layer.weight.shape == (4, 3, 3)
    y = layer(x)
    assert y.shape == (2, 6, 9) and layer(x, output_size=[10]).shape == (2, 6, 10)
    weight = randn(*y.shape)
    (got,) = gs.autograd.grad(y, x, weight)
    assert gs.allclose(got, F.conv1d(weight, layer.weight, None, 2, 1, 1, 2))
    assert gs.allclose(layer(x[0]), y[0])
    with pytest.raises(ValueError, match=r"\[conv_transpose1d\] expected input of shape"):
        layer(x[0, 0])
