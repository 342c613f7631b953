"""Recording, backward, hooks and modes; other threads and signals while it runs."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

from gradstone import _C
from native import arange, same, tensor


def test_backward_and_grad():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * x).sum()
    assert y.requires_grad and not y.is_leaf and x.is_leaf and y.grad_fn.name() == "SumBackward"
    assert repr(y.grad_fn) == "<SumBackward>"
    ((mul, slot),) = y.grad_fn.next_functions
    assert mul.name() == "MulBackward" and slot == 0
    assert mul.next_functions[0][0].name() == "AccumulateGrad" and x.grad_fn is None
    y.backward(retain_graph=True)
    same(x.grad, np.float32([2, 4, 6]))
    (g,) = _C.grad([y], [x])
    same(g, np.float32([2, 4, 6]))
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()
    with pytest.raises(RuntimeError):
        (x * 2).backward()
    with pytest.raises(RuntimeError):
        arange(2).sum().backward()
    (x * 2).backward(tensor([1.0, 1.0, 1.0]))
    same(x.grad, np.float32([4, 6, 8]))


def test_a_node_tells_the_shapes_of_its_outputs():
    x = tensor([[1.0, 2.0, 3.0]] * 4, requires_grad=True)
    y = x.sum(1)
    assert y.grad_fn.output_shapes == ((4,),)
    ((leaf, _),) = y.grad_fn.next_functions
    assert leaf.output_shapes == ((4, 3),)
    values, indices = x.max(1)
    assert values.grad_fn.output_shapes[0] == tuple(indices.shape)
    y.sum().backward()
    del x
    assert leaf.output_shapes == ((4, 3),)  # also when the leaf is gone


def test_second_derivatives():
    x = tensor([1.0, 2.0], _C.float64, requires_grad=True)
    (g,) = _C.grad([(x**3).sum()], [x], create_graph=True)
    (h,) = _C.grad([g.sum()], [x])
    same(h, [6.0, 12.0])


def test_backward_inputs():
    x, w = tensor([1.0], requires_grad=True), tensor([2.0], requires_grad=True)
    (x * w).backward(inputs=[w])
    assert x.grad is None
    same(w.grad, np.float32([1]))
    with pytest.raises(RuntimeError):
        (x * w).backward(inputs=[])


def test_modes():
    x = tensor([1.0], requires_grad=True)
    _C.set_grad_enabled(False)
    try:
        assert not _C.is_grad_enabled() and not (x * 2).requires_grad
    finally:
        _C.set_grad_enabled(True)
    _C.set_inference_mode(True)
    try:
        y = x * 2
        assert _C.is_inference_mode() and y.is_inference() and not y.requires_grad
    finally:
        _C.set_inference_mode(False)


def test_hooks():
    x = tensor([1.0, 2.0], requires_grad=True)
    seen = []
    first = x.register_hook(lambda g: seen.append(g.tolist()))
    second = x.register_hook(lambda g: g * 10)
    (x * 2).sum().backward()
    assert seen == [[2, 2]]
    same(x.grad, np.float32([20, 20]))
    first.remove()
    second.remove()
    second.remove()
    (x * 2).sum().backward()
    assert seen == [[2, 2]]
    same(x.grad, np.float32([22, 22]))

    y = x * 3
    y.retain_grad()
    with y.register_hook(lambda g: g + 1):
        y.sum().backward()
    same(y.grad, np.float32([2, 2]))


def test_an_exception_in_a_hook_passes_through_unchanged():
    class Mine(Exception):
        pass

    error = Mine("unchanged")

    def hook(g):
        raise error

    x = tensor([1.0], requires_grad=True)
    handle = x.register_hook(hook)
    with pytest.raises(Mine) as caught:
        (x * 2).backward()
    assert caught.value is error
    handle.remove()
    x.register_hook(lambda g: "no tensor")
    with pytest.raises(TypeError, match="hook"):
        (x * 2).backward()
    y = tensor([1.0, 2.0], requires_grad=True)
    y.register_hook(lambda g: tensor([1.0]))
    with pytest.raises(RuntimeError, match="shape"):
        (y * 2).sum().backward()


def test_detach():
    x = tensor([1.0], requires_grad=True)
    y = x * 2
    assert y.detach().data_ptr() == y.data_ptr() and not y.detach().requires_grad
    assert y.detach_() is y and y.is_leaf and y.grad_fn is None and not y.requires_grad
    z = x * 2
    z.retain_grad()
    w = z * 3
    z.detach_()
    del z
    w.backward()
    with pytest.raises(RuntimeError):
        (x * 2)[0:].detach_()


def test_backward_lets_other_threads_run():
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(2000):
        y = y * 1.0
    result = []
    worker = threading.Thread(target=lambda: (y.backward(), result.append(True)))
    worker.start()
    worker.join(60)
    assert result
    same(x.grad, np.float32([1]))


def test_a_signal_ends_a_long_backward():
    class Interrupted(Exception):
        pass

    def handler(*_):
        raise Interrupted

    x = tensor(np.ones(1_000, np.float32), requires_grad=True)
    y = x
    for _ in range(60_000):
        y = y * 1.0
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.005)
    try:
        with pytest.raises(Interrupted):
            y.sum().backward()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert x.grad is None
