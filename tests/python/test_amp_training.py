"""Networks in mixed precision train as they do in float32."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import amp, nn, optim
from gradstone.nn import functional as F

DEVICES = ["cpu"] + (["cuda"] if gs.cuda.is_available() else [])
BOTH = pytest.mark.parametrize("device", DEVICES)


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
