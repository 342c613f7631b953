"""Transforms of one image: a PIL image, a uint8 array (H, W) or (H, W, C), or a tensor (..., H, W).

``ToTensor`` and what follows it need no Pillow; those that keep an image an image (``Resize``) do.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstone import _C, _creation, _sampling
from gradstone._C import Tensor
from gradstone.nn import functional as F
from gradstone.utils.data import draws


def _is_pil(image: Any) -> bool:
    return type(image).__module__.startswith("PIL.")


def _size(size: Any) -> tuple[int, int]:
    if isinstance(size, numbers.Integral):
        return int(size), int(size)
    given = tuple(int(s) for s in size)
    return (given[0], given[0]) if len(given) == 1 else (given[0], given[1])


def _tensor(image: Any) -> Tensor:
    """Any image as a tensor (C, H, W) without a change of values."""
    if isinstance(image, Tensor):
        return image
    array = np.array(image)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"an image has 2 or 3 dimensions, got shape {array.shape}.")
    return _C.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def takes_any_form(transform: Any) -> bool:
    """Whether a transform treats PIL images, arrays and tensors alike."""
    return type(transform) in (RandomCrop, RandomHorizontalFlip, Pad, CenterCrop)


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "Compose(\n" + "".join(f"    {t}\n" for t in self.transforms) + ")"


class ToTensor:
    """uint8 images (H, W, C) or (H, W) become float32 tensors (C, H, W) in [0, 1]; other arrays
    keep their values."""

    def __call__(self, pic: Any) -> Tensor:
        if isinstance(pic, Tensor):
            raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
        if not (isinstance(pic, np.ndarray) or _is_pil(pic)):
            raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
        return self.batch(_tensor(pic))

    def batch(self, images: Tensor) -> Tensor:
        """The same for uint8 tensors (..., H, W)."""
        if images.dtype == _C.uint8:
            return _C._cast(images, _C.get_default_dtype()).div_(255)
        return images

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """Images become tensors (C, H, W) with the same values."""

    def __call__(self, pic: Any) -> Tensor:
        return _tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ConvertImageDtype:
    """Tensors in another dtype; integers span their range, floats [0, 1]."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __call__(self, image: Tensor) -> Tensor:
        source, target = image.dtype, self.dtype
        if source == target:
            return image
        top = {_C.uint8: 255, _C.int8: 127, _C.int16: 2**15 - 1, _C.int32: 2**31 - 1}
        if source.is_floating_point and target.is_floating_point:
            return _C._cast(image, target)
        if target.is_floating_point:
            return _C._cast(image, target) / top[source]
        if source.is_floating_point:
            return _C._cast(image * (top[target] + 1.0 - 1e-3), target)
        up = (top[target] + 1) // (top[source] + 1)
        if up:
            return _C._cast(image, target) * up
        return _C._cast(image // ((top[source] + 1) // (top[target] + 1)), target)

    batch = __call__

    def __repr__(self) -> str:
        return "ConvertImageDtype()"


class Normalize:
    """(x - mean) / std for each channel of (..., C, H, W)."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def __call__(self, tensor: Tensor) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
        if not tensor.dtype.is_floating_point:
            raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
        if tensor.dim() < 3:
            raise ValueError(
                "Expected tensor to be a tensor image of size (..., C, H, W). "
                f"Got tensor.size() = {tensor.shape}"
            )
        mean = _creation.tensor(self.mean, dtype=tensor.dtype).reshape(-1, 1, 1)
        std = _creation.tensor(self.std, dtype=tensor.dtype).reshape(-1, 1, 1)
        if not bool((std != 0).all()):
            raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}.")
        out = tensor if self.inplace else tensor.clone()
        return out.sub_(mean).div_(std)

    batch = __call__

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


def _sides(padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from a number, (left/right, top/bottom) or four numbers."""
    if isinstance(padding, numbers.Integral):
        p = int(padding)
        return p, p, p, p
    given = tuple(int(p) for p in padding)
    if len(given) == 1:
        return given * 4
    if len(given) == 2:
        return given[0], given[1], given[0], given[1]
    if len(given) == 4:
        return given
    raise ValueError(
        f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(given)} element tuple"
    )


def _array_like(image: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`change` on (C, H, W), with the image in the form in which it came."""
    if isinstance(image, Tensor):
        return change(image)
    out = change(_tensor(image)).numpy().transpose(1, 2, 0)
    flat = np.asarray(image).ndim == 2
    array = np.ascontiguousarray(out[:, :, 0] if flat else out)
    if not _is_pil(image):
        return array
    from PIL import Image

    return Image.fromarray(array)


class Pad:
    """Pads by (left, top, right, bottom), (left/right, top/bottom) or one number, with `fill` or by
    the mode "edge" or "reflect"."""

    def __init__(self, padding: Any, fill: float = 0, padding_mode: str = "constant") -> None:
        modes = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}
        if padding_mode not in modes:
            raise ValueError(f"Padding mode should be one of {list(modes)}, got {padding_mode!r}")
        _sides(padding)
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode
        self._mode = modes[padding_mode]

    def __call__(self, img: Any) -> Any:
        return _array_like(img, self.batch)

    def batch(self, images: Tensor) -> Tensor:
        """The same for tensors (..., H, W)."""
        left, top, right, bottom = _sides(self.padding)
        return F.pad(images, (left, right, top, bottom), self._mode, self.fill)

    def __repr__(self) -> str:
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class Resize:
    """PIL images (and uint8 arrays) in another size; a single number is the length of the shorter
    side. Needs Pillow. Bilinear."""

    def __init__(self, size: Any, interpolation: Any = None) -> None:
        self.size = size
        self.interpolation = interpolation

    def __call__(self, img: Any) -> Any:
        try:
            from PIL import Image
        except ImportError:
            raise ImportError("Resize needs Pillow: pip install Pillow.") from None
        if isinstance(img, Tensor):
            raise TypeError("Resize takes PIL images or uint8 arrays: put it before ToTensor.")
        image = img if _is_pil(img) else Image.fromarray(np.ascontiguousarray(img))
        width, height = image.size
        if isinstance(self.size, numbers.Integral) or len(self.size) == 1:
            side = _size(self.size)[0]
            if width <= height:
                new = (side, int(side * height / width))
            else:
                new = (int(side * width / height), side)
        else:
            new = (int(self.size[1]), int(self.size[0]))
        how = Image.Resampling.BILINEAR if self.interpolation is None else self.interpolation
        out = image.resize(new, how)
        return out if _is_pil(img) else np.array(out)

    def __repr__(self) -> str:
        return f"Resize(size={self.size})"


class CenterCrop:
    """The middle (height, width); images that are smaller are padded with 0 first."""

    def __init__(self, size: Any) -> None:
        self.size = _size(size)

    def __call__(self, img: Any) -> Any:
        return _array_like(img, self.batch)

    def batch(self, images: Tensor) -> Tensor:
        """The same for tensors (..., H, W)."""
        height, width = self.size
        h, w = images.shape[-2:]
        if h < height or w < width:
            left, top = max(width - w, 0) // 2, max(height - h, 0) // 2
            right, bottom = max(width - w + 1, 0) // 2, max(height - h + 1, 0) // 2
            images = F.pad(images, (left, right, top, bottom))
            h, w = images.shape[-2:]
        top, left = int(round((h - height) / 2.0)), int(round((w - width) / 2.0))
        return images[..., top : top + height, left : left + width]

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


def _chance() -> float:
    return _sampling.rand((), generator=draws.current()).item()


class RandomHorizontalFlip:
    """Left and right exchanged with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, img: Any) -> Any:
        if _chance() >= self.p:
            return img
        return _array_like(img, lambda t: _C.flip(t, (-1,)))

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class RandomCrop:
    """A (height, width) window at a random place, after padding when given."""

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = _size(size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def __call__(self, img: Any) -> Any:
        return _array_like(img, self._crop)

    def _crop(self, image: Tensor) -> Tensor:
        if self.padding is not None:
            image = Pad(self.padding, self.fill, self.padding_mode).batch(image)
        height, width = self.size
        if self.pad_if_needed:
            h, w = image.shape[-2:]
            extra = (max(width - w, 0), max(height - h, 0))
            image = Pad(extra, self.fill, self.padding_mode).batch(image)
        h, w = image.shape[-2:]
        if h < height or w < width:
            raise ValueError(
                f"Required crop size {(height, width)} is larger than input image size {(h, w)}"
            )
        generator = draws.current()
        top = int(_sampling.randint(0, h - height + 1, (1,), generator=generator).item())
        left = int(_sampling.randint(0, w - width + 1, (1,), generator=generator).item())
        return image[..., top : top + height, left : left + width]

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"
