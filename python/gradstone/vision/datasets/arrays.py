"""Data sets whose images lie in one array of bytes: items, and whole batches at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.utils.data import Dataset
from gradstone.vision import transforms as T
from gradstone.vision._batch import Planner, flat


def picture(array: np.ndarray) -> Any:
    """A uint8 array (H, W) or (H, W, C) as a PIL image where Pillow is installed, else as it is."""
    try:
        from PIL import Image
    except ImportError:
        return array
    return Image.fromarray(array)


def takes_arrays(transform: Any) -> bool:
    """Whether a transform does with a uint8 array what it does with a PIL image, and leaves no
    image behind: then none need be made."""
    for step in flat(transform):
        if type(step) in (T.ToTensor, T.PILToTensor):
            return True
        if not T.takes_any_form(step):
            return False
    return False


class ImageArrays(Dataset[tuple[Any, Any]]):
    """Images in ``data``, uint8, (N, H, W) or (N, H, W, C), tensor or array, with labels in
    ``targets``, a tensor or list of N whole numbers.

    Items are (image, label): a PIL image where Pillow is installed, otherwise a uint8 array (H, W)
    or (H, W, C). When the transforms up to ToTensor are ours, no PIL image is made, and a loader
    gets whole batches at once. ``data`` and ``targets`` may be replaced or written to.
    """

    data: Any
    targets: Any

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.root = Path(root).expanduser()
        self.transform = transform
        self.target_transform = target_transform
        self._planner = Planner()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        chosen = self.data[index]
        image: Any = chosen.numpy() if isinstance(chosen, Tensor) else chosen
        target: Any = int(self.targets[index])
        if not takes_arrays(self.transform):
            image = picture(image)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def _planes(self) -> Tensor:
        """All images as (N, C, H, W), without a copy."""
        data = self.data if isinstance(self.data, Tensor) else _C.from_numpy(self.data)
        return data.unsqueeze(1) if data.dim() == 3 else data.permute(0, 3, 1, 2)

    def _labels(self, index: Tensor) -> Tensor:
        if isinstance(self.targets, Tensor):
            return _C.index_select(self.targets, 0, index)
        chosen = [int(self.targets[i]) for i in index.tolist()]
        return _C.tensor_from_data(chosen, _C.int64, "cpu")

    def gather(self, index: Tensor) -> list[Any] | None:
        """Images (N, C, H, W) and labels (N) at once, when the transform works on whole batches."""
        return self._gather(index, None)

    def gather_later(self, index: Tensor, fill: _C._Fill) -> list[Any] | None:
        return self._gather(index, fill) if type(self).gather is ImageArrays.gather else None

    def _gather(self, index: Tensor, fill: _C._Fill | None) -> list[Any] | None:
        mine = type(self).__getitem__ is ImageArrays.__getitem__
        if self.target_transform is not None or not mine:
            return None
        planes = self._planes()
        plan = self._planner(self.transform, *planes.shape[1:])
        images = None if plan is None else plan(planes, index, fill)
        return None if images is None else [images, self._labels(index)]

    def _facts(self) -> list[str]:
        """More lines for the representation."""
        return []

    def __repr__(self) -> str:
        return describe(self, [f"Root location: {self.root}", *self._facts()])


def describe(data: Any, facts: list[str]) -> str:
    """What torchvision's data sets print of themselves."""
    lines = [f"Number of datapoints: {len(data)}", *facts]
    if data.transform is not None or data.target_transform is not None:
        lines.append("StandardTransform")
    text = "\n    ".join([f"Dataset {type(data).__name__}", *lines])
    if data.transform is not None:
        text += f"\nTransform: {data.transform!r}"
    if data.target_transform is not None:
        text += f"\nTarget transform: {data.target_transform!r}"
    return text


def check_pairs(name: str, images: np.ndarray, labels: np.ndarray, ndim: int) -> None:
    """RuntimeError unless these are images with one label each."""
    if images.ndim != ndim or labels.ndim != 1 or len(images) != len(labels):
        raise RuntimeError(
            f"{name}: images {images.shape} and labels {labels.shape} do not belong together."
        )
