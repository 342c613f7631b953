"""Mixed precision: which precision each operation computes in, and training with it."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import _C, amp, nn, optim
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


# ---- training


class SmallCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.out = nn.Linear(8 * 16, 4)

    def forward(self, x):
        return self.out(F.max_pool2d(self.norm(self.conv(x)).relu(), 2).flatten(1))


class SmallLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.out = nn.Linear(16, 4)

    def forward(self, x):
        return self.out(self.lstm(x.reshape(-1, 8, 8))[0][:, -1])


class SmallGPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.before = nn.LayerNorm(8)
        self.qkv, self.project = nn.Linear(8, 24), nn.Linear(8, 8)
        self.between = nn.LayerNorm(8)
        self.wide, self.narrow = nn.Linear(8, 32), nn.Linear(32, 8)
        self.out = nn.Linear(8, 4)

    def forward(self, x):
        x = x.reshape(-1, 8, 8)
        q, k, v = (
            t.reshape(-1, 8, 2, 4).transpose(1, 2) for t in self.qkv(self.before(x)).chunk(3, -1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(mixed.transpose(1, 2).reshape(-1, 8, 8))
        x = x + self.narrow(F.gelu(self.wide(self.between(x))))
        return self.out(x.mean(1))


def data(device):
    gs.manual_seed(1)
    x = gs.randn(32, 1, 8, 8)
    y = (x[:, 0, :4].mean((1, 2)) > 0).long() + 2 * (x[:, 0, 4:].mean((1, 2)) > 0).long()
    return x.to(device), y.to(device)


def losses(make, device, steps, low=None, scaler=None, optimizer=None):
    gs.manual_seed(2)
    model = make().to(device)
    if optimizer is None:
        opt = optim.AdamW(model.parameters(), 1e-2)
    else:
        opt = optimizer(model.parameters())
    x, y = data(device)
    out = []
    for _ in range(steps):
        opt.zero_grad()
        with gs.autocast(device, low, enabled=low is not None):
            loss = F.cross_entropy(model(x), y)
        if scaler is None:
            loss.backward()
            opt.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
        assert all(p.dtype == gs.float32 == p.grad.dtype for p in model.parameters())
        out.append(loss.item())
    return np.asarray(out)


@BOTH
@pytest.mark.parametrize("make", [SmallCNN, SmallLSTM, SmallGPT])
def test_training_in_bfloat16_follows_float32(make, device):
    # bfloat16 has 8 bits: each product is off by 2^-9 of its size, and a few steps of them in a row
    # leave the logits within about 1 %. The losses start between 1.3 and 2 and fall below 1: 0.05
    # is 3 to 5 % of them, and far less than what training changes.
    steps = 25 if device == "cpu" else 8
    exact, low = losses(make, device, steps), losses(make, device, steps, gs.bfloat16)
    assert exact[-1] < exact[0] - 0.1
    assert np.abs(exact - low).max() < 0.05
    assert not np.array_equal(exact, low)


@BOTH
@pytest.mark.parametrize("make", [SmallCNN, SmallLSTM, SmallGPT])
def test_training_in_float16_with_a_scaler_follows_float32(make, device):
    # float16 has 11 bits, 8 times as fine as bfloat16.
    steps = 25 if device == "cpu" else 8
    scaler = amp.GradScaler(device, init_scale=1024.0)
    exact, low = losses(make, device, steps), losses(make, device, steps, gs.float16, scaler)
    assert np.abs(exact - low).max() < 0.02
    assert scaler.get_scale() == 1024


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, 0.1, momentum=0.9),
    "sgd dampened": lambda p: optim.SGD(p, 0.1, momentum=0.9, dampening=0.5),
    "adam": lambda p: optim.Adam(p, 1e-2),
    "adam on the device": lambda p: optim.Adam(p, 1e-2, capturable=True),
    "adamw fused": lambda p: optim.AdamW(p, 1e-2, fused=True),
    "rmsprop": lambda p: optim.RMSprop(p, 1e-3),
}


@BOTH
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_scale_that_overflows_is_found_and_left(name, device):
    # 2^24 times a loss of about 1.4 is beyond float16's largest number, 65504, somewhere in the
    # gradients: the first steps are skipped, each halves the scale, and training goes on as if
    # they had not been.
    scaler = amp.GradScaler(device, init_scale=2.0**24, growth_interval=1000)
    low = losses(SmallLSTM, device, 24, gs.float16, scaler, OPTIMIZERS[name])
    skipped = int(np.argmax(low != low[0])) - 1
    assert skipped >= 1
    assert scaler.get_scale() == 2.0 ** (24 - skipped)
    calm = losses(
        SmallLSTM,
        device,
        24 - skipped,
        gs.float16,
        amp.GradScaler(device, 1024.0),
        OPTIMIZERS[name],
    )
    # The scales are powers of two: gradients are the same but for subnormal ones.
    assert np.abs(low[skipped:] - calm).max() < 2e-3


# ---- GradScaler


def weight(device="cpu"):
    w = gs.ones(4, device=device).requires_grad_()
    return w, optim.SGD([w], 1.0)


@BOTH
def test_gradients_are_unscaled_once(device):
    w, opt = weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0)
    scaler.scale((w * 3).sum()).backward()
    assert w.grad.tolist() == [24.0] * 4
    scaler.unscale_(opt)
    assert w.grad.tolist() == [3.0] * 4
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(opt)
    scaler.step(opt)
    assert w.tolist() == [-2.0] * 4
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(opt)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(opt)
    scaler.update()
    assert scaler.get_scale() == 8


@BOTH
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_is_skipped_and_the_scale_falls(device, bad):
    w, opt = weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0, growth_interval=2)
    for step in range(6):
        opt.zero_grad()
        scaler.scale(w.sum()).backward()
        if step == 2:
            w.grad[3] = bad
        scaler.step(opt)
        scaler.update()
    # Two good steps, one bad, three good ones.
    assert w.tolist() == [-4.0] * 4
    assert scaler.get_scale() == 16
    assert scaler.state_dict()["_growth_tracker"] == 1


@BOTH
def test_all_optimizers_have_a_say_in_the_scale(device):
    (a, first), (b, second) = weight(device), weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0)
    scaler.scale(a.sum() + b.sum()).backward()
    a.grad[0] = np.inf
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert a.tolist() == [1.0] * 4
    assert b.tolist() == [0.0] * 4
    assert scaler.get_scale() == 4


def test_an_optimizer_of_ones_own_is_stepped_or_not():
    class Mine(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})
            self.steps = 0

        def _step_group(self, group):
            self.steps += 1

    for device in DEVICES:
        w, _ = weight(device)
        opt, scaler = Mine([w]), amp.GradScaler(device, 8.0)
        for value in (1.0, np.inf, 2.0):
            w.grad = gs.full((4,), value, device=device)
            scaler.scale(w.sum())
            scaler.step(opt)
            scaler.update()
        assert opt.steps == 2


def test_what_a_scaler_refuses():
    w, opt = weight()
    scaler = amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match="scale"):
        scaler.step(opt)
    scaler.scale([w.sum(), (w.sum(),)])
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.step(opt)
    with pytest.raises(RuntimeError, match="[Cc]losure"):
        scaler.step(opt, closure=lambda: None)
    with pytest.raises(TypeError, match="Tensor"):
        scaler.scale(3)
    half = gs.ones(2, dtype=gs.float16).requires_grad_()
    half.grad = gs.ones(2, dtype=gs.float16)
    with pytest.raises(ValueError, match="FP16"):
        scaler.unscale_(optim.SGD([half], 1.0))
    for wrong in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}):
        with pytest.raises(ValueError, match="factor"):
            amp.GradScaler("cpu", **wrong)


def test_a_scaler_that_is_off_does_nothing():
    w, opt = weight()
    scaler = amp.GradScaler("cpu", enabled=False)
    loss = w.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(opt)
    scaler.step(opt)
    scaler.update()
    assert w.tolist() == [0.0] * 4
    assert scaler.get_scale() == 1 and scaler.state_dict() == {} and not scaler.is_enabled()


@BOTH
def test_the_state_of_a_scaler_goes_round(device):
    w, opt = weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0, growth_interval=5)
    for _ in range(3):
        opt.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(opt)
        scaler.update()
    state = scaler.state_dict()
    assert state == {
        "scale": 8.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 5,
        "_growth_tracker": 3,
    }
    other = amp.GradScaler(device)
    other.load_state_dict(state)
    for twin in (other, pickle.loads(pickle.dumps(scaler)), copy.deepcopy(scaler)):
        assert twin.state_dict() == state
        for _ in range(2):
            opt.zero_grad()
            twin.scale(w.sum()).backward()
            twin.step(opt)
            twin.update()
        assert twin.get_scale() == 16
    scaler.load_state_dict({**state, "scale": 3.0})
    assert scaler.get_scale() == 3
    scaler.update(32.0)
    assert scaler.get_scale() == 32
    with pytest.raises(RuntimeError, match="empty"):
        scaler.load_state_dict({})


@BOTH
def test_unscaling_and_clipping_go_together(device):
    w, opt = weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0)
    scaler.scale((w * 3).sum()).backward()
    scaler.unscale_(opt)
    norm = nn.utils.clip_grad_norm_([w], 1.0)
    assert norm.device == w.device and norm.item() == 6
    scaler.step(opt)
    assert np.allclose(w.tolist(), 0.5)
