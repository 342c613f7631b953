"""The profile of one step: what is seen, that the parts make the whole, and that nothing stays."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.autograd import Function
from gradstone.training.profiler import profile_step


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.body(x) * 2 + 1)


@pytest.fixture
def parts():
    model = Net()
    batch = gs.randn(10, 6), gs.arange(10) % 3
    return model, nn.CrossEntropyLoss(), batch, optim.Adam(model.parameters())


def calls(profile, phase):
    return Counter(event.name for event in profile.events if event.phase == phase)


def test_every_operation_is_seen(parts):
    profile = profile_step(*parts)
    assert calls(profile, "forward") == {"linear": 2, "relu": 1, "dropout": 1, "mul": 1, "add": 1}
    assert calls(profile, "loss") == {"cross_entropy": 1}
    assert calls(profile, "optimizer") == {"adam_step": 1}
    assert calls(profile, "backward") == {
        "CrossEntropyBackward": 1,
        "LinearBackward": 2,
        "AddBackward": 1,
        "MulBackward": 1,
        "DropoutBackward": 1,
        "ReluBackward": 1,
    }
    order = [event.name for event in profile.events if event.phase == "backward"]
    assert order[:4] == ["CrossEntropyBackward", "LinearBackward", "AddBackward", "MulBackward"]
    shapes = {(e.phase, e.name, e.module): e.shape for e in profile.events}
    assert shapes["forward", "linear", "head"] == (10, 3)
    assert shapes["backward", "LinearBackward", "body.0"] == (10, 8)


def test_the_parts_make_the_whole(parts):
    profile = profile_step(*parts)
    assert list(profile.phases) == ["forward", "loss", "backward", "optimizer"]
    assert 0 < sum(profile.phases.values()) <= profile.seconds
    between = profile.between()
    for phase, seconds in profile.phases.items():
        own = [event.own for event in profile.events if event.phase == phase]
        assert min(own) > 0
        assert 0 <= between[phase] < seconds
        assert sum(own) + between[phase] == pytest.approx(seconds)
    assert sum(row.own for row in profile.by_operation()) == pytest.approx(
        sum(event.own for event in profile.events)
    )
    assert profile.plain > 0


def test_modules(parts):
    rows = {row.name: row for row in profile_step(*parts).by_module()}
    assert list(rows) == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert [rows[name].kind for name in ("", "body.1", "head")] == ["Net", "ReLU", "Linear"]
    assert [rows[name].parameters for name in rows] == [83, 56, 56, 0, 0, 27]
    inside = ["body.0", "body.1", "body.2"]
    assert rows["body"].forward >= sum(rows[name].forward for name in inside)
    assert rows["body"].own == pytest.approx(
        rows["body"].forward - sum(rows[name].forward for name in inside)
    )
    assert rows["body"].backward == pytest.approx(sum(rows[name].backward for name in inside))
    assert rows[""].backward > rows["body"].backward + rows["head"].backward  # mul and add
    assert all(row.backward > 0 for row in rows.values())


class Slow(Function):
    @staticmethod
    def forward(ctx, x):
        time.sleep(0.03)
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        time.sleep(0.05)
        return grad * 2


def test_time_goes_to_where_it_is_spent():
    class Waits(nn.Module):
        def forward(self, x):
            return Slow.apply(x)

    model = nn.Sequential(nn.Linear(4, 4), Waits(), nn.Linear(4, 1))
    profile = profile_step(model, nn.MSELoss(), (gs.randn(2, 4), gs.randn(2, 1)), repeats=1)
    rows = {row.name: row for row in profile.by_module()}
    assert rows["1"].forward >= 0.03
    assert rows["1"].backward >= 0.05
    first, second = profile.by_operation()[:2]
    assert "Slow" in first.name
    assert (first.kind, second.name, second.kind) == ("backward", "Function", "forward")
    (function,) = [e for e in profile.events if e.name == "Function"]
    (product,) = [e for e in profile.events if e.name == "mul"]
    assert function.own == pytest.approx(function.seconds - product.seconds)  # not counted twice
    assert product.module == function.module == "1"
    own = sum(e.own for e in profile.events if e.phase == "forward")
    assert own + profile.between()["forward"] == pytest.approx(profile.phases["forward"])
    assert profile.plain >= 0.08


def test_memory_goes_to_where_it_is_taken():
    class Wide(nn.Module):
        def forward(self, x):
            return x.repeat(1, 1024)

    gs._C.empty_cache()  # a larger block of an earlier test would count as a whole
    # The first tanh's result is kept for its gradient, and freed when that is there.
    model = nn.Sequential(nn.Linear(8, 32), Wide(), nn.Tanh(), nn.Tanh())
    loss = lambda output, target: (output.mean() - target).square()
    profile = profile_step(model, loss, (gs.randn(32, 8), gs.tensor(0.0)))
    rows = {row.name: row for row in profile.by_module()}
    size = 32 * 32 * 1024 * 4
    for name in ("1", "2", "3"):
        assert size <= rows[name].bytes < 1.01 * size
    assert rows["0"].bytes < 0.01 * size
    assert profile.peak - profile.before > 2 * size
    held = {(e.phase, e.name): e.held for e in profile.events}
    assert size * 2 <= held["forward", "tanh"] - profile.before < size * 2.1
    (first, second) = [e for e in profile.events if e.name == "TanhBackward"]
    assert first.held - second.held > 0.9 * size


def names_of_everything():
    """Every operation under every name it has, as it is now."""
    found = {("Tensor", k): id(v) for k, v in vars(gs.Tensor).items()}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "gradstone":
            found.update({(name, k): id(v) for k, v in vars(module).items() if callable(v)})
    return found


def everything(model, optimizer):
    tensors = list(model.state_dict().values())
    tensors += [p.grad for p in model.parameters()]
    tensors += [v for s in optimizer.state.values() for v in s.values() if hasattr(v, "numpy")]
    return [t.numpy().tobytes() for t in tensors], gs.get_rng_state().tolist()


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays(parts, fails):
    model, loss, batch, optimizer = parts
    for _ in range(2):
        loss(model(batch[0]), batch[1]).backward()
        optimizer.step()
    model.eval()
    profile_step(*parts)  # what is imported later would be new names
    before, names = everything(model, optimizer), names_of_everything()
    if fails:
        seen = 0

        def failing(output, target):
            nonlocal seen
            seen += 1
            if seen == 5:  # in the step that is watched
                raise KeyboardInterrupt
            return loss(output, target)

        with pytest.raises(KeyboardInterrupt):
            profile_step(model, failing, batch, optimizer)
    else:
        profile_step(*parts)
    assert names_of_everything() == names
    assert everything(model, optimizer) == before
    for module in model.modules():
        assert not module._has_hooks
        assert not module._forward_hooks
        assert not module.training


def test_results_are_those_of_an_unwatched_step(parts):
    """Watching changes no number: the losses are those of the loop written by hand."""
    model, loss, batch, optimizer = parts
    seen = []

    def noting(output, target):
        value = loss(output, target)
        seen.append(value.item())
        return value

    rng = gs.get_rng_state()
    profile_step(model, noting, batch, optimizer, warmup=0, repeats=2)
    by_hand = []
    gs.set_rng_state(rng)
    model.train()
    for _ in range(4):
        optimizer.zero_grad()
        value = loss(model(batch[0]), batch[1])
        by_hand.append(value.item())
        value.backward()
        optimizer.step()
    assert seen == by_hand


def test_what_another_thread_does_is_left_out():
    class Threaded(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(2, 1)

        def forward(self, x):
            other = threading.Thread(target=lambda: gs.ones(3).exp())
            other.start()
            other.join()
            return self.line(x)

    profile = profile_step(Threaded(), nn.MSELoss(), (gs.ones(2, 2), gs.ones(2, 1)))
    assert calls(profile, "forward") == {"linear": 1}


def test_a_module_that_is_called_twice_and_an_operation_in_place():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(3, 3)

        def forward(self, x):
            y = self.line(self.line(x))
            y += 1.0
            y[:, 0] = 0.0
            return y.contiguous()[:, 1:]

    profile = profile_step(Twice(), nn.MSELoss(), (gs.ones(2, 3), gs.ones(2, 2)))
    assert {row.name: row.calls for row in profile.by_module()} == {"": 1, "line": 2}
    seen = calls(profile, "forward")
    assert (seen["linear"], seen["iadd"], seen["setitem"], seen["getitem"]) == (2, 1, 1, 1)
    assert calls(profile, "backward")["LinearBackward"] == 2


def test_weights_of_samples_and_named_inputs(parts):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(2, 1)

        def forward(self, a, b):
            return self.line(a - b)

    loss = lambda output, target, weights: ((output - target).square() * weights).mean()
    batch = {"a": gs.ones(3, 2), "b": gs.zeros(3, 2)}, gs.ones(3, 1), gs.ones(3, 1)
    profile = profile_step(Named(), loss, batch)
    assert list(profile.phases) == ["forward", "loss", "backward"]
    assert calls(profile, "loss") == {"sub": 1, "square": 1, "mul": 1, "mean": 1}
    assert {e.module for e in profile.events if e.phase == "loss"} == {"(loss)"}


def test_tables(parts):
    profile = profile_step(*parts)
    text = str(profile)
    assert "when nobody watches" in text
    assert profile.table("module") in text
    lines = profile.table().splitlines()
    assert lines[0].split() == ["operation", "phase", "calls", "time", "share", "memory"]
    assert len({len(line) for line in lines[:2]}) == 1
    assert [line for line in lines if line.startswith("linear ")][0].split()[:3] == [
        "linear",
        "forward",
        "2",
    ]
    assert sum(line.startswith("(between operations)") for line in lines) == 4
    shares = [float(line.split("%")[0].split()[-1]) for line in lines[2:]]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares))
    short = profile.table(limit=2).splitlines()
    assert short[4].startswith("(11 more)")
    assert int(short[4].split()[2]) == sum(row.calls for row in profile.by_operation()[2:])
    assert "(4 more)" in profile.table("module", limit=2)
    with pytest.raises(ValueError, match="'operation' or 'module', got 'layer'"):
        profile.table("layer")
    with pytest.raises(ValueError, match="limit to be at least 1"):
        profile.table(limit=0)


def test_the_trace(parts, tmp_path):
    profile = profile_step(*parts)
    profile.chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    spans = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    by_thread = {
        tid: sorted((e for e in spans if e["tid"] == tid), key=lambda e: (e["ts"], -e["dur"]))
        for tid in (0, 1, 2)
    }
    assert [e["name"] for e in by_thread[0]] == ["forward", "loss", "backward", "optimizer"]
    assert [e["name"] for e in by_thread[1]][:3] == [
        "(model) Net",
        "body Sequential",
        "body.0 Linear",
    ]
    assert len(by_thread[2]) == len(profile.events)
    phases = {e["name"]: e for e in by_thread[0]}
    for event in by_thread[2]:
        phase = phases[event["cat"]]
        assert phase["ts"] <= event["ts"]
        assert event["ts"] + event["dur"] <= phase["ts"] + phase["dur"] + 1e-3
    for tid in (0, 1, 2):  # spans of a thread lie inside each other or apart, as viewers want
        open_until = []
        for event in by_thread[tid]:
            while open_until and open_until[-1] <= event["ts"] + 1e-6:
                open_until.pop()
            assert not open_until or event["ts"] + event["dur"] <= open_until[-1] + 1e-3
            open_until.append(event["ts"] + event["dur"])
    held = [e["args"]["held"] for e in trace["traceEvents"] if e["ph"] == "C"]
    assert len(held) == len(profile.events)
    assert max(held) <= profile.peak
    assert min(held) >= profile.before


def test_arguments_that_make_no_sense(parts):
    model, loss, batch, optimizer = parts
    with pytest.raises(ValueError, match="repeats to be at least 1"):
        profile_step(*parts, repeats=0)
    with pytest.raises(TypeError, match="batch to be"):
        profile_step(model, loss, batch[0], optimizer)
    assert np.isfinite(model.head.weight.detach().numpy()).all()
