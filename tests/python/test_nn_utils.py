"""Clipping gradients, and parameters as one vector."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn


def test_clipping_and_vectors():
    a, b = nn.Parameter(gs.zeros(2)), nn.Parameter(gs.zeros(2))
    a.grad, b.grad = gs.tensor([3.0, 0.0]), gs.tensor([0.0, 4.0])
    norm = nn.utils.clip_grad_norm_([a, b], 1.0)
    assert norm.item() == 5
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0], rtol=1e-5)
    np.testing.assert_allclose(b.grad.numpy(), [0, 0.8], rtol=1e-5)
    assert nn.utils.clip_grad_norm_([a, b], 10.0, norm_type=float("inf")).item() == pytest.approx(
        0.8
    )
    nn.utils.clip_grad_value_([a, b], 0.5)
    assert a.grad.tolist() == [0.5, 0]
    a.grad = gs.tensor([float("nan"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([a], 1.0, error_if_nonfinite=True)
    vector = nn.utils.parameters_to_vector([a, b])
    nn.utils.vector_to_parameters(gs.arange(4.0), [a, b])
    assert vector.shape == (4,)
    assert b.tolist() == [2, 3]
    with pytest.raises(ValueError, match="4 elements"):
        nn.utils.vector_to_parameters(gs.zeros(3), [a, b])
