"""Images and sequences made larger or smaller: (N, C, L), (N, C, H, W)..."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d

# Of one axis: for each tap its positions in the input and its weights, each of the output's length;
# no weights: the value as it is.
Taps = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]]


def _centres(length: int, out: int, ratio: float, align_corners: bool) -> np.ndarray[Any, Any]:
    """Where in the input the middle of each output lies."""
    place = np.arange(out, dtype=np.float64)
    if align_corners:
        return place * ((length - 1) / (out - 1) if out > 1 else 0.0)
    return (place + 0.5) * ratio - 0.5


def _nearest(length: int, out: int, ratio: float, align_corners: bool) -> Taps:
    # In float32, as PyTorch does it: another rounding takes another neighbour.
    place = np.floor(np.arange(out, dtype=np.float32) * np.float32(ratio))
    return [(np.minimum(place.astype(np.int64), length - 1), None)]


def _nearest_exact(length: int, out: int, ratio: float, align_corners: bool) -> Taps:
    place = np.floor((np.arange(out, dtype=np.float32) + np.float32(0.5)) * np.float32(ratio))
    return [(np.minimum(place.astype(np.int64), length - 1), None)]


def _linear(length: int, out: int, ratio: float, align_corners: bool) -> Taps:
    centre = np.maximum(_centres(length, out, ratio, align_corners), 0.0)
    low = np.minimum(centre.astype(np.int64), length - 1)
    share = centre - low
    return [(low, 1 - share), (np.minimum(low + 1, length - 1), share)]


def _cubic(length: int, out: int, ratio: float, align_corners: bool) -> Taps:
    """Four taps of Keys' kernel (1981) with a = -0.75."""
    centre = _centres(length, out, ratio, align_corners)
    low = np.floor(centre).astype(np.int64)
    share, a, taps = centre - low, -0.75, []
    for k in (-1, 0, 1, 2):
        d = np.abs(share - k)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        taps.append((np.clip(low + k, 0, length - 1), np.where(d <= 1, near, far)))
    return taps


# mode: how the taps of an axis are found, and the number of axes it is for (None: any).
_MODES: dict[str, tuple[Callable[[int, int, float, bool], Taps], int | None]] = {
    "nearest": (_nearest, None),
    "nearest-exact": (_nearest_exact, None),
    "linear": (_linear, 1),
    "bilinear": (_linear, 2),
    "trilinear": (_linear, 3),
    "bicubic": (_cubic, 2),
}


def _resampled(x: Tensor, dim: int, taps: Taps) -> Tensor:
    """One axis, as the sum of its taps."""
    total = None
    for places, weights in taps:
        part = x.index_select(dim, _C.tensor_from_data(places.tolist(), _C.int64, x.device))
        if weights is not None:
            shape = [1] * x.dim()
            shape[dim] = len(weights)
            part = part * _C.tensor_from_data(weights.tolist(), x.dtype, x.device).reshape(shape)
        total = part if total is None else total + part
    assert total is not None
    return total


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """(N, C, *sizes) to (N, C, *size), or to sizes * scale_factor rounded down.

    mode: "nearest", "nearest-exact", "area" (means), and by the number of axes "linear",
    "bilinear", "bicubic", "trilinear". align_corners: the corners' middles stay where they are, not
    the image's edges. recompute_scale_factor: the ratio is that of the rounded sizes. ValueError
    for what does not fit; NotImplementedError for antialias.
    """
    if antialias:
        raise NotImplementedError("[interpolate] antialias is not offered.")
    axes = input.dim() - 2
    if axes < 1:
        raise ValueError(f"[interpolate] expected (N, C, ...), got {tuple(input.shape)}.")
    lengths = tuple(input.shape[2:])
    if 0 in lengths:
        raise ValueError(f"[interpolate] expected sizes above 0, got {tuple(input.shape)}.")
    out, ratios = _sizes(lengths, size, scale_factor, bool(recompute_scale_factor))
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError("[interpolate] align_corners is for the linear and cubic modes.")
    if mode == "area" and axes <= 2:
        return adaptive_avg_pool1d(input, out[0]) if axes == 1 else adaptive_avg_pool2d(input, out)
    if mode not in _MODES or _MODES[mode][1] not in (None, axes):
        fitting = [name for name, (_, count) in _MODES.items() if count in (None, axes)]
        raise ValueError(
            f"[interpolate] expected mode to be one of {fitting} for {axes} axes, got {mode!r}."
        )
    if out == lengths and mode != "bicubic":
        return input.clone()  # also where a scale_factor would shift, as in PyTorch
    find = _MODES[mode][0]
    for dim, (length, wanted, ratio) in enumerate(zip(lengths, out, ratios), 2):
        if length != wanted or ratio != 1:
            taps = find(length, wanted, ratio, bool(align_corners))
            input = _resampled(input, dim, taps)
    return input


def _sizes(
    lengths: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool
) -> tuple[tuple[int, ...], list[float]]:
    """(sizes of the output, input positions for one step in the output) of the axes."""
    if (size is None) == (scale_factor is None):
        raise ValueError("[interpolate] expected either size or scale_factor.")
    given = scale_factor if size is None else size
    each = list(given) if isinstance(given, (tuple, list)) else [given] * len(lengths)
    if len(each) != len(lengths):
        raise ValueError(
            f"[interpolate] expected one number, or {len(lengths)} for as many axes, got {given!r}."
        )
    if size is not None:
        out = tuple(whole("interpolate", "size", n, 1) for n in each)
        return out, [length / n for length, n in zip(lengths, out)]
    out = tuple(math.floor(length * factor) for length, factor in zip(lengths, each))
    if min(out) < 1:
        raise ValueError(f"[interpolate] scale_factor {given!r} leaves nothing of {lengths}.")
    if recompute:
        return out, [length / n for length, n in zip(lengths, out)]
    return out, [1 / factor for factor in each]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C r^2, H, W) to (..., C, H r, W r) (Shi et al., 2016)."""
    r = whole("pixel_shuffle", "upscale_factor", upscale_factor, 1)
    if input.dim() < 3 or input.size(-3) % (r * r):
        raise ValueError(
            f"[pixel_shuffle] expected (..., C * {r * r}, H, W), got {tuple(input.shape)}."
        )
    *lead, channels, h, w = input.shape
    c = channels // (r * r)
    x = input.reshape(-1, c, r, r, h, w).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(*lead, c, h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H r, W r) to (..., C r^2, H, W)."""
    r = whole("pixel_unshuffle", "downscale_factor", downscale_factor, 1)
    if input.dim() < 3 or input.size(-2) % r or input.size(-1) % r:
        raise ValueError(
            f"[pixel_unshuffle] expected (..., C, H * {r}, W * {r}), got {tuple(input.shape)}."
        )
    *lead, c, height, width = input.shape
    h, w = height // r, width // r
    x = input.reshape(-1, c, h, r, w, r).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(*lead, c * r * r, h, w)
