"""A model judged and used: no gradients, evaluation mode, averaged weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.training import batches
from gradstone.training.arguments import check_loader, no_batches
from gradstone.training.averages import Averages

if TYPE_CHECKING:
    from gradstone.training.trainer import Trainer


def evaluate(
    trainer: Trainer, loader: Iterable[Any], go_on: Callable[[int], bool] | None = None
) -> dict[str, Any] | None:
    """Means over all samples. `go_on` is asked after each batch, with their number; None when it
    said no. The metrics are copies: those of an epoch that is under way stay as they are."""
    if go_on is None:
        check_loader("Trainer.evaluate", loader)
    averages = Averages(copy.deepcopy(trainer.metrics))
    with evaluating(trainer):
        for n, batch in enumerate(_some(trainer, loader), 1):
            inputs, targets, weights = batches.prepared(batch, trainer.device)
            output, loss = trainer.compute.forward(inputs, targets, weights)
            size = batches.samples(inputs)
            averages.samples += size
            averages.add("loss", loss, size)
            if averages.metrics:
                averages.measure(output, targets)
            if go_on is not None and not go_on(n):
                return None
    if not averages.samples:
        raise no_batches("Trainer.evaluate", loader)
    return averages.result()


def predict(trainer: Trainer, loader: Iterable[Any]) -> Any:
    """The outputs for all samples, joined."""
    check_loader("Trainer.predict", loader)
    outputs: list[Any] = []
    with evaluating(trainer):
        for batch in _some(trainer, loader):
            inputs = batches.on_device(batches.inputs_of(batch), trainer.device)
            with trainer.compute.autocast or nullcontext():
                outputs.append(batches.detached(batches.call(trainer.model, inputs)))
    if not outputs:
        raise no_batches("Trainer.predict", loader)
    return _joined(outputs)


def _joined(parts: Sequence[Any]) -> Any:
    """The outputs of all batches as one; tuples (lists too) and dicts part by part."""
    first = parts[0]
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, (list, tuple)):
        joined = [_joined(part) for part in zip(*parts)]
        return type(first)(*joined) if hasattr(first, "_fields") else tuple(joined)
    if not isinstance(first, Tensor):
        raise TypeError(
            "[Trainer.predict] expected the model to give tensors, or tuples and dicts of them, "
            f"got {type(first).__name__}."
        )
    for part in parts:
        if part.dim() != first.dim() or not part.dim():
            raise ValueError(
                "[Trainer.predict] expected outputs (samples, ...) of every batch, got shapes "
                f"{tuple(first.shape)} and {tuple(part.shape)}: a squeeze() takes away a batch of "
                "one sample too, squeeze(1) does not."
            )
    return _C.cat(list(parts))


def _some(trainer: Trainer, loader: Iterable[Any]) -> Iterable[Any]:
    return islice(loader, 1) if trainer.fast_dev_run else loader


@contextmanager
def evaluating(trainer: Trainer) -> Iterator[None]:
    """Afterwards the modes of the modules and the weights are as before."""
    modes = [(module, module.training) for module in trainer.model.modules()]
    trainer.model.eval()
    try:
        with no_grad(), nullcontext() if trainer.ema is None else trainer.ema.swapped():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
