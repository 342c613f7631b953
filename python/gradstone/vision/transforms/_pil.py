"""PIL images: recognised without Pillow, made of arrays, and what their modes let be computed."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from gradstone.vision.transforms._interpolation import InterpolationMode

# Modes whose values are grey or red, green and blue, with alpha, and the greys of 32 bits.
_COLOURS = ("1", "L", "LA", "RGB", "RGBA", "I", "F")
# Those whose values are places in a palette.
_NUMBERED = ("P", "PA")


class Reads(IntEnum):
    """What a transform takes the values of pixels for; each allows fewer modes than the one
    before."""

    NOTHING = 0  # pixels are moved, whatever they are
    AMOUNTS = 1  # values are computed from those of several pixels
    COLOURS = 2  # values are grey, or red, green and blue

    @staticmethod
    def between(mode: InterpolationMode) -> Reads:
        """What is read when pixels are looked up so."""
        return Reads.NOTHING if mode is InterpolationMode.NEAREST else Reads.AMOUNTS


def is_pil(image: Any) -> bool:
    """Whether it is a PIL image, found out without Pillow."""
    return any(kind.__module__.startswith("PIL.") for kind in type(image).__mro__[:2])


def is_numbered(image: Any) -> bool:
    """Whether the values of a PIL image are places in a palette."""
    return image.mode in _NUMBERED


def check_mode(img: Any, name: str, reads: Reads) -> None:
    """ValueError when `img` is a PIL image whose values are not what `name` reads."""
    if not is_pil(img):
        return
    numbered = reads >= Reads.AMOUNTS and is_numbered(img)
    if numbered or (reads >= Reads.COLOURS and img.mode not in _COLOURS):
        raise ValueError(
            f"{name} computes with colours, and the bytes of a PIL image of mode {img.mode!r} are "
            "not those it knows: img.convert('RGB') makes them so."
        )


def as_pil(array: np.ndarray) -> Any:
    """An array (H, W) or (H, W, C) as a PIL image. ImportError without Pillow, TypeError when it
    has no such images."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("PIL images need Pillow: pip install 'gradstone[vision]'") from None
    try:
        return Image.fromarray(array)
    except TypeError:
        channels = array.shape[2] if array.ndim == 3 else 1
        raise TypeError(
            f"PIL images do not have {channels} channels of {array.dtype} (shape {array.shape})."
        ) from None


def as_pil_like(array: np.ndarray, image: Any) -> Any:
    """An array as a PIL image in the mode of `image`, with its palette, if it has as many
    channels."""
    made = as_pil(array)
    if image.mode in _COLOURS or len(made.getbands()) != len(image.getbands()):
        return made
    if image.palette is not None:
        kind = image.palette.mode
        made.putpalette(image.getpalette(kind), kind)
        made.info = dict(image.info)
        return made
    from PIL import Image

    return Image.frombytes(image.mode, made.size, made.tobytes())
