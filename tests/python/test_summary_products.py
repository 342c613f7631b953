"""gs.summary counts the products of forwards written by hand."""

import pytest

import gradstone as gs
from gradstone import nn
from gradstone.model_summary import summary


class ByHand(nn.Module):
    """A weight of its own, and whatever it is told to do with it."""

    def __init__(self, forward):
        super().__init__()
        self.weight = nn.Parameter(gs.ones(3, 4))
        self.told = forward

    def forward(self, *inputs):
        return self.told(self.weight, *inputs)


def einsum(equation):
    return lambda weight, *inputs: gs.einsum(equation, *inputs)


# What a forward does, the inputs' shapes, and its multiply-adds.
PRODUCTS = {
    "matmul": (lambda w, x: x @ w, [(5, 2, 3)], 5 * 2 * 3 * 4),
    "Tensor.matmul": (lambda w, x: x.matmul(w), [(2, 3)], 2 * 3 * 4),
    "gs.matmul": (lambda w, x: gs.matmul(x, other=w), [(2, 3)], 2 * 3 * 4),
    "mm": (lambda w, x: x.mm(w), [(2, 3)], 2 * 3 * 4),
    "bmm": (lambda w, x, y: gs.bmm(x, y), [(5, 2, 3), (5, 3, 4)], 5 * 2 * 3 * 4),
    "mv": (lambda w, x: w.mv(x), [(4,)], 3 * 4),
    "dot": (lambda w, x: x.dot(x), [(7,)], 7),
    "addmm": (lambda w, x: gs.addmm(gs.zeros(4), x, w), [(2, 3)], 2 * 3 * 4),
    "baddbmm": (
        lambda w, x, y: gs.baddbmm(gs.zeros(1), x, y), [(5, 2, 3), (5, 3, 4)], 5 * 2 * 3 * 4,
    ),
    "linear": (lambda w, x: nn.functional.linear(x, weight=w), [(2, 4)], 2 * 4 * 3),
    "conv1d": (
        lambda w, x, k: nn.functional.conv1d(x, k, groups=2), [(2, 4, 6), (8, 2, 3)],
        2 * 8 * 4 * 2 * 3,
    ),
    "conv2d": (
        lambda w, x, k: nn.functional.conv2d(x, k, stride=2), [(2, 3, 5, 5), (4, 3, 3, 3)],
        2 * 4 * 4 * 27,
    ),
    "conv_transpose2d": (
        lambda w, x, k: nn.functional.conv_transpose2d(x, k), [(2, 3, 5, 5), (3, 4, 2, 2)],
        2 * 3 * 25 * 16,
    ),
    "attention": (
        lambda w, q, k, v: nn.functional.scaled_dot_product_attention(q, k, v),
        [(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)], 2 * 3 * 5 * 7 * (4 + 6),
    ),
    "bilinear": (
        lambda w, x, y, k: nn.functional.bilinear(x, y, k), [(4, 2), (4, 3), (5, 2, 3)],
        4 * 5 * 3 * (2 + 1),
    ),
    "einsum": (einsum("bij,bjk->bik"), [(5, 2, 3), (5, 3, 4)], 5 * 2 * 3 * 4),
    "einsum, no arrow": (einsum("ij,jk"), [(2, 3), (3, 4)], 2 * 3 * 4),
    "einsum, dots": (einsum("...ij,jk->...ik"), [(5, 6, 2, 3), (3, 4)], 5 * 6 * 2 * 3 * 4),
    # x times y over j first, 2 * 3 * 4; the result times z over k, 2 * 4 * 6.
    "einsum of three": (einsum("ij,jk,kl->il"), [(2, 3), (3, 4), (4, 6)], 24 + 48),
    "einsum, nothing summed": (einsum("i,j->ij"), [(2,), (3,)], 0),
    "elementwise": (lambda w, x: (x * 2 + 1).exp().sum(0), [(2, 3)], 0),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_a_forward(name):
    forward, shapes, expected = PRODUCTS[name]
    assert summary(ByHand(forward), tuple(shapes)).multiply_adds == expected


class HandMade(nn.Module):
    """Attention as people write it."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return (q @ k.transpose(-2, -1) / 8**0.5).softmax(-1) @ v


def test_products_belong_to_the_module_that_computes_them():
    s = summary(nn.Sequential(HandMade(), HandMade()), (2, 5, 8))
    ours, linear = 2 * (2 * 5 * 5 * 8), 2 * 5 * 8 * 24
    assert [row.multiply_adds for row in s.rows] == [0, ours, linear, ours, linear]


class LowRank(nn.Linear):
    """A layer with another forward than its class."""

    def forward(self, x):
        return super().forward(x), x @ gs.ones(3, 2) @ gs.ones(2, 5)


def test_a_layer_with_another_forward_counts_what_it_computes():
    assert summary(LowRank(3, 5), (4, 3)).multiply_adds == 4 * (15 + 6 + 10)
    layer = nn.Linear(3, 5)
    layer.forward = lambda x: x
    assert summary(layer, (4, 3)).multiply_adds == 0


def test_a_formula_comes_before_what_is_seen():
    model = ByHand(lambda w, x: x @ w)
    assert summary(model, (2, 3), formulas={ByHand: lambda *_: 5}).multiply_adds == 5


def test_the_operations_are_as_before():
    names = ("matmul", "mm", "__matmul__")
    methods = [gs.Tensor.__dict__[name] for name in names]
    functions = [gs.matmul, nn.functional.linear, gs._C.conv2d]
    with pytest.raises(ZeroDivisionError):
        summary(ByHand(lambda w, x: 1 / 0), (2, 3))
    summary(ByHand(lambda w, x: x @ w), (2, 3))
    assert [gs.Tensor.__dict__[name] for name in names] == methods
    assert all(a is b for a, b in zip(functions, [gs.matmul, nn.functional.linear, gs._C.conv2d]))
