"""Norms under the names of torch.linalg, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs

RNG = np.random.default_rng(0)
A, B = RNG.uniform(0.1, 0.9, (3, 4)), RNG.uniform(0.1, 0.9, (3, 4))


def same(mine, theirs):
    np.testing.assert_allclose(np.asarray(mine), theirs, rtol=1e-12)


@pytest.mark.parametrize("ord", [None, 1, -1, math.inf, -math.inf, "fro"])
@pytest.mark.parametrize("keepdim", [False, True])
def test_norms(ord, keepdim):
    same(
        gs.linalg.norm(gs.tensor(A), ord, keepdim=keepdim),
        np.linalg.norm(A, ord, keepdims=keepdim),
    )
    stack = np.stack([A, B, A - B])
    same(
        gs.linalg.norm(gs.tensor(stack), ord or "fro", (0, 2), keepdim),
        np.linalg.norm(stack, ord, (0, 2), keepdims=keepdim),
    )


def test_vector_norms():
    same(gs.linalg.norm(gs.tensor(A), 3, 1), np.linalg.norm(A, 3, 1))
    same(gs.linalg.vector_norm(gs.tensor(A)), np.linalg.norm(A.ravel()))
    same(gs.linalg.vector_norm(gs.tensor(A), 0, 0, True), np.full((1, 4), 3.0))
    assert gs.linalg.vector_norm(gs.ones(2, dtype=gs.int64), dtype=gs.float64).dtype == gs.float64
    with pytest.raises(ValueError, match="got 2"):
        gs.linalg.norm(gs.tensor(A), 2)
    with pytest.raises(ValueError, match="a vector or a matrix"):
        gs.linalg.norm(gs.ones(1, 1, 1), 1)


@pytest.mark.parametrize(("dim", "text"), [((0, 2), "from -2 to 1, got 2"), ((0, -2), "different")])
def test_dimensions_of_a_matrix(dim, text):
    with pytest.raises((IndexError, ValueError), match=text):
        gs.linalg.norm(gs.tensor(A), 1, dim)
