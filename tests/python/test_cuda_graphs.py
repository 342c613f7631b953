"""Captured graphs from Python: a training step replayed has the bits of the same step done
eagerly."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim

pytestmark = pytest.mark.skipif(
    not gs.cuda.is_available(), reason="no CUDA device: run by `make test-emu`"
)
F = nn.functional


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * 16, 10),
    )


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(12, 8)
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(6, 10)

    def forward(self, x: gs.Tensor) -> gs.Tensor:
        return self.head(self.drop(self.lstm(self.words(x))[0][:, -1]))


def batches(make, count: int):
    rng = np.random.default_rng(2)
    for _ in range(count):
        if make is Recurrent:
            x = gs.tensor(rng.integers(0, 12, (6, 5)))
        else:
            x = gs.tensor(rng.standard_normal((6, 1, 8, 8)).astype(np.float32))
        yield x, gs.tensor(rng.integers(0, 10, 6))


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "capturable": lambda p: optim.AdamW(p, lr=0.01, capturable=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
}


def train(make, optimizer: str, graphed: bool, steps: int = 10):
    """The losses, parameters and state after some steps."""
    gs.manual_seed(1)
    model = make().cuda()
    opt = OPTIMIZERS[optimizer](model.parameters())
    schedule = optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)

    def step(x, y):
        opt.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        return loss

    losses, run = [], step
    for i, (x, y) in enumerate(batches(make, steps)):
        if graphed and i == 0:
            run = gs.cuda.make_graphed_step(step, (x, y), warmup=2)
        if not graphed:
            x, y = x.cuda(), y.cuda()
        losses.append(run(x, y).detach().clone())
        schedule.step()
    values = [p.detach().cpu() for p in model.parameters()]
    values += [b.cpu() for b in model.buffers()]
    values += [
        value.cpu()
        for p in model.parameters()
        for value in opt.state[p].values()
        if isinstance(value, gs.Tensor)
    ]
    return [loss.item() for loss in losses], values, gs.rand(3).tolist()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("make", [convnet, Recurrent])
def test_a_graphed_step_has_the_bits_of_the_step(make, optimizer):
    steps = 10 if optimizer == "adam" else 5
    losses, values, after = train(make, optimizer, False, steps)
    graphed_losses, graphed_values, graphed_after = train(make, optimizer, True, steps)
    assert graphed_losses == losses
    assert graphed_after == after, "the generator is elsewhere"
    assert len(values) == len(graphed_values)
    for a, b in zip(values, graphed_values):
        assert (a == b).all()


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_accumulate_in_a_graphed_step(to_none):
    def run(graphed):
        gs.manual_seed(1)
        model = nn.Linear(8, 3).cuda()
        opt = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x):
            for part in x:
                model(part).square().mean().backward()
            opt.step()
            opt.zero_grad(set_to_none=to_none)

        call = gs.cuda.make_graphed_step(step, gs.zeros(2, 4, 8), warmup=2) if graphed else step
        for i in range(5):
            gs.manual_seed(i)
            call(gs.randn(2, 4, 8).cuda())
        return model.weight.detach().cpu()

    assert (run(True) == run(False)).all()


def test_a_step_in_mixed_precision_is_captured():
    def run(graphed):
        gs.manual_seed(1)
        model = convnet().cuda()
        opt = optim.Adam(model.parameters(), lr=0.01, fused=True)
        scaler = gs.amp.GradScaler("cuda", init_scale=2.0**15, growth_interval=2)

        def step(x, y):
            opt.zero_grad()
            with gs.autocast("cuda", dtype=gs.float16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
            return loss

        losses, call = [], step
        for i, (x, y) in enumerate(batches(convnet, 7)):
            if i == 4:
                x = x * 1e30  # the gradients overflow, and the step is skipped
            if graphed and i == 0:
                call = gs.cuda.make_graphed_step(step, (x, y), warmup=2)
            losses.append(call(x.cuda(), y.cuda()).detach().clone())
        values = [p.detach().cpu() for p in model.parameters()]
        steps = [opt.state[p]["step"].item() for p in model.parameters()]
        return [loss.item() for loss in losses], values, steps, scaler.get_scale()

    losses, values, steps, scale = run(False)
    graphed_losses, graphed_values, graphed_steps, graphed_scale = run(True)
    assert np.array_equal(graphed_losses, losses, equal_nan=True)
    assert graphed_steps == steps and steps[0] < 7
    assert graphed_scale == scale
    for a, b in zip(values, graphed_values):
        assert (a == b).all()


def test_replays_read_and_write_the_same_tensors():
    x = gs.ones(100, device="cuda")
    g = gs.cuda.CUDAGraph()
    with gs.cuda.graph(g):
        assert gs.cuda.is_current_stream_capturing()
        y = x * 2 + 1
    assert not gs.cuda.is_current_stream_capturing()
    for value in (3.0, 4.0):
        x.fill_(value)
        gs.cuda.synchronize()
        g.replay()
        gs.cuda.synchronize()
        assert (y == 2 * value + 1).all()
    gs.manual_seed(4)
    expected = [gs.rand(5, device="cuda").tolist() for _ in range(3)]
    h = gs.cuda.CUDAGraph()
    with gs.cuda.graph(h):
        drawn = gs.rand(5, device="cuda")
    gs.manual_seed(4)
    seen = []
    for _ in range(3):
        h.replay()
        seen.append(drawn.tolist())
    assert seen == expected


REFUSED = {
    "a value": (lambda x: (x.sum() > 0).item(), "host asks"),
    "a condition": (lambda x: 1 if x.sum() > 0 else 2, "host asks"),
    "a list": (lambda x: x.tolist(), "host asks"),
    "a copy to the host": (lambda x: x.cpu(), "host asks"),
    "a copy from the host": (lambda x: x + gs.ones(4).cuda(), "tensor of the host"),
    "nonzero": (lambda x: x.nonzero(), "nonzero"),
    "a mask": (lambda x: x[x > 0], "nonzero"),
    "randperm": (lambda x: gs.rand(3, device="cuda", generator=gs.Generator()), "of its own"),
    "waiting": (lambda x: gs.cuda.synchronize(), "synchronize"),
    "an event": (lambda x: gs.cuda.Event().synchronize(), "synchronize"),
    "emptying": (lambda x: gs.cuda.empty_cache(), "empty_cache"),
    "a stream": (lambda x: gs.cuda.set_stream(gs.cuda.Stream()), "set_stream"),
    "seeding": (lambda x: gs.manual_seed(3), "seeded"),
    "another graph": (lambda x: gs.cuda.CUDAGraph().capture_begin(), "already"),
    "a first step": (lambda x: first_step(x), "first step"),
    "a schedule": (lambda x: schedule_step(x), "lr_scheduler.step"),
}


def first_step(x: gs.Tensor) -> None:
    weight = nn.Parameter(gs.ones(4, device="cuda"))
    weight.grad = x
    optim.Adam([weight]).step()


def schedule_step(x: gs.Tensor) -> None:
    opt = optim.SGD([nn.Parameter(gs.ones(4, device="cuda"))], lr=1.0)
    optim.lr_scheduler.StepLR(opt, 1).step()


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_graph_cannot_hold_is_refused(name):
    work, message = REFUSED[name]
    x = gs.ones(4, device="cuda")
    g = gs.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match=message), gs.cuda.graph(g):
        work(x)
    with pytest.raises(RuntimeError, match="nothing has been captured"):
        g.replay()
    assert (x + 1).sum().item() == 8  # everything goes on
    assert gs.cuda.memory_stats()["graphs"] == 0
    with gs.cuda.graph(g):
        y = x + 1
    g.replay()
    assert y.sum().item() == 8


def test_the_order_of_calls_is_checked():
    g = gs.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="default stream"):
        g.capture_begin()
    with pytest.raises(RuntimeError, match="not capturing"):
        g.capture_end()
    with gs.cuda.graph(g):
        pass
    with pytest.raises(RuntimeError, match="has been captured"), gs.cuda.graph(g):
        pass
    g.replay()
    g.reset()
    with pytest.raises(RuntimeError, match="nothing has been captured"):
        g.replay()
    with pytest.raises(ValueError, match="capture_error_mode"):
        g.capture_begin(capture_error_mode="never")


def test_inputs_of_a_graphed_step_are_checked():
    def double(x):
        return x * 2

    step = gs.cuda.make_graphed_step(double, gs.ones(2, 3), warmup=0)
    assert step(gs.ones(2, 3)).tolist() == [[2.0] * 3] * 2
    assert step(gs.full((2, 3), 4.0, device="cuda")).tolist() == [[8.0] * 3] * 2
    with pytest.raises(ValueError, match=r"\[double\].*\(2, 3\).*got \(2, 4\)"):
        step(gs.ones(2, 4))
    with pytest.raises(ValueError, match="float32.*int64"):
        step(gs.ones(2, 3).long())
    with pytest.raises(TypeError, match="expected 1 tensors"):
        step(gs.ones(2, 3), gs.ones(2, 3))
    with pytest.raises(TypeError, match="to be a tensor"):
        step([[1.0]])
    with pytest.raises(TypeError, match="example_inputs"):
        gs.cuda.make_graphed_step(double, ([1.0],))
    with pytest.raises(ValueError, match="warmup"):
        gs.cuda.make_graphed_step(double, gs.ones(2), warmup=-1)


def test_results_have_the_form_that_the_function_gives_them():
    def several(x):
        return {"sum": x.sum(), "parts": [x, (x + 1, None)]}

    step = gs.cuda.make_graphed_step(several, gs.ones(3), warmup=1)
    for value in (1.0, 2.0, 3.0):
        out = step(gs.full((3,), value))
        assert out["sum"].item() == 3 * value
        assert out["parts"][1][0].tolist() == [value + 1] * 3
        assert out["parts"][1][1] is None


def test_an_index_out_of_range_is_reported_after_its_replay():
    table = gs.randn(5, 3, device="cuda")
    step = gs.cuda.make_graphed_step(lambda i: table[i].sum(), gs.zeros(4).long(), warmup=0)
    assert (
        step(gs.tensor([0, 1, 2, -1])).item() == table[gs.tensor([0, 1, 2, 4]).cuda()].sum().item()
    )
    out = step(gs.tensor([0, 1, 7, 2]))
    with pytest.raises(IndexError, match="index 7 is out of range for size 5"):
        out.item()
    assert (
        step(gs.tensor([0, 0, 0, 0])).item() == table[gs.tensor([0, 0, 0, 0]).cuda()].sum().item()
    )
    step(gs.tensor([0, 1, 7, 2]))
    with pytest.raises(IndexError, match="index 7"):
        gs.cuda.synchronize()
    gs.cuda.synchronize()


def test_loaded_state_needs_a_new_capture():
    weight = nn.Parameter(gs.ones(4, device="cuda"))
    opt = optim.Adam([weight])

    def step(x):
        weight.grad = x * weight.detach()
        opt.step()

    run = gs.cuda.make_graphed_step(step, gs.ones(4), warmup=1)
    for _ in range(3):
        run(gs.ones(4))
    assert opt.state[weight]["step"].item() == 3
    opt.load_state_dict(opt.state_dict())
    with pytest.raises(RuntimeError, match="capture it anew"):
        run(gs.ones(4))
    assert opt.state[weight]["step"].item() == 3
    run.reset()
    run(gs.ones(4))
    assert opt.state[weight]["step"].item() == 4


def test_memory_of_a_graph_goes_back():
    before = gs.cuda.memory_stats()
    g = gs.cuda.CUDAGraph()
    x = gs.ones(1 << 16, device="cuda")
    with gs.cuda.graph(g):
        y = (x * 2).exp()
    held = gs.cuda.memory_stats()["graphs"]
    assert held >= 2 * (1 << 18)
    assert "captured graphs" in gs.cuda.memory_summary()
    h = gs.cuda.CUDAGraph()
    with gs.cuda.graph(h, pool=g.pool()):
        z = (x * 3).exp()
    assert gs.cuda.memory_stats()["graphs"] < 2 * held
    g.replay()
    h.replay()
    gs.cuda.synchronize()
    assert (z > y).all()
    g.reset()
    assert gs.cuda.memory_stats()["graphs"] >= held, "h uses it too"
    del h
    assert gs.cuda.memory_stats()["graphs"] == 0
    del x, y, z, g
    assert gs.cuda.memory_stats()["in_use"] == before["in_use"]


def test_one_device_is_chosen_like_torchs():
    gs.cuda.set_device(0)
    gs.cuda.set_device("cuda:0")
    gs.cuda.set_device(-1)
    with gs.cuda.device(0), gs.cuda.device("cuda"), gs.cuda.device(None):
        assert gs.cuda.current_device() == 0
    with pytest.raises(RuntimeError, match="got 1"):
        gs.cuda.set_device(1)
    with pytest.raises(RuntimeError, match="got 3"), gs.cuda.device("cuda:3"):
        pass
    with pytest.raises(ValueError, match="fraction"):
        gs.cuda.set_per_process_memory_fraction(1.5)
    gs.cuda.set_per_process_memory_fraction(1e-9)
    try:
        with pytest.raises(MemoryError, match="limit"):
            gs.zeros(1 << 24, device="cuda")
    finally:
        gs.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.skipif(
    os.environ.get("GS_CUDA_HOST_LAZY") == "1"
    or (gs.cuda.is_available() and "emulated" not in gs.cuda.get_device_name()),
    reason="the emulator's other mode",
)
@pytest.mark.parametrize("file", ["test_cuda_graphs.py", "test_cuda_pinned.py", "test_cuda.py"])
def test_the_same_where_streams_run_when_somebody_waits(file):
    here = os.path.dirname(__file__)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--device", "cuda", os.path.join(here, file)],
        env=dict(os.environ, GS_CUDA_HOST_LAZY="1"),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:]
