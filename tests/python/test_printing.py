"""Tensors as text: the strings are what PyTorch 2.13 prints (with its name in place of ours)."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs


@pytest.fixture(autouse=True)
def default_options():
    gs.set_printoptions(profile="default")
    yield
    gs.set_printoptions(profile="default")


CASES = [
    (lambda: gs.tensor([5, 7, 9]), "tensor([5, 7, 9])"),
    (lambda: gs.tensor([4.0]), "tensor([4.])"),
    (lambda: gs.tensor(3), "tensor(3)"),
    (lambda: gs.tensor(2.5), "tensor(2.5000)"),
    (lambda: gs.tensor([True, False]), "tensor([ True, False])"),
    (lambda: gs.tensor([1.0, 2.5, -3.0]), "tensor([ 1.0000,  2.5000, -3.0000])"),
    (lambda: gs.tensor([math.nan, 1.0, math.inf]), "tensor([nan, 1., inf])"),
    (lambda: gs.tensor([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"),
    (lambda: gs.tensor([1e9, 1.0]), "tensor([1.0000e+09, 1.0000e+00])"),
    (lambda: gs.tensor([[1, 20], [300, 4]]), "tensor([[  1,  20],\n        [300,   4]])"),
    (lambda: gs.zeros(0), "tensor([])"),
    (lambda: gs.zeros(2, 0), "tensor([], size=(2, 0))"),
    (lambda: gs.zeros(0, dtype=gs.int32), "tensor([], dtype=gradstone.int32)"),
    (lambda: gs.ones(2, dtype=gs.float64), "tensor([1., 1.], dtype=gradstone.float64)"),
    (lambda: gs.ones(2, dtype=gs.bfloat16), "tensor([1., 1.], dtype=gradstone.bfloat16)"),
    (lambda: gs.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
    (lambda: gs.ones(2, requires_grad=True) * 2, "tensor([2., 2.], grad_fn=<MulBackward0>)"),
    (
        lambda: gs.nn.Parameter(gs.ones(2)),
        "Parameter containing:\ntensor([1., 1.], requires_grad=True)",
    ),
    (lambda: gs.zeros(2, 1, 2), "tensor([[[0., 0.]],\n\n        [[0., 0.]]])"),
    (lambda: gs.arange(2000), "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
]


@pytest.mark.parametrize(("make", "text"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_text(make, text):
    assert repr(make()) == text
    assert str(make()) == text


def test_long_matrices_show_their_edges():
    text = repr(gs.arange(2000).reshape(50, 40))
    assert text.startswith("tensor([[   0,    1,    2,  ...,   37,   38,   39],\n        [  40,")
    assert "\n        ...,\n" in text
    assert text.endswith("[1960, 1961, 1962,  ..., 1997, 1998, 1999]])")


def test_lines_break_at_the_width():
    text = repr(gs.arange(30))
    lines = text.split("\n")
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].startswith(" " * 8 + "18, ")


def test_options():
    x = gs.tensor([math.pi, 1000.5])
    gs.set_printoptions(precision=2)
    assert repr(x) == "tensor([   3.14, 1000.50])"
    gs.set_printoptions(sci_mode=True)
    assert repr(x) == "tensor([3.14e+00, 1.00e+03])"
    gs.set_printoptions(profile="full")
    assert "..." not in repr(gs.arange(2000))
    with pytest.raises(ValueError, match="unknown profile"):
        gs.set_printoptions(profile="loud")


def test_format_of_a_number():
    assert f"{gs.tensor(1.5):.3f}" == "1.500"


def test_non_contiguous_and_half():
    x = gs.arange(6).reshape(2, 3).T
    assert repr(x) == "tensor([[0, 3],\n        [1, 4],\n        [2, 5]])"
    half = gs.from_numpy(np.array([0.1, 2], np.float16))
    assert repr(half) == "tensor([0.1000, 2.0000], dtype=gradstone.float16)"
