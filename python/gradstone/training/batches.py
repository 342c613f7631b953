"""Batches as loaders give them: (inputs, targets), perhaps with weights of the samples."""

from __future__ import annotations

from typing import Any

from gradstone._C import Tensor


def on_device(value: Any, device: Any) -> Any:
    """The same with its tensors on the device, inside lists, tuples and dicts too. Copies from
    pinned memory do not wait."""
    if isinstance(value, Tensor):
        return value if value.device == device else value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {k: on_device(v, device) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(on_device(v, device) for v in value))
    if isinstance(value, (list, tuple)):
        return type(value)(on_device(v, device) for v in value)
    return value


def split(batch: Any) -> tuple[Any, Any, Any]:
    """(inputs, targets, weights of the samples or None). TypeError for anything else."""
    if isinstance(batch, (list, tuple)) and len(batch) in (2, 3):
        return batch[0], batch[1], batch[2] if len(batch) == 3 else None
    got = type(batch).__name__
    if isinstance(batch, (list, tuple)):
        got += f" of {len(batch)}"
    raise TypeError(
        "[Trainer] expected a batch to be (inputs, targets) or (inputs, targets, sample_weights), "
        f"got a {got}. Several inputs go together as ((a, b), targets) or ({{'a': a}}, targets)."
    )


def prepared(batch: Any, device: Any) -> tuple[Any, Any, Any]:
    """``split``, on the device."""
    # Almost every batch is two tensors that are where they should be.
    if (type(batch) is list or type(batch) is tuple) and len(batch) == 2:
        inputs, targets = batch
        if type(inputs) is type(targets) is Tensor and inputs.device == targets.device == device:
            return inputs, targets, None
    return split(on_device(batch, device))


def inputs_of(batch: Any) -> Any:
    """What a batch gives the model when nobody asks for targets: the first of (inputs, targets),
    or the batch itself when it is a tensor or a dict."""
    if isinstance(batch, (list, tuple)) and 1 <= len(batch) <= 3:
        return batch[0]
    return batch


def call(model: Any, inputs: Any) -> Any:
    """The model's output: a tuple or list of inputs as arguments, a dict as keyword arguments."""
    if isinstance(inputs, Tensor):
        return model(inputs)
    if isinstance(inputs, dict):
        return model(**inputs)
    if isinstance(inputs, (list, tuple)):
        return model(*inputs)
    return model(inputs)


def samples(value: Any) -> int:
    """How many samples a batch holds: the first size of its first tensor; 1 when there is none."""
    if isinstance(value, Tensor):
        return value.size(0) if value.dim() else 1
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            if isinstance(part, (Tensor, dict, list, tuple)):
                return samples(part)
    return 1


def detached(value: Any) -> Any:
    """The same without history: what a metric or a prediction needs."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {k: detached(v) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(detached(v) for v in value))
    if isinstance(value, (list, tuple)):
        return type(value)(detached(v) for v in value)
    return value
