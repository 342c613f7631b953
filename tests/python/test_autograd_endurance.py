"""Depth, memory, interruption, forks and threads: that the engine bears use."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time

import pytest

import gradstone as gs
import gradstone.nn.functional as F
from autograd_cases import Cube, leaf
from gradstone import _C, nn


def program(text: str, timeout: float = 120, **kw) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=timeout, **kw
    )


@pytest.mark.slow
def test_a_chain_of_a_million_additions():
    """Runs backward without recursion, and is freed without it too."""
    result = program(
        "import gradstone as gs\n"
        "from gradstone import _C\n"
        "x = gs.ones(3, requires_grad=True)\n"
        "before = _C.memory_stats()['in_use']\n"
        "y = x\n"
        "for _ in range(1_000_000):\n"
        "    y = y + 1\n"
        "y.sum().backward()\n"
        "assert x.grad.tolist() == [1, 1, 1], x.grad\n"
        "y = x\n"
        "for _ in range(1_000_000):\n"
        "    y = y + 1\n"
        "del y  # freed without ever running\n"
        "x.grad = None\n"
        "after = _C.memory_stats()['in_use']\n"
        "assert after <= before + 4096, (before, after)\n"
        "print('freed')\n"
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.strip() == "freed"


def test_memory_is_given_back_after_backward():
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    x = gs.randn(256, 64)
    model(x).square().sum().backward()
    gc.collect()
    before = _C.memory_stats()["in_use"]
    for _ in range(5):
        loss = model(x).square().sum()
        loss.backward()
    del loss
    gc.collect()
    assert _C.memory_stats()["in_use"] <= before + 4096


def test_saved_tensors_are_freed_as_backward_goes():
    x = gs.randn(1 << 18, requires_grad=True)
    y = x
    for _ in range(8):
        y = y.tanh()
    loss = y.sum()
    held = _C.memory_stats()["in_use"]
    loss.backward()
    del y
    assert _C.memory_stats()["in_use"] < held - 5 * (1 << 20)


def test_results_without_names_leave_no_cycle():
    """No garbage collector is needed to free a graph."""
    gc.disable()
    try:
        before = _C.memory_stats()["in_use"]
        for make in (
            lambda x: x.exp().sum(),
            lambda x: F.softmax(x, 0).sum(),
            lambda x: x.sigmoid().sqrt().sum(),
            lambda x: F.layer_norm(x, (1 << 12,)).sum(),
            lambda x: (x * x[0]).sum(),
            lambda x: x.clone().mul_(2).sum(),
            lambda x: F.dropout(x).sum(),
            lambda x: x.view(64, 64).matmul(x.view(64, 64)).sum(),
            lambda x: Cube.apply(x).sum(),
        ):
            for _ in range(3):
                x = gs.rand(1 << 12, requires_grad=True)
                loss = make(x)
                loss.backward()
                (g,) = gs.autograd.grad(make(x), x, create_graph=True)
                del x, loss, g
        assert _C.memory_stats()["in_use"] <= before + 4096
    finally:
        gc.enable()


@pytest.mark.slow
def test_resident_memory_is_flat_over_a_thousand_steps():
    result = program(
        "import os, gc\n"
        "import gradstone as gs\n"
        "from gradstone import nn\n"
        "import gradstone.nn.functional as F\n"
        "def rss():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "gs.manual_seed(0)\n"
        "model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),\n"
        "    nn.Flatten(), nn.Linear(4 * 25, 32), nn.Dropout(0.1), nn.Linear(32, 5))\n"
        "cell = nn.LSTM(8, 8)\n"
        "optimizer = gs.optim.Adam([*model.parameters(), *cell.parameters()], lr=1e-3)\n"
        "def step():\n"
        "    x, t = gs.randn(16, 1, 12, 12), gs.randint(0, 5, (16,))\n"
        "    optimizer.zero_grad()\n"
        "    loss = F.cross_entropy(model(x), t) + cell(gs.randn(5, 3, 8))[0].square().mean()\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
        "    return loss.item()\n"
        "for _ in range(100): step()\n"
        "gc.collect(); start = rss()\n"
        "for _ in range(1000): step()\n"
        "gc.collect(); grown = rss() - start\n"
        "assert grown < 2 << 20, f'{grown} bytes more after 1000 steps'\n"
        "print(grown)\n"
    )
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.slow
def test_ctrl_c_ends_a_long_backward():
    text = (
        "import gradstone as gs, sys, time\n"
        "x = gs.ones(200_000, requires_grad=True)\n"
        "y = x\n"
        "for _ in range(3000):\n"
        "    y = y.tanh() if _ % 2 else y * 1.01\n"
        "loss = y.sum()\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    while True:\n"
        "        loss.backward(retain_graph=True)\n"
        "except KeyboardInterrupt:\n"
        "    x.grad = None\n"
        "    (x * 2).sum().backward()\n"
        "    print('interrupted', x.grad[0].item(), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout.readline().strip() == "ready"
            time.sleep(0.3)
            child.send_signal(signal.SIGINT)
            sent = time.monotonic()
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
    assert out.strip() == "interrupted 2.0", (out, err[-1000:])
    assert time.monotonic() - sent < 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_computes_after_its_parent_has():
    def work():
        x = gs.randn(700, 300, requires_grad=True)
        loss = (x @ gs.ones(300, 200)).tanh().sum()
        loss.backward()
        return float(x.grad.sum().item())

    gs.set_num_threads(3)
    gs.manual_seed(5)
    want = work()  # the pool is running
    for _ in range(3):
        gs.manual_seed(5)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if work() == want else 3)
        end = time.monotonic() + 60
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                pytest.fail("the forked child hangs")
            time.sleep(0.01)
        assert os.waitstatus_to_exitcode(status) == 0
    gs.manual_seed(5)
    assert work() == want  # and so does the parent still


def test_backward_from_several_threads():
    import threading

    shared = leaf(1.0, 2.0)
    failures = []

    def work(k):
        try:
            for _ in range(50):
                x = leaf(float(k), 1.0)
                (x * x * shared.detach()).sum().backward()
                assert x.grad.tolist() == [2.0 * k, 4.0]
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not failures


RACE = """
import threading, time
import gradstone as gs

leaf = gs.randn(50, 50, requires_grad=True)
end = time.time() + 3

def backward():
    while time.time() < end:
        middle = leaf * 2
        middle.retain_grad()
        middle.sum().backward()
        assert middle.grad.eq(1).all()

def watch():
    while time.time() < end:
        leaf.grad is not None and leaf.grad.sum()
        leaf.grad = None

def hook():
    while time.time() < end:
        leaf.register_hook(lambda g: g).remove()

threads = [threading.Thread(target=f) for f in (backward, watch, hook) for _ in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
print("done")
"""


def test_gradients_and_hooks_while_other_threads_are_in_backward():
    result = program(RACE)
    assert result.returncode == 0 and result.stdout == "done\n", result.stderr
    assert not result.stderr
