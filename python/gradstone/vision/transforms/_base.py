"""What transforms of images have in common: the forms in which an image comes, and batches."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._pil import Reads, as_pil_like, check_mode, is_pil

_VALUES_AT_A_TIME = 1 << 15


def as_tensor(image: Any) -> Tensor:
    """Any image as a tensor (C, H, W) without a change of values."""
    if isinstance(image, Tensor):
        return image
    if not (isinstance(image, np.ndarray) or is_pil(image)):
        raise TypeError(
            "an image is a PIL image, an array (H, W) or (H, W, C), or a tensor (C, H, W); got "
            f"{type(image).__name__}."
        )
    array = np.array(image)
    if is_pil(image) and array.dtype.kind == "u" and array.dtype.itemsize == 2:
        raise TypeError(
            f"tensors do not have the values of a PIL image of mode {image.mode!r}, whole numbers "
            "of 16 bits without a sign: img.convert('I') makes them 32 bits."
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"an image has 2 or 3 dimensions, got shape {array.shape}.")
    return _C.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def as_array(planes: Tensor, flat: bool = False) -> np.ndarray:
    """(C, H, W) as an array (H, W, C); (H, W) when there is one channel and `flat`."""
    out = planes.numpy().transpose(1, 2, 0)
    return np.ascontiguousarray(out[:, :, 0] if flat and out.shape[2] == 1 else out)


def check_fill(fill: Any, dtype: Any) -> None:
    """TypeError for what is no number, nor several; ValueError when one does not fit in a dtype of
    whole numbers."""
    given, name = np.asarray(fill), str(dtype).rpartition(".")[2]
    if given.dtype.kind not in "biuf":
        raise TypeError(f"images are filled with a number or one for each channel, got {fill!r}.")
    if "int" in name:
        least, most = np.iinfo(name).min, np.iinfo(name).max
        if not ((given >= least) & (given <= most)).all():
            raise ValueError(f"images of {name} are filled with {least} to {most}, got {fill!r}.")


def whole_numbers(name: str, given: Any) -> tuple[int, ...]:
    """One whole number or several. TypeError for what is none."""
    try:
        return tuple(map(operator.index, given if isinstance(given, Iterable) else (given,)))
    except TypeError:
        raise TypeError(f"{name} is a whole number or a sequence of them, got {given!r}.") from None


def size_of(size: Any) -> tuple[int, int]:
    """(height, width), of at least one pixel, from a number, a sequence of one number or of two."""
    given = whole_numbers("size", size)
    if len(given) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    if min(given) < 1:
        raise ValueError(f"an image has at least one pixel each way, got size {size}.")
    return (given[0], given[0]) if len(given) == 1 else (given[0], given[1])


def values(images: Tensor) -> np.ndarray:
    """A tensor's values in main memory."""
    return images.detach().cpu().numpy()


def tensor_like(array: np.ndarray, images: Tensor) -> Tensor:
    """An array as a tensor on the device of `images`."""
    out = _C.from_numpy(np.ascontiguousarray(array))
    return out if images.device.type == "cpu" else out.to(images.device)


def few(count: int, size: int) -> Iterator[slice]:
    """`count` images of `size` values each, so many at a time that what is computed of them stays
    in the cache."""
    step = max(1, _VALUES_AT_A_TIME // max(size, 1))
    for start in range(0, count, step):
        yield slice(start, start + step)


def same_form(img: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """What `change` makes of images (N, C, H, W): for a PIL image, an array (H, W) or (H, W, C), or
    a tensor (..., C, H, W) or (H, W), in the form in which it came."""
    if isinstance(img, Tensor):
        if img.dim() < 2:
            raise TypeError(f"Tensor is not a torch image: its shape is {tuple(img.shape)}.")
        if img.dim() == 2:
            return change(img.unsqueeze(0).unsqueeze(0))[0, 0]
        if img.dim() == 3:
            return change(img.unsqueeze(0))[0]
        if img.dim() == 4:
            return change(img)
        out = change(img.reshape(-1, *img.shape[-3:]))
        return out.reshape(*img.shape[:-3], *out.shape[1:])
    planes = as_tensor(img)
    out = change(planes.unsqueeze(0))[0]
    # A channel of its own is kept where the image came with one.
    array = as_array(out, flat=np.ndim(img) == 2 or is_pil(img) or planes.size(0) > 1)
    return as_pil_like(array, img) if is_pil(img) else array


class ImageTransform:
    """A transform of PIL images, arrays (H, W) and (H, W, C), tensors (..., C, H, W).

    A subclass writes `apply`. The result has the form in which the image came; of a tensor with
    more than three dimensions every image is treated by itself, with random numbers of its own.
    """

    # How many random numbers one image uses, whatever comes up.
    streams = 0
    # Whether the images of a batch come out with one shape.
    batches = True
    # What it takes the values of pixels for.
    reads = Reads.NOTHING

    def _check_mode(self, img: Any) -> None:
        """ValueError for a PIL image whose values are not what is read."""
        check_mode(img, type(self).__name__, self.reads)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        """Images (N, C, H, W), with numbers for each."""
        raise NotImplementedError

    def __call__(self, img: Any) -> Any:
        self._check_mode(img)
        many = isinstance(img, Tensor) and img.dim() > 3

        def change(images: Tensor) -> Tensor:
            return self.apply(images, Dice.for_many(images.size(0)) if many else Dice.for_one())

        return same_form(img, change)

    def batch(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W), or grey ones (N, H, W), at once; each with random numbers of its
        own."""
        return as_batch(self.apply, images)


def as_batch(apply: Callable[[Tensor, Dice], Tensor], images: Tensor) -> Tensor:
    """`apply` for images (N, C, H, W) or (N, H, W)."""
    if not isinstance(images, Tensor) or images.dim() not in (3, 4):
        shape = getattr(images, "shape", type(images).__name__)
        raise TypeError(f"a batch is a tensor (N, C, H, W) or (N, H, W), got {shape}.")
    grey = images.dim() == 3
    out = apply(images.unsqueeze(1) if grey else images, Dice.for_many(images.size(0)))
    return out.squeeze(1) if grey else out
