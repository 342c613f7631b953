"""A model and its optimizer as they were, whatever was tried with them."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradstone.autograd.grad_mode import no_grad
from gradstone.nn import Module
from gradstone.optim.optimizer import Optimizer
from gradstone.training.random_state import generators_of, restore, snapshot


@contextmanager
def put_back(
    model: Module, optimizer: Optimizer | None = None, loader: Any = None
) -> Iterator[None]:
    """Behind the block, also after an error, everything is as before to the bit: parameters,
    buffers, gradients (none inside), training or evaluation mode, the optimizer's state and
    options, and the random numbers (gradstone's, NumPy's, Python's, those of the loader's
    generators). Attributes of modules other than parameters and buffers are not."""
    params = list(model.parameters())
    owned = {id(p) for p in params}
    # Parameters that the optimizer has from elsewhere are stepped too.
    groups = optimizer.param_groups if optimizer is not None else []
    params += [p for group in groups for p in group["params"] if id(p) not in owned]
    weights = [(p, p.detach().clone(), p.grad) for p in params]
    modules = [(m, m.training, dict(m._buffers)) for m in model.modules()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    options = [dict(group) for group in groups]
    generators = generators_of([loader])
    random = snapshot(generators)
    for p in params:
        p.grad = None  # the gradients there are stay untouched
    if optimizer is not None:
        # The trial works on a copy of the state; what there is is handed back itself.
        state, stepped = optimizer.state, optimizer._stepped
        optimizer.state = defaultdict(dict, {k: copy.deepcopy(v) for k, v in state.items()})
    try:
        yield
    finally:
        restore(random, generators)
        if optimizer is not None:
            optimizer.state, optimizer._stepped = state, stepped
        for group, option in zip(groups, options):
            group.clear()
            group.update(option)
        with no_grad():
            for p, value, grad in weights:
                p.copy_(value)
                p.grad = grad
            for buffer, value in buffers:
                buffer.copy_(value)
        for module, training, own in modules:
            module.training = training
            for name, held in own.items():
                module._buffers[name] = held
