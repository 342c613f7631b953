"""A model judged and used: no gradients, evaluation mode, averaged weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.training import batches
from gradstone.training.averages import Averages

if TYPE_CHECKING:
    from gradstone.training.trainer import Trainer


def evaluate(
    trainer: Trainer, loader: Iterable[Any], go_on: Callable[[int], bool] | None = None
) -> dict[str, Any] | None:
    """Means over all samples. `go_on` is asked after each batch, with their number; None when it
    said no. The metrics are copies: those of an epoch that is under way stay as they are."""
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
        raise ValueError("[Trainer.evaluate] the loader gave no batches.")
    return averages.result()


def predict(trainer: Trainer, loader: Iterable[Any]) -> Any:
    """The outputs for all samples, joined."""
    outputs: list[Any] = []
    with evaluating(trainer):
        for batch in _some(trainer, loader):
            inputs = batches.on_device(batches.inputs_of(batch), trainer.device)
            with trainer.compute.autocast or nullcontext():
                outputs.append(batches.detached(batches.call(trainer.model, inputs)))
    if not outputs:
        raise ValueError("[Trainer.predict] the loader gave no batches.")
    if isinstance(outputs[0], Tensor):
        return _C.cat(outputs)
    if isinstance(outputs[0], (list, tuple)):
        return tuple(_C.cat(list(parts)) for parts in zip(*outputs))
    raise TypeError(
        "[Trainer.predict] expected the model to give a tensor or a tuple of tensors, got "
        f"{type(outputs[0]).__name__}."
    )


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
