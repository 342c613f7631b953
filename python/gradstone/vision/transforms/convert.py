"""Transforms between forms of images and ranges of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstone import _C, _creation
from gradstone._C import Tensor
from gradstone.vision.transforms._base import as_array, as_batch, as_tensor
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._pil import as_pil, is_pil


def to_tensor(pic: Any) -> Tensor:
    """A PIL image or an array (H, W, C) or (H, W) as a tensor (C, H, W): bytes become floats in
    [0, 1], other values stay."""
    if isinstance(pic, Tensor) or not (isinstance(pic, np.ndarray) or is_pil(pic)):
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    return _bytes_as_floats(as_tensor(pic))


def _bytes_as_floats(images: Tensor) -> Tensor:
    if images.dtype == _C.uint8:
        return _C._cast(images, _C.get_default_dtype()).div_(255)
    return images


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image or an array as a tensor (C, H, W) with the same values."""
    return as_tensor(pic)


class ToTensor:
    """uint8 images (H, W, C) or (H, W) become float32 tensors (C, H, W) in [0, 1]; other arrays
    keep their values."""

    streams = 0

    def __call__(self, pic: Any) -> Tensor:
        return to_tensor(pic)

    def batch(self, images: Tensor) -> Tensor:
        """The same for uint8 tensors (..., H, W)."""
        return _bytes_as_floats(images)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return self.batch(images)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """Images become tensors (C, H, W) with the same values."""

    streams = 0

    def __call__(self, pic: Any) -> Tensor:
        return pil_to_tensor(pic)

    def batch(self, images: Tensor) -> Tensor:
        """Tensors stay as they are."""
        return images

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return images

    def __repr__(self) -> str:
        return "PILToTensor()"


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image.

    Values are bytes, or floats in [0, 1] of a tensor, which are multiplied by 255 and cut off, as
    torchvision does. `mode` is Pillow's name of a mode with as many channels. Needs Pillow.
    """
    if isinstance(pic, Tensor):
        if pic.dim() not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.dim()} dimensions.")
        planes = pic.detach().cpu()
        if planes.dtype.is_floating_point:
            planes = _C._cast(planes * 255, _C.uint8)
        array = as_array(planes if planes.dim() == 3 else planes.unsqueeze(0), flat=True)
    elif isinstance(pic, np.ndarray):
        array = pic[:, :, 0] if pic.ndim == 3 and pic.shape[2] == 1 else pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels > 4:
        raise ValueError(
            f"an image has 2 or 3 dimensions and at most 4 channels, got {array.shape}."
        )
    if array.dtype != np.uint8:
        raise TypeError(f"images are of bytes, or tensors of floats; got {array.dtype}.")
    image = as_pil(np.ascontiguousarray(array))
    if mode is None or mode == image.mode:
        return image
    from PIL import Image

    if len(Image.new(mode, (1, 1)).getbands()) != channels:
        raise ValueError(f"mode {mode!r} does not have {channels} channels.")
    return Image.frombytes(mode, image.size, image.tobytes())


class ToPILImage:
    """``to_pil_image`` as a transform: tensors (C, H, W) or (H, W) and arrays (H, W, C) or (H, W)
    become PIL images."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"ToPILImage({'' if self.mode is None else f'mode={self.mode}'})"


_TOPS = {_C.uint8: 255, _C.int8: 127, _C.int16: 2**15 - 1, _C.int32: 2**31 - 1}


def convert_image_dtype(image: Tensor, dtype: Any = _C.float32) -> Tensor:
    """A tensor in another dtype, uint8, int8, int16, int32 or floating; integers span their range,
    floats [0, 1]."""
    if not isinstance(image, Tensor):
        raise TypeError(f"Input img should be Tensor Image, got {type(image).__name__}.")
    source, target = image.dtype, dtype
    if source == target:
        return image
    if source.is_floating_point and target.is_floating_point:
        return _C._cast(image, target)
    for given in (source, target):
        if not given.is_floating_point and given not in _TOPS:
            raise TypeError(f"convert_image_dtype knows no range of images of {given}.")
    if target.is_floating_point:
        return _C._cast(image, target) / _TOPS[source]
    if source.is_floating_point:
        # In float64: in fewer places the product of 1 would be rounded up, out of the range.
        return _C._cast(_C._cast(image, _C.float64) * (_TOPS[target] + 1.0 - 1e-3), target)
    up = (_TOPS[target] + 1) // (_TOPS[source] + 1)
    if up:
        return _C._cast(image, target) * up
    return _C._cast(image // ((_TOPS[source] + 1) // (_TOPS[target] + 1)), target)


class ConvertImageDtype:
    """Tensors in another dtype, uint8, int8, int16, int32 or floating; integers span their range,
    floats [0, 1]."""

    streams = 0

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __call__(self, image: Tensor) -> Tensor:
        return convert_image_dtype(image, self.dtype)

    batch = __call__

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return self(images)

    def __repr__(self) -> str:
        return f"ConvertImageDtype(dtype={self.dtype})"


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """(x - mean) / std for each channel of a tensor (..., C, H, W) of floats."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.dtype.is_floating_point:
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.dim() < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). "
            f"Got tensor.size() = {tensor.shape}"
        )
    means = _creation.tensor(mean, dtype=tensor.dtype, device=tensor.device)
    deviations = _creation.tensor(std, dtype=tensor.dtype, device=tensor.device)
    if not bool((deviations != 0).all()):
        raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}.")
    out = tensor if inplace else tensor.clone()
    return out.sub_(means.reshape(-1, 1, 1)).div_(deviations.reshape(-1, 1, 1))


class Normalize:
    """(x - mean) / std for each channel of (..., C, H, W)."""

    streams = 0

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def __call__(self, tensor: Tensor) -> Tensor:
        return normalize(tensor, self.mean, self.std, self.inplace)

    def batch(self, images: Tensor) -> Tensor:
        """The same for (N, C, H, W), or grey images (N, H, W)."""
        return as_batch(self.apply, images)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return self(images)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Lambda:
    """A function as a transform."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"
