"""gradstone.testing."""

from __future__ import annotations

import pytest

import gradstone as gs


def test_assert_close():
    gs.testing.assert_close(gs.ones(2), gs.ones(2) + 1e-7)
    with pytest.raises(AssertionError, match="1 of 2 elements differ"):
        gs.testing.assert_close(gs.tensor([1.0, 2.0]), gs.tensor([1.0, 3.0]))
    with pytest.raises(AssertionError, match="dtypes differ"):
        gs.testing.assert_close(gs.ones(1), gs.ones(1, dtype=gs.float64))
    with pytest.raises(AssertionError, match="shapes differ"):
        gs.testing.assert_close(gs.ones(1), gs.ones(2))
