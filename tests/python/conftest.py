"""What every test starts from: one seed, the default dtype, the best instruction set."""

from __future__ import annotations

import signal

import pytest

import gradstone as gs
from gradstone import _C
from op_specs import run

# A shell that starts the tests in the background makes them ignore Ctrl-C, and children would
# inherit that; the tests that interrupt a child need it as a user has it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="where the operation table's tensors live")


def pytest_configure(config: pytest.Config) -> None:
    run.DEVICE = config.getoption("--device")


@pytest.fixture(autouse=True)
def settled_state():
    threads = gs.get_num_threads()
    gs.manual_seed(0)
    yield
    gs.set_num_threads(threads)
    gs.set_default_dtype(gs.float32)
    if _C.isa() != _C.best_isa():
        _C.set_isa(_C.best_isa())
    assert gs.is_grad_enabled(), "a test left no_grad on"
