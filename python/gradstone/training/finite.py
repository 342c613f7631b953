"""Which layer made the first number that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.training import batches


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The floating tensors in lists, tuples and dicts."""
    if isinstance(value, Tensor):
        if value.dtype.is_floating_point:
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from tensors_in(part)


def finite(value: Any) -> bool:
    """Whether everything in it is; waits for the device."""
    return all(bool(_C.isfinite(t.detach()).all().item()) for t in tensors_in(value))


def _named(model: Any, name: str) -> str:
    """ "features.3 (Conv2d)"."""
    kind = type(model.get_submodule(name)).__name__ if name else type(model).__name__
    return f"layer '{name}' ({kind})" if name else f"the model itself ({kind})"


def explain(model: Any, inputs: Any, targets: Any, run: Callable[[], Tensor]) -> str:
    """Where the first number that is not finite comes from, in words. `run` computes the loss of
    the batch anew: it is watched, forward and, when that is finite, backward."""
    if not batches.samples(inputs):
        return "the batch has no samples"
    if not finite(inputs):
        return "the batch's inputs already hold a nan or an infinity"
    if not finite(targets):
        return "the batch's targets already hold a nan or an infinity"
    for name, param in model.named_parameters():
        if not finite(param):
            return (
                f"the parameter '{name}' is not finite: a step before this one spoilt it (a "
                "smaller learning rate, or clip_norm, may help)"
            )
    for name, buffer in model.named_buffers():
        if not finite(buffer):
            return f"the buffer '{name}' is not finite"
    found: list[str] = []
    loss = _watched_forward(model, run, found)
    if found:
        return f"{found[0]} is the first whose output is not finite"
    if not finite(loss):
        return "the loss function: every layer's output is finite, the loss is not"
    _watched_backward(model, run, found)
    if found:
        return found[0]
    return "no layer: when the batch was computed again, everything was finite"


def _watched_forward(model: Any, run: Callable[[], Tensor], found: list[str]) -> Tensor:
    """The loss; `found` gets the first module (of those in one another the innermost) with an
    output that is not finite."""
    handles = []
    for name, module in model.named_modules():

        def hook(module: Any, args: Any, output: Any, name: str = name) -> None:
            if not found and not finite(output):
                found.append(_named(model, name))

        handles.append(module.register_forward_hook(hook))
    try:
        return run()
    finally:
        for handle in handles:
            handle.remove()


def _watched_backward(model: Any, run: Callable[[], Tensor], found: list[str]) -> None:
    """`found` gets the module whose backward made the first gradient that is not finite."""
    handles = []
    for name, module in model.named_modules():

        def hook(module: Any, grad_input: Any, grad_output: Any, name: str = name) -> None:
            if found or finite(grad_input):
                return
            if finite(grad_output):
                found.append(f"{_named(model, name)} is the first whose gradient is not finite")
            else:
                found.append(
                    f"the gradient is not finite when it reaches {_named(model, name)}: what "
                    "follows that layer made it so"
                )

        if not list(module.children()):
            handles.append(module.register_full_backward_hook(hook))
    model.zero_grad()
    try:
        run().backward()
    except RuntimeError:
        # Layers that write in place cannot be watched: the parameters' gradients say enough.
        found.clear()
    finally:
        for handle in handles:
            handle.remove()
    if found:
        return
    model.zero_grad()
    run().backward()
    spoilt = [n for n, p in model.named_parameters() if p.grad is not None and not finite(p.grad)]
    if spoilt:
        found.append(f"the gradient of the parameter '{spoilt[-1]}' is not finite")
