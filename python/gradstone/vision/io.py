"""Image files as tensors. Needs Pillow."""

from __future__ import annotations

import io
import os
from enum import Enum
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone._replace import write_file
from gradstone.vision.transforms._base import as_array, as_tensor
from gradstone.vision.transforms._pil import as_pil


class ImageReadMode(Enum):
    """Which channels an image is read with; UNCHANGED: its own."""

    UNCHANGED = "unchanged"
    GRAY = "L"
    GRAY_ALPHA = "LA"
    RGB = "RGB"
    RGB_ALPHA = "RGBA"


def read_image(
    path: str | os.PathLike[str],
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """An image file as uint8 (C, H, W): 1 channel grey, 2 grey with alpha, 3 RGB or 4 RGBA.

    `mode` may be a name, "RGB" or "gray". `apply_exif_orientation` turns a photograph as its camera
    says. Of 16-bit values the upper 8 bits are taken. FileNotFoundError, or RuntimeError for a file
    that is no image, or has values of 32 bits.
    """
    wanted = _mode(mode)
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError("image files need Pillow: pip install 'gradstone[vision]'") from None
    try:
        with Image.open(path) as file:
            image: Any = file
            kind = file.format
            if apply_exif_orientation:
                image = ImageOps.exif_transpose(image)
            image = eight_bits(image, kind)
            if wanted is ImageReadMode.UNCHANGED:
                image = _plain(image)
            else:
                image = image.convert(wanted.value)
            return as_tensor(image)
    except FileNotFoundError:
        raise
    except Exception as error:  # its decoders say what is wrong in many ways
        raise RuntimeError(f"{path} could not be read as an image: {error}") from None


def _mode(mode: ImageReadMode | str) -> ImageReadMode:
    if isinstance(mode, ImageReadMode):
        return mode
    name = str(mode).upper()
    if name not in ImageReadMode.__members__:
        raise ValueError(f"mode is one of {', '.join(ImageReadMode.__members__)}; got {mode!r}.")
    return ImageReadMode[name]


def eight_bits(image: Any, kind: str | None = None) -> Any:
    """A PIL image whose values have at most 8 bits: of 16 the upper ones, where Pillow's
    ``convert`` would make 255 of all above. ValueError for 32 bits, of which nobody knows the
    range. `kind` is the file's format."""
    # Grey PNG and PGM files of 16 bits come as 32-bit integers from some versions of Pillow.
    wide = image.mode == "I" and (kind or image.format) in ("PNG", "PPM")
    if wide or image.mode.startswith("I;16"):
        from PIL import Image

        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its values have 32 bits (mode {image.mode!r}), and no known range")
    return image


def _plain(image: Any) -> Any:
    """The image in a mode whose channels are bytes of grey, RGB and alpha."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _write(input: Tensor, filename: str | os.PathLike[str], format: str, **options: Any) -> None:
    if not isinstance(input, Tensor) or str(input.dtype).rpartition(".")[2] != "uint8":
        found = getattr(input, "dtype", type(input).__name__)
        raise TypeError(f"an image to write is a uint8 tensor (C, H, W), got {found}.")
    if input.dim() != 3 or input.size(0) not in (1, 3):
        raise ValueError(f"expected an image (1 or 3, H, W), got shape {tuple(input.shape)}.")
    image = as_pil(as_array(input.detach().cpu(), flat=True))
    file = io.BytesIO()
    image.save(file, format=format, **options)
    write_file(filename, file.getvalue())


def write_png(input: Tensor, filename: str | os.PathLike[str], compression_level: int = 6) -> None:
    """A uint8 image (1 or 3, H, W) as a PNG file; compression_level is from 0 to 9."""
    if not 0 <= compression_level <= 9:
        raise ValueError(f"compression_level is from 0 to 9, got {compression_level}.")
    _write(input, filename, "PNG", compress_level=compression_level)


def write_jpeg(input: Tensor, filename: str | os.PathLike[str], quality: int = 75) -> None:
    """A uint8 image (1 or 3, H, W) as a JPEG file; quality is from 1 to 100."""
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is from 1 to 100, got {quality}.")
    _write(input, filename, "JPEG", quality=quality)
