"""Mixed precision: which precision each operation computes in, and training with it."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from pathlib import Path

import pytest

import gradstone as gs
from gradstone import _C, amp, nn
from gradstone.nn import functional as F

DEVICES = ["cpu"] + (["cuda"] if gs.cuda.is_available() else [])
BOTH = pytest.mark.parametrize("device", DEVICES)
LOW = pytest.mark.parametrize("low", [gs.bfloat16, gs.float16], ids=["bfloat16", "float16"])


def rand(*shape, device="cpu", dtype=gs.float32):
    return gs.rand(*shape).add(0.25).to(device).to(dtype)


def cell(kind, x):
    with gs.no_grad():
        layer = kind(4, 5).to(x.device)
    out = layer(x)
    return out[0] if isinstance(out, tuple) else out


# name -> call of a (3, 4) tensor. Every operation of the lists in csrc/ops/autocast.h is here.
TO_LOW = {
    "matmul": lambda x: gs.matmul(x, x.t()),
    "@": lambda x: x @ x.t(),
    "mm": lambda x: x.mm(x.t()),
    "bmm": lambda x: gs.bmm(x[None], x.t()[None]),
    "mv": lambda x: x.mv(x[0]),
    "addmm": lambda x: gs.addmm(rand(3, 3, device=x.device), x, x.t()),
    "baddbmm": lambda x: gs.baddbmm(rand(1, 3, 3, device=x.device), x[None], x.t()[None]),
    "linear": lambda x: F.linear(x, rand(2, 4, device=x.device), rand(2, device=x.device)),
    "einsum": lambda x: gs.einsum("ij,kj->ik", x, x),
    "conv1d": lambda x: F.conv1d(x[None], rand(2, 3, 2, device=x.device)),
    "conv2d": lambda x: F.conv2d(x[None, None], rand(2, 1, 2, 2, device=x.device)),
    "conv2d_relu": lambda x: _C._conv2d_relu(x[None, None], rand(2, 1, 2, 2, device=x.device)),
    "conv_transpose2d": lambda x: F.conv_transpose2d(
        x[None, None], rand(1, 2, 2, 2, device=x.device)
    ),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(
        x[None], x[None], x[None], attn_mask=rand(3, 3, device=x.device)
    ),
    "lstm": lambda x: cell(nn.LSTM, x[None]),
    "gru": lambda x: cell(nn.GRU, x[None]),
    "rnn": lambda x: cell(nn.RNN, x[None]),
    "lstm_cell": lambda x: cell(nn.LSTMCell, x),
    "gru_cell": lambda x: cell(nn.GRUCell, x),
    "rnn_cell": lambda x: cell(nn.RNNCell, x),
}
TO_FLOAT32 = {
    "exp": lambda x: x.exp(),
    "expm1": lambda x: x.expm1(),
    "log": lambda x: x.log(),
    "log1p": lambda x: x.log1p(),
    "log2": lambda x: x.log2(),
    "pow": lambda x: x.pow(3),
    "**": lambda x: x**2,
    "number **": lambda x: 2**x,
    "number /": lambda x: 1 / x,
    "reciprocal": lambda x: x.reciprocal(),
    "rsqrt": lambda x: x.rsqrt(),
    "sinh": lambda x: x.sinh(),
    "cosh": lambda x: x.cosh(),
    "tan": lambda x: x.tan(),
    "softplus": F.softplus,
    "sum": lambda x: x.sum(),
    "prod": lambda x: x.prod(),
    "cumsum": lambda x: x.cumsum(0),
    "cumprod": lambda x: x.cumprod(0),
    "norm": lambda x: x.norm(),
    "logsumexp": lambda x: x.logsumexp(0),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "layer_norm": lambda x: F.layer_norm(x, (4,), gs.ones(4, device=x.device)),
    "group_norm": lambda x: F.group_norm(x, 2, gs.ones(4, device=x.device)),
    "cross_entropy": lambda x: F.cross_entropy(x, gs.tensor([0, 1, 2], device=x.device)),
    "nll_loss": lambda x: F.nll_loss(x, gs.tensor([0, 1, 2], device=x.device)),
    "mse_loss": lambda x: F.mse_loss(x, x + 1),
    "l1_loss": lambda x: F.l1_loss(x, x + 1),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x + 1),
    "huber_loss": lambda x: F.huber_loss(x, x + 1),
    "hinge_embedding_loss": lambda x: F.hinge_embedding_loss(x, gs.ones_like(x)),
    "bce_loss": lambda x: F.binary_cross_entropy(x.sigmoid(), x.sigmoid()),
    "bce_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, x.sigmoid()),
    "kl_div": lambda x: F.kl_div(x, x),
}
# Of x and the same in float32, in this order.
TO_WIDEST = {
    "dot": lambda x, y: gs.dot(x[0], y[0]),
    "cat": lambda x, y: gs.cat([x, y]),
    "stack": lambda x, y: gs.stack([x, y]),
    "addcmul": lambda x, y: gs.addcmul(x, x, y),
    "addcdiv": lambda x, y: gs.addcdiv(x, x, y),
    "atan2": gs.atan2,
    "lerp": lambda x, y: gs.lerp(x, y, 0.5),
    "scatter_add": lambda x, y: x.scatter_add(0, gs.zeros_like(x, dtype=gs.int64), y),
    "index_add": lambda x, y: x.index_add(0, gs.tensor([0, 1, 2], device=x.device), y),
    "+": lambda x, y: x + y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "maximum": gs.maximum,
    "where": lambda x, y: gs.where(x > 0.5, x, y),
}
UNTOUCHED = {
    "relu": lambda x: x.relu(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "gelu": F.gelu,
    "mean": lambda x: x.mean(),
    "max": lambda x: x.amax(),
    "+ number": lambda x: x + 1.5,
    "/ number": lambda x: x / 3,
    "max_pool2d": lambda x: F.max_pool2d(x[None, None], 2),
    "dropout": lambda x: F.dropout(x),
    "batch_norm": lambda x: F.batch_norm(
        x,
        gs.zeros(4, device=x.device),
        gs.ones(4, device=x.device),
        gs.ones(4, device=x.device),
        gs.zeros(4, device=x.device),
        training=True,
    ),
}


def cases(table):
    return pytest.mark.parametrize("name", table)


# ---- the lists


def test_every_operation_of_the_lists_is_tried():
    header = Path(__file__).resolve().parents[2] / "csrc" / "ops" / "autocast.h"
    if not header.exists():
        pytest.skip("the sources are not here")
    rows = re.findall(r'\{Policy::(\w+), "(\w+)"\}', header.read_text())
    assert len(rows) > 50
    tables = {"Low": TO_LOW, "Float32": TO_FLOAT32, "Widest": TO_WIDEST}
    for policy, name in rows:
        assert name in tables[policy]
    known = {row["cpp_name"] for row in _C.operations()}
    assert {name for _, name in rows} <= known


@BOTH
@LOW
@cases(TO_LOW)
def test_products_are_made_in_the_low_type(name, device, low):
    call = TO_LOW[name]
    x = rand(3, 4, device=device).requires_grad_()
    assert call(x).dtype == gs.float32
    with gs.autocast(device, low):
        y = call(x)
        if name not in ("conv2d_relu",):
            assert call(rand(3, 4, device=device, dtype=low)).dtype == low
    assert y.dtype == low
    assert call(x).dtype == gs.float32
    y.float().sum().backward()
    assert x.grad.dtype == gs.float32
    assert gs.isfinite(x.grad).all()


@BOTH
@LOW
@cases(TO_FLOAT32)
def test_sums_and_the_like_are_made_in_float32(name, device, low):
    call = TO_FLOAT32[name]
    x = rand(3, 4, device=device, dtype=low).requires_grad_()
    with gs.autocast(device, low):
        y = call(x)
        assert call(x.detach().float()).dtype == gs.float32
    assert y.dtype == gs.float32
    y.sum().backward()
    assert x.grad.dtype == low


@BOTH
@LOW
@cases(TO_WIDEST)
def test_several_types_become_the_widest(name, device, low):
    call = TO_WIDEST[name]
    x = rand(3, 4, device=device, dtype=low).requires_grad_()
    y = rand(3, 4, device=device).requires_grad_()
    with gs.autocast(device, low):
        both = call(x, y)
        assert both.dtype == gs.float32
        assert call(x, x.detach() * 1).dtype == low
    both.sum().backward()
    assert y.grad.dtype == gs.float32
    assert x.grad.dtype == low


@BOTH
@LOW
@cases(UNTOUCHED)
def test_everything_else_takes_what_comes(name, device, low):
    for dtype in (low, gs.float32, gs.float64):
        if dtype == gs.float64 and name == "batch_norm":
            continue
        with gs.autocast(device, low):
            assert UNTOUCHED[name](rand(3, 4, device=device, dtype=dtype)).dtype == dtype


@BOTH
def test_float64_and_integers_are_left_alone(device):
    x, i = rand(3, 4, device=device, dtype=gs.float64), gs.arange(12, device=device).reshape(3, 4)
    with gs.autocast(device):
        assert (x @ x.t()).dtype == gs.float64
        assert x.exp().dtype == gs.float64
        assert i.sum().dtype == gs.int64
        assert (i @ i.t()).dtype == gs.int64


@BOTH
def test_a_given_dtype_wins(device):
    x = rand(3, 4, device=device, dtype=gs.bfloat16)
    with gs.autocast(device):
        assert x.softmax(-1, dtype=gs.float64).dtype == gs.float64
        assert x.sum(dtype=gs.float64).dtype == gs.float64


# ---- the context


def test_it_concerns_its_device_and_thread_alone():
    x = rand(3, 3)
    with gs.autocast("cuda") if gs.cuda.is_available() else gs.autocast("cpu", enabled=False):
        assert (x @ x).dtype == gs.float32
    seen = []
    with gs.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append((x @ x).dtype))
        thread.start()
        thread.join()
        assert (x @ x).dtype == gs.bfloat16
    assert seen == [gs.float32]


def test_contexts_nest():
    x = rand(3, 3)
    with gs.autocast("cpu", gs.bfloat16):
        with gs.autocast("cpu", enabled=False):
            assert not gs.is_autocast_enabled("cpu")
            assert (x @ x).dtype == gs.float32
            with gs.autocast("cpu", gs.float16):
                assert (x @ x).dtype == gs.float16
        assert gs.get_autocast_dtype("cpu") == gs.bfloat16
        assert (x @ x).dtype == gs.bfloat16
    assert not gs.is_autocast_enabled("cpu")
    with pytest.raises(KeyError), gs.autocast("cpu"):
        raise KeyError
    assert not gs.is_autocast_enabled("cpu")


def test_it_decorates():
    @gs.autocast("cpu")
    def product(x, depth=1):
        return product(x, depth - 1) if depth else x @ x

    assert product(rand(3, 3)).dtype == gs.bfloat16
    assert not gs.is_autocast_enabled("cpu")
    assert amp.autocast is gs.autocast
    assert amp.is_autocast_available("cuda") and not amp.is_autocast_available("tpu")


def test_wrong_arguments_are_refused():
    with pytest.raises(RuntimeError, match="device_type"):
        gs.autocast("tpu")
    with pytest.raises(TypeError, match="device_type"):
        gs.autocast(gs.bfloat16)
    with pytest.warns(UserWarning, match="switched off"):
        off = gs.autocast("cpu", gs.float32)
    with off:
        assert not gs.is_autocast_enabled("cpu")


@BOTH
def test_gradients_of_weights_are_float32_and_right(device):
    gs.manual_seed(3)
    layer, x = nn.Linear(40, 30).to(device), gs.randn(20, 40).to(device)
    layer(x).square().sum().backward()
    exact = [p.grad for p in layer.parameters()]
    layer.zero_grad()
    with gs.autocast(device):
        loss = layer(x).square().sum()
    assert loss.dtype == gs.float32
    loss.backward()
    for p, g in zip(layer.parameters(), exact):
        assert p.grad.dtype == gs.float32
        assert (p.grad - g).norm().item() <= 2e-2 * g.norm().item()


# ---- the cache of casts


def casts(x):
    """The nodes that cast a leaf, as far as the history of x shows them."""
    seen, stack, found = set(), [x.grad_fn], []
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if "cast" in node.name().lower():
            found.append(node)
        stack.extend(n for n, _ in node.next_functions)
    return found


def test_a_weight_is_cast_once():
    w, x = rand(3, 3).requires_grad_(), rand(3, 3, dtype=gs.bfloat16)
    with gs.autocast("cpu"):
        y = x @ w @ w @ w
    assert len(casts(y)) == 1
    with gs.autocast("cpu", cache_enabled=False):
        assert len(casts(x @ w @ w @ w)) == 3
    assert gs.is_autocast_cache_enabled()
    y.float().sum().backward()
    assert w.grad.dtype == gs.float32


def test_a_changed_weight_is_cast_again():
    w, x = rand(3, 3).requires_grad_(), rand(3, 3)
    with gs.autocast("cpu"):
        first = x @ w
        with gs.no_grad():
            w.mul_(2)
        second = x @ w
    assert gs.allclose(second.float(), 2 * first.float(), rtol=2e-2)


def test_the_cache_survives_backward_and_no_grad():
    w, x = rand(3, 3).requires_grad_(), rand(3, 3)
    with gs.autocast("cpu"):
        with gs.no_grad():
            assert not (x @ w).requires_grad
        (x @ w).sum().backward()
        once = w.grad.clone()
        (x @ w).sum().backward()
        assert gs.equal(w.grad, once * 2)
        with gs.no_grad():
            assert not (x @ w).requires_grad
            with gs.enable_grad():
                assert (x @ w).requires_grad


def test_the_cache_is_forgotten_at_the_end():
    w = rand(3, 3).requires_grad_()
    alive = weakref.ref(w)
    with gs.autocast("cpu"), gs.autocast("cpu"):
        rand(3, 3) @ w
    del w
    gc.collect()
    assert alive() is None


# ---- functions with gradients of their own


def test_functions_run_under_the_autocast_of_their_forward():
    class Product(gs.autograd.Function):
        @staticmethod
        @amp.custom_fwd(device_type="cpu")
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        @amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            seen.append((g @ b.t()).dtype)
            return (g @ b.t()).float(), (a.t() @ g).float()

    class InFloat32(gs.autograd.Function):
        @staticmethod
        @amp.custom_fwd(device_type="cpu", cast_inputs=gs.float32)
        def forward(ctx, a):
            seen.append((a.dtype, (a @ a).dtype))
            return a * 1

        @staticmethod
        @amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            return g

    seen = []
    a, b = rand(3, 3).requires_grad_(), rand(3, 3).requires_grad_()
    with gs.autocast("cpu"):
        y = Product.apply(a, b)
        InFloat32.apply(y.detach())
    assert y.dtype == gs.bfloat16
    y.float().sum().backward()
    assert seen == [(gs.float32, gs.float32), gs.bfloat16]
