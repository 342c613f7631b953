"""CIFAR10 and CIFAR100 from the python or the binary version of the official archives."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gradstone.utils.plain_pickle import read_plain_pickle
from gradstone.vision._download import digest_of, fetch
from gradstone.vision._extract import extract
from gradstone.vision.datasets.arrays import ImageArrays, check_pairs

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


class CIFAR10(ImageArrays):
    """Small photographs of ten kinds of things, 32x32 RGB (Krizhevsky, 2009): 50,000 to train on,
    10,000 to test.

    Looks in `root` for torchvision's folder of the python version (cifar-10-batches-py), for the
    binary version's (cifar-10-batches-bin), and for the archive of either, which it unpacks.
    `download` fetches the python version, checks its MD5 and goes on where it was cut off. The
    pickles of the python version are read without running anything in them.

    ``data`` is a uint8 array (N, 32, 32, 3), ``targets`` a list of N labels, as in torchvision.
    """

    base_folder = "cifar-10-batches-py"
    binary_folder = "cifar-10-batches-bin"
    filename = "cifar-10-python.tar.gz"
    binary_filename = "cifar-10-binary.tar.gz"
    urls = [
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "https://cave.cs.toronto.edu/kriz/cifar-10-python.tar.gz",
    ]
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    binary_md5 = "c32a1d4ab5d03f1284b67883e8d87530"

    _train_files = [f"data_batch_{i}" for i in range(1, 6)]
    _test_files = ["test_batch"]
    _label_key = "labels"
    _label_bytes = 1  # at the head of each record of the binary version; the last one counts
    _meta = ("batches.meta", "label_names", "batches.meta.txt")

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
        folder, binary = self._folder()
        read = self._read_binary if binary else self._read_python
        names = self._train_files if train else self._test_files
        parts = [read(folder / name) for name in names]
        planes = np.concatenate([pixels for pixels, _ in parts]).reshape(-1, 3, _SIDE, _SIDE)
        labels = np.concatenate([labels for _, labels in parts])
        check_pairs(type(self).__name__, planes, labels, 4)
        self.classes = self._class_names(folder, binary)
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise RuntimeError(
                f"{folder} is damaged: labels from {labels.min()} to {labels.max()} for "
                f"{len(self.classes)} classes."
            )
        self.data = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        self.targets = labels.tolist()

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Class name to label."""
        return {name: i for i, name in enumerate(self.classes)}

    def _facts(self) -> list[str]:
        return [f"Split: {'Train' if self.train else 'Test'}"]

    # ------------------------------------------------------------------------------- where they are

    def _candidates(self) -> list[tuple[Path, bool]]:
        """Folders that may hold the files, and whether theirs is the binary version."""
        return [(self.root / self.base_folder, False), (self.root / self.binary_folder, True)]

    def _complete(self, folder: Path, binary: bool) -> bool:
        ending = ".bin" if binary else ""
        names = self._train_files + self._test_files
        return all((folder / (name + ending)).is_file() for name in names)

    def _folder(self) -> tuple[Path, bool]:
        for folder, binary in self._candidates():
            if self._complete(folder, binary):
                return folder, binary
        archives = [(self.filename, self.tgz_md5), (self.binary_filename, self.binary_md5)]
        for (name, md5), (folder, binary) in zip(archives, self._candidates()):
            archive = self.root / name
            if archive.is_file():
                self._unpack(archive, md5)
                if self._complete(folder, binary):
                    return folder, binary
        raise RuntimeError(
            f"Dataset not found or corrupted: there is neither {self.base_folder}, "
            f"{self.binary_folder}, {self.filename} nor {self.binary_filename} with all its files "
            f"in {self.root}. You can use download=True to download it"
        )

    def _unpack(self, archive: Path, md5: str) -> None:
        found = digest_of(archive, md5)
        if found != md5:
            raise RuntimeError(
                f"{archive} is damaged: its MD5 is {found}, not {md5}. Delete it and fetch it "
                "again."
            )
        extract(archive, self.root)

    def download(self) -> None:
        """Fetches and unpacks what is not there. RuntimeError when there is no network."""
        if any(self._complete(*candidate) for candidate in self._candidates()):
            return
        archive = self.root / self.filename
        if not archive.is_file():
            self.root.mkdir(parents=True, exist_ok=True)
            fetch(self.urls, archive, self.tgz_md5)
        self._unpack(archive, self.tgz_md5)

    # ------------------------------------------------------------------------------------- reading

    def _read_python(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 3072), red first, then green and blue, and labels (N)."""
        found = read_plain_pickle(path)
        try:
            pixels, labels = found["data"], found[self._label_key]
            if isinstance(labels, np.ndarray):
                labels = labels.tolist()
            if type(labels) is not list or not all(type(label) is int for label in labels):
                raise TypeError
            labels = np.array(labels, np.int64)
        except (KeyError, TypeError, IndexError, OverflowError):
            raise RuntimeError(
                f"{path} is damaged: it holds no data with a list of whole numbers "
                f"{self._label_key!r}."
            ) from None
        fits = isinstance(pixels, np.ndarray) and pixels.ndim == 2 and pixels.shape[1] == _PIXELS
        if not fits or pixels.dtype != np.uint8 or labels.shape != (len(pixels),):
            raise RuntimeError(
                f"{path} is damaged: expected bytes (N, {_PIXELS}) and N labels, got "
                f"{getattr(pixels, 'shape', type(pixels).__name__)} and {labels.shape}."
            )
        return pixels, labels

    def _read_binary(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """The same from records of label bytes and 3072 bytes of pixels."""
        path = path.with_name(path.name + ".bin")
        record = self._label_bytes + _PIXELS
        data = np.fromfile(path, np.uint8)
        if len(data) == 0 or len(data) % record:
            raise RuntimeError(
                f"{path} is damaged: {len(data)} bytes are not whole records of {record}."
            )
        records = data.reshape(-1, record)
        labels = records[:, self._label_bytes - 1].astype(np.int64)
        return records[:, self._label_bytes :], labels

    def _class_names(self, folder: Path, binary: bool) -> list[str]:
        name, key, text = self._meta
        path = folder / (text if binary else name)
        try:
            if binary:
                return path.read_text(encoding="utf-8").split()
            names = read_plain_pickle(path)[key]
            if type(names) is not list or not all(type(name) is str for name in names):
                raise TypeError(f"{key!r} is no list of names")
            return names
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise RuntimeError(f"{path} does not give the names of the classes: {error}") from None


class CIFAR100(CIFAR10):
    """Small photographs of a hundred kinds of things, in CIFAR10's form."""

    base_folder = "cifar-100-python"
    binary_folder = "cifar-100-binary"
    filename = "cifar-100-python.tar.gz"
    binary_filename = "cifar-100-binary.tar.gz"
    urls = [
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "https://cave.cs.toronto.edu/kriz/cifar-100-python.tar.gz",
    ]
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    binary_md5 = "03b5dce01913d631647c71ecec9e9cb8"

    _train_files = ["train"]
    _test_files = ["test"]
    _label_key = "fine_labels"
    _label_bytes = 2  # the superclass, then the class
    _meta = ("meta", "fine_label_names", "fine_label_names.txt")
