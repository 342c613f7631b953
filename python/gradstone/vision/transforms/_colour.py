"""Changes of brightness and colour, on (N, C, H, W), bytes or floats in [0, 1], by one factor (N)
for each image.

For bytes the results are those of Pillow's ImageEnhance and ImageOps; the floats follow the same
formulas without rounding. Grey images have one channel, colours three (a fourth, alpha, is left
alone).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Factors = np.ndarray


def check(images: np.ndarray) -> None:
    """TypeError or ValueError unless these are bytes or floats with 1, 3 or 4 channels."""
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise TypeError(f"images are of bytes or floats, got dtype {images.dtype}.")
    if images.shape[1] not in (1, 3, 4):
        raise ValueError(
            f"colours have 1, 3 or 4 channels, got {images.shape[1]} (shape {images.shape})."
        )


def _top(images: np.ndarray) -> int:
    return 255 if images.dtype == np.uint8 else 1


def _with_alpha(images: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`change` on the colours alone."""
    check(images)
    if images.shape[1] < 4:
        return change(images)
    return np.concatenate([change(images[:, :3]), images[:, 3:]], 1)


def grey(images: np.ndarray) -> np.ndarray:
    """(N, 1, H, W): luma by ITU-R BT.601, in 16 binary places for bytes."""
    check(images)
    if images.shape[1] == 1:
        return images
    parts = [images[:, c : c + 1] for c in range(3)]
    if images.dtype == np.uint8:
        r, g, b = (part.astype(np.int32) for part in parts)
        return ((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16).astype(np.uint8)
    r, g, b = parts
    return (0.299 * r + 0.587 * g + 0.114 * b).astype(images.dtype)


def blend(start: np.ndarray, images: np.ndarray, factor: Factors) -> np.ndarray:
    """start + factor (images - start), kept in range; bytes are cut off behind the point."""
    # Pillow computes with floats of 32 bits.
    kind = np.float32 if images.dtype == np.uint8 else images.dtype
    share = np.asarray(factor, kind).reshape(-1, 1, 1, 1)
    first = start.astype(kind)
    mixed = np.clip(first + share * (images.astype(kind) - first), 0, _top(images))
    return mixed.astype(images.dtype)


def brightness(images: np.ndarray, factor: Factors) -> np.ndarray:
    """0 gives black, 1 the image, more is brighter."""
    black = np.zeros((1, 1, 1, 1), images.dtype)
    return _with_alpha(images, lambda x: blend(black, x, factor))


def contrast(images: np.ndarray, factor: Factors) -> np.ndarray:
    """0 gives the grey of the mean luma, 1 the image."""

    def change(x: np.ndarray) -> np.ndarray:
        luma = grey(x).reshape(len(x), -1)
        if x.dtype == np.uint8:
            mean = luma.sum(1, dtype=np.int64) / luma.shape[1]
            level = np.floor(mean + 0.5)
        else:
            level = luma.mean(1)
        return blend(level.reshape(-1, 1, 1, 1), x, factor)

    return _with_alpha(images, change)


def saturation(images: np.ndarray, factor: Factors) -> np.ndarray:
    """0 gives a grey image, 1 the image."""
    return _with_alpha(images, lambda x: blend(grey(x), x, factor))


def hue(images: np.ndarray, factor: Factors) -> np.ndarray:
    """The hue turned by `factor` of a whole circle, from -0.5 to 0.5; grey images stay."""

    def change(x: np.ndarray) -> np.ndarray:
        if x.shape[1] == 1:
            return x
        h, s, v = to_hsv(x)
        by = np.asarray(factor, np.float64).reshape(-1, 1, 1)
        if x.dtype == np.uint8:
            # Bytes go round by themselves.
            steps = np.trunc(by * 255).astype(np.int64)
            return from_hsv((h + steps) % 256, s, v, x.dtype)
        return from_hsv((h + by) % 1.0, s, v, x.dtype)

    return _with_alpha(images, change)


def to_hsv(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue, saturation and value, each (N, H, W): whole numbers to 255 for bytes, else in [0, 1]
    (Smith, "Color gamut transform pairs", 1978)."""
    whole = images.dtype == np.uint8
    kind = np.float32 if whole else np.float64
    r, g, b = (images[:, c].astype(kind) for c in range(3))
    high, low = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    spread = high - low
    flat = spread == 0
    safe = np.where(flat, 1, spread)
    from_r, from_g, from_b = ((high - c) / safe for c in (r, g, b))
    # Between the colours: red is 0, green 2, blue 4 sixths of the circle. Pillow adds with 64 bits
    # and keeps 32.
    two, four = np.float64(2), np.float64(4)
    sixths = np.where(
        r == high,
        from_b - from_g,
        np.where(g == high, two + from_r - from_b, four + from_g - from_r),
    ).astype(kind)
    h = sixths.astype(np.float64) / 6 + 1
    h = (h - np.floor(h)).astype(kind)
    h = np.where(flat, 0, h).astype(np.float64)
    s = np.where(flat, 0, spread / np.where(high == 0, 1, high))
    if not whole:
        return h, s, high
    return (h * 255).astype(np.int64), (s * 255).astype(np.int64), high.astype(np.int64)


def from_hsv(h: np.ndarray, s: np.ndarray, v: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Colours (N, 3, H, W) from what `to_hsv` gives."""
    whole = dtype == np.uint8
    top = 255 if whole else 1
    sixths, share = h * (6 / top), s * (1 / top)
    out = np.empty((len(h), 3, *h.shape[1:]), dtype)
    for c, start in enumerate((5, 3, 1)):
        # How far a channel is below v, as a share of s: a trapezium along the circle.
        along = (sixths + start) % 6
        below = np.clip(np.minimum(along, 4 - along), 0, 1)
        value = v * (1 - share * below)
        out[:, c] = np.floor(value + 0.5) if whole else value
    return out


# ------------------------------------------------------------------------------------ by histogram


def look_up(images: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Bytes (N, C, H, W) through tables (N, C, 256), or (N, 1, 256) for all channels."""
    n, channels = images.shape[:2]
    tables = np.broadcast_to(tables, (n, channels, 256)).reshape(n, channels, 256)
    flat = images.reshape(n, channels, -1)
    return np.take_along_axis(tables, flat.astype(np.intp), 2).reshape(images.shape)


def _bytes(images: np.ndarray, what: str) -> None:
    check(images)
    if images.dtype != np.uint8:
        raise TypeError(f"{what} takes images of bytes, got dtype {images.dtype}.")


_LEVELS = np.arange(256)


def posterize(images: np.ndarray, bits: Factors) -> np.ndarray:
    """The upper `bits` bits of every byte."""
    _bytes(images, "posterize")
    mask = (0xFF << (8 - np.asarray(bits, np.int64))) & 0xFF
    return images & mask.astype(np.uint8).reshape(-1, 1, 1, 1)


def solarize(images: np.ndarray, threshold: Factors) -> np.ndarray:
    """Values of `threshold` or more turned to their negative."""
    _bytes(images, "solarize")
    at = np.asarray(threshold, np.float64).reshape(-1, 1, 1, 1)
    return np.where(images < at, images, 255 - images)


def _histograms(images: np.ndarray) -> np.ndarray:
    n, channels = images.shape[:2]
    own = np.arange(n * channels).reshape(n, channels, 1) * 256
    flat = (images.reshape(n, channels, -1) + own).ravel()
    return np.bincount(flat, minlength=n * channels * 256).reshape(n, channels, 256)


def autocontrast(images: np.ndarray) -> np.ndarray:
    """Each channel stretched, so that its least value becomes 0 and its greatest 255."""
    _bytes(images, "autocontrast")
    flat = images.reshape(*images.shape[:2], -1)
    low = flat.min(2, keepdims=True).astype(np.float64)
    high = flat.max(2, keepdims=True).astype(np.float64)
    one = high <= low
    scale = 255.0 / np.where(one, 1, high - low)
    table = np.trunc(_LEVELS * scale - low * scale).clip(0, 255)
    table = np.where(one, _LEVELS, table).astype(np.uint8)
    return look_up(images, table)


def equalize(images: np.ndarray) -> np.ndarray:
    """Each channel mapped so that its values are spread evenly."""
    _bytes(images, "equalize")
    counts = _histograms(images)
    last = 255 - np.argmax((counts > 0)[:, :, ::-1], 2)
    total = counts.sum(2)
    step = (total - np.take_along_axis(counts, last[..., None], 2)[..., 0]) // 255
    before = np.cumsum(counts, 2) - counts
    safe = np.where(step == 0, 1, step)[..., None]
    table = ((safe // 2 + before) // safe).clip(0, 255)
    table = np.where((step == 0)[..., None], _LEVELS, table).astype(np.uint8)
    return look_up(images, table)


def sharpness(images: np.ndarray, factor: Factors) -> np.ndarray:
    """0 gives a smoothed image, 1 the image, more is sharper.

    Smoothed by the 3x3 kernel of ones with 5 in the middle, over 13; the edge stays as it is.
    """

    def change(x: np.ndarray) -> np.ndarray:
        smooth = x.copy()
        height, width = x.shape[-2:]
        if height > 2 and width > 2:
            wide = x.astype(np.int64 if x.dtype == np.uint8 else x.dtype)
            total = 4 * wide[..., 1:-1, 1:-1]
            for dy in range(3):
                for dx in range(3):
                    total = total + wide[..., dy : height - 2 + dy, dx : width - 2 + dx]
            mean = np.floor(total / 13 + 0.5) if x.dtype == np.uint8 else total / 13
            smooth[..., 1:-1, 1:-1] = mean.astype(x.dtype)
        return blend(smooth, x, factor)

    return _with_alpha(images, change)
