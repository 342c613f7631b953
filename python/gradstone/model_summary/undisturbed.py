"""Running a model without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.nn import Module
from gradstone.random import fork_rng


@contextmanager
def undisturbed(model: Module, mode: str | None) -> Iterator[None]:
    """Inside the block the model is in `mode` ("eval", "train" or None: as it is), works on copies
    of its buffers, and no gradient is recorded. After it every module's mode, every buffer (the
    same tensors, never written to) and the default generator are as before, and so is whether a
    module has hooks, which decides how fast it is called."""
    modules = list(model.modules())
    flags = [(m.training, m._has_hooks) for m in modules]
    buffers = [(m, name, b) for m in modules for name, b in m._buffers.items() if b is not None]
    copies: dict[int, Tensor] = {}
    try:
        for module, name, buffer in buffers:
            if id(buffer) not in copies:
                copies[id(buffer)] = buffer.detach().clone()
            module._buffers[name] = copies[id(buffer)]
        if mode is not None:
            for module in modules:
                # Not through train(), which a model may have extended to do more.
                module.__dict__["training"] = mode == "train"
        with fork_rng(), no_grad():
            yield
    finally:
        for module, name, buffer in buffers:
            module._buffers[name] = buffer
        for module, (training, has_hooks) in zip(modules, flags):
            module.__dict__["training"] = training
            module.__dict__["_has_hooks"] = has_hooks
