"""Inputs refused by name before anything is computed."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor

_INDICES = (_C.int64, _C.int32)


def check_images(
    op: str, images: Tensor, channels: int, sizes: tuple[int, ...] = (), least: int = 1
) -> None:
    """(N, channels, H, W) of a floating dtype; H and W both one of `sizes`, or at least `least`."""
    shape = tuple(images.shape)
    if sizes:
        size = " or ".join(f"{s}, {s}" for s in sizes)
        right = len(shape) == 4 and shape[2] == shape[3] and shape[2] in sizes
    else:
        size = f"H, W) with H and W of at least {least}" if least > 1 else "H, W"
        right = len(shape) == 4 and min(shape[2:]) >= least
    if not right or shape[1] != channels:
        close = "" if size.startswith("H, W)") else ")"
        raise ValueError(
            f"[{op}] expected images of shape (N, {channels}, {size}{close}, got {shape}."
        )
    if not images.dtype.is_floating_point:
        raise TypeError(
            f"[{op}] expected images of a floating dtype, got {images.dtype}: "
            "scale them first, images.float() / 255."
        )


def check_tokens(op: str, tokens: Tensor, longest: int | None = None, name: str = "tokens") -> None:
    """(N, T) int64 or int32 with 1 <= T <= longest."""
    shape = tuple(tokens.shape)
    if len(shape) != 2 or shape[1] == 0:
        raise ValueError(f"[{op}] expected {name} of shape (N, T) with T > 0, got {shape}.")
    if tokens.dtype not in _INDICES:
        raise TypeError(f"[{op}] expected {name} of dtype int64, got {tokens.dtype}.")
    if longest is not None and shape[1] > longest:
        raise ValueError(
            f"[{op}] {name} have {shape[1]} positions, the model has {longest} at most."
        )


def check_shape(op: str, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Exactly this shape."""
    if tuple(tensor.shape) != shape:
        raise ValueError(f"[{op}] expected {name} of shape {shape}, got {tuple(tensor.shape)}.")


def without_weights(op: str, num_classes: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options without torchvision's `weights` and `pretrained`, when these ask for none.
    ValueError where published weights are asked for: nothing here fetches them."""
    options = dict(options)
    asked = [options.pop(name, None) for name in ("weights", "pretrained")]
    if any(asked) or num_classes is True:
        raise ValueError(
            f"[{op}] published weights are not fetched: download the file, make the model without "
            "weights=, and call gradstone.models.load_pretrained(model, path)."
        )
    return options
