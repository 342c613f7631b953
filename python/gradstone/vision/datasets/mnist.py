"""MNIST, FashionMNIST and KMNIST from IDX files, compressed or not."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gradstone import _C
from gradstone.vision._download import fetch
from gradstone.vision._extract import gunzip
from gradstone.vision.datasets.arrays import ImageArrays, check_pairs

_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, or in one compressed by gzip. RuntimeError when the file is
    damaged."""
    name = Path(path)
    data = name.read_bytes()
    packed = data[:2] == b"\x1f\x8b"

    def content(most: int) -> bytes:
        if not packed:
            return data[:most]
        try:
            return gunzip(data, most)
        except ValueError as error:
            raise RuntimeError(
                f"{name} is damaged: {error}. Delete it and fetch it again."
            ) from None

    head = content(4 + 4 * 255)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_TYPES or head[3] > 32:
        raise RuntimeError(f"{name} is not an IDX file.")
    dtype, start = np.dtype(_IDX_TYPES[head[2]]), 4 + 4 * head[3]
    if len(head) < start:
        raise RuntimeError(f"{name} is truncated: its header is not complete.")
    shape = struct.unpack(f">{head[3]}I", head[4:start])
    wanted = start + math.prod(shape) * dtype.itemsize
    # One byte more shows whether there are more; gzip packs at most 1032 bytes in one.
    found = content(min(wanted + 1, 1032 * len(data)))
    if len(found) != wanted:
        raise RuntimeError(
            f"{name} is damaged: {len(found)} bytes where its header says {wanted} "
            f"for shape {shape}."
        )
    array = np.frombuffer(found, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


class MNIST(ImageArrays):
    """Handwritten digits, 28x28 (LeCun, Cortes and Burges): 60,000 to train on, 10,000 to test.

    Looks for the four IDX files (plain or .gz) in root/<class name>/raw, as torchvision lays them
    out, and in root itself. `download` fetches what is missing, checks it and goes on where it was
    cut off.

    Items are (image, label): a PIL image where Pillow is installed, otherwise a uint8 array (H, W).
    When the transforms up to ToTensor are ours no PIL image is made. ``data`` is uint8 (N, H, W),
    ``targets`` int64 (N), both tensors.
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    # name -> MD5 of the compressed file
    resources = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    classes = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform, target_transform)
        self.train = train
        if download:
            self.download()
        part = "train" if train else "t10k"
        images = read_idx(self._find(f"{part}-images-idx3-ubyte"))
        labels = read_idx(self._find(f"{part}-labels-idx1-ubyte"))
        check_pairs(type(self).__name__, images, labels, 3)
        _check_values(self, images, labels)
        self.data = _C.from_numpy(np.ascontiguousarray(images))
        self.targets = _C.from_numpy(labels.astype(np.int64))

    @property
    def raw_folder(self) -> Path:
        """Where torchvision keeps the files, and where downloads go."""
        return self.root / type(self).__name__ / "raw"

    def _locate(self, name: str) -> Path | None:
        for folder in (self.raw_folder, self.root):
            for candidate in (folder / name, folder / f"{name}.gz"):
                if candidate.is_file():
                    return candidate
        return None

    def _find(self, name: str) -> Path:
        path = self._locate(name)
        if path is None:
            raise RuntimeError(
                f"Dataset not found: there is no {name} (or {name}.gz) in {self.raw_folder} or "
                f"{self.root}. "
                "You can use download=True to download it"
            )
        return path

    def download(self) -> None:
        """Fetches the files that are not there. RuntimeError when there is no network."""
        for name, md5 in self.resources.items():
            if self._locate(name.removesuffix(".gz")) is None:
                self.raw_folder.mkdir(parents=True, exist_ok=True)
                fetch([mirror + name for mirror in self.mirrors], self.raw_folder / name, md5)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Class name to label."""
        return {name: i for i, name in enumerate(self.classes)}

    def _facts(self) -> list[str]:
        return [f"Split: {'Train' if self.train else 'Test'}"]


def _check_values(data: MNIST, images: np.ndarray, labels: np.ndarray) -> None:
    """RuntimeError unless the images are bytes and the labels numbers of classes."""
    if images.dtype != np.uint8 or labels.dtype.kind not in "iu":
        raise RuntimeError(
            f"{type(data).__name__}: expected images and labels of bytes, got {images.dtype} and "
            f"{labels.dtype}."
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(data.classes):
        raise RuntimeError(
            f"{type(data).__name__} is damaged: labels from {labels.min()} to {labels.max()} for "
            f"{len(data.classes)} classes."
        )


class FashionMNIST(MNIST):
    """Clothes in MNIST's form (Xiao, Rasul and Vollgraf, 2017)."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    classes = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """Cursive Japanese characters in MNIST's form (Clanuwat and others, 2018)."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = {
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    }
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
