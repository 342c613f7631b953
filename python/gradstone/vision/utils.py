"""Images side by side, and images in files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn import functional as F


def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images (N, C, H, W), (C, H, W), (H, W), or a list of images (C, H, W), in one image
    (3 or C, H', W') with `nrow` in a row and `padding` pixels of `pad_value` between and around.

    Images of one channel come with three equal ones. `normalize` maps `value_range`, or the least
    and the greatest value (of each image with `scale_each`), to 0 and 1. A single image comes back
    by itself, as in torchvision.
    """
    images = _listed(tensor)
    if nrow < 1 or padding < 0:
        raise ValueError(f"expected nrow >= 1 and padding >= 0, got {nrow} and {padding}.")
    if images.size(1) == 1:
        images = _C.cat([images] * 3, 1)
    if normalize:
        images = _normalized(images, value_range, scale_each)
    elif value_range is not None or scale_each:
        raise ValueError("value_range and scale_each go with normalize=True.")
    count, channels, height, width = images.shape
    if count == 1:
        return images[0]
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    missing = rows * columns - count
    if missing:
        blank = images.new_full((missing, channels, height, width), pad_value)
        images = _C.cat([images, blank], 0)
    # Each image with the padding at its right and below, then the padding at the left and above.
    images = F.pad(images, (0, padding, 0, padding), "constant", pad_value)
    height, width = images.size(2), images.size(3)
    grid = images.reshape(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    whole = grid.reshape(channels, rows * height, columns * width)
    return F.pad(whole, (padding, 0, padding, 0), "constant", pad_value)


def _listed(tensor: Any) -> Tensor:
    """Images as one detached tensor (N, C, H, W)."""
    if isinstance(tensor, Tensor):
        images = tensor
    elif isinstance(tensor, Sequence) and all(isinstance(image, Tensor) for image in tensor):
        if not tensor:
            raise ValueError("make_grid: expected at least one image.")
        images = _C.stack(list(tensor), 0)
    else:
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if images.dim() == 2:
        images = images.unsqueeze(0)
    if images.dim() == 3:
        images = images.unsqueeze(0)
    if images.dim() != 4 or images.numel() == 0:
        raise ValueError(f"expected images (N, C, H, W), got shape {tuple(images.shape)}.")
    return images.detach()


def _normalized(
    images: Tensor, value_range: tuple[float, float] | None, scale_each: bool
) -> Tensor:
    if not images.dtype.is_floating_point:
        raise TypeError(f"normalize takes images of floats, got {images.dtype}.")
    if value_range is not None:
        low, high = value_range
        return (images.clamp(low, high) - low) / max(high - low, 1e-5)
    count = images.size(0)
    flat = images.reshape(count if scale_each else 1, -1)
    least = flat.min(1, keepdim=True)[0]
    spread = (flat.max(1, keepdim=True)[0] - least).clamp(min=1e-5)
    return ((flat - least) / spread).reshape(tuple(images.shape))


def save_image(
    tensor: Tensor | Sequence[Tensor], fp: Any, format: str | None = None, **kwargs: Any
) -> None:
    """Writes an image, or a grid of images made by `make_grid` with `kwargs`, to a file.

    Floats are from 0 to 1 and are rounded to bytes; uint8 values are written as they are. `fp` is a
    path, whose ending says the format, or a file, for which `format` says it. Needs Pillow.
    """
    grid = make_grid(tensor, **kwargs)
    if grid.dtype.is_floating_point:
        grid = _C._cast((grid * 255 + 0.5).clamp(0, 255), _C.uint8)
    if grid.dtype != _C.uint8:
        raise TypeError(f"save_image takes images of floats or uint8, got {grid.dtype}.")
    if grid.size(0) not in (3, 4):
        raise ValueError(f"images in files have 1, 3 or 4 channels, got shape {tuple(grid.shape)}.")
    from gradstone.vision.transforms._base import as_array
    from gradstone.vision.transforms._pil import as_pil

    image = as_pil(as_array(grid.cpu()))
    image.save(os.fspath(fp) if isinstance(fp, os.PathLike) else fp, format=format)
