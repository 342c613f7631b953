"""A tar of small images, <split>/<class>/<name>, read into one array of bytes."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradstone.vision._extract import DAMAGE, cause, read_member, safe_name, tar_members
from gradstone.vision.datasets.arrays import ImageArrays
from gradstone.vision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension
from gradstone.vision.io import eight_bits


class ImagesInTar(NamedTuple):
    """What an archive holds: uint8 (N, H, W, 3), int64 (N), and the names of the classes."""

    images: np.ndarray
    targets: np.ndarray
    classes: list[str]


def read_image_tar(
    path: str | os.PathLike[str],
    split: str = "train",
    cache: str | os.PathLike[str] | None = None,
) -> ImagesInTar:
    """The images of one split of a .tar (plain, .gz, .bz2, .xz), in the order of classes and names.

    Members are <split>/<class>/<name> with an image's ending, all of one size; "" as `split` means
    <class>/<name>. Decoded by Pillow to RGB; nothing is unpacked on disk. With `cache`, a folder,
    the images are kept there as <archive>-<split>.npy with a .json beside it and read from there
    while the archive stays as it is. RuntimeError for a damaged archive or image, and when there
    are no images or they differ in size.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"there is no archive {source}.")
    kept = None if cache is None else _Kept(source, split, Path(cache))
    found = None if kept is None else kept.read()
    if found is None:
        found = _decoded(source, split)
        if kept is not None:
            kept.write(found)
    return found


def _decoded(source: Path, split: str) -> ImagesInTar:
    files: list[tuple[str, str, bytes]] = []  # class, name, contents
    inner = tuple(part for part in split.split("/") if part)
    try:
        with tarfile.open(source, "r:*") as tar:
            for name, member in tar_members(tar, source):
                *folders, last = safe_name(name, source).parts
                if folders and folders[0] == ".":
                    folders = folders[1:]
                here = len(folders) == len(inner) + 1 and tuple(folders[:-1]) == inner
                if here and has_file_allowed_extension(last, IMG_EXTENSIONS):
                    files.append((folders[-1], last, read_member(tar, member, source)))
    except DAMAGE as error:
        raise RuntimeError(f"{source} could not be read: {cause(error)}") from error
    if not files:
        raise RuntimeError(f"{source} holds no images {'/'.join([*inner, '<class>', '<name>'])}.")
    files.sort(key=lambda entry: entry[:2])
    classes = sorted({entry[0] for entry in files})
    number = {name: i for i, name in enumerate(classes)}
    first = _pixels(source, files[0])
    images = np.empty((len(files), *first.shape), np.uint8)
    for i, entry in enumerate(files):
        pixels = _pixels(source, entry)
        if pixels.shape != first.shape:
            raise RuntimeError(
                f"{source}: {entry[0]}/{entry[1]} is {pixels.shape[1]}x{pixels.shape[0]}, the "
                f"first image {first.shape[1]}x{first.shape[0]}; all must have one size."
            )
        images[i] = pixels
    return ImagesInTar(images, np.array([number[entry[0]] for entry in files]), classes)


def _pixels(source: Path, entry: tuple[str, str, bytes]) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("image files need Pillow: pip install 'gradstone[vision]'") from None
    try:
        return np.asarray(eight_bits(Image.open(io.BytesIO(entry[2]))).convert("RGB"))
    except Exception as error:  # its decoders say what is wrong in many ways
        raise RuntimeError(f"{source}: {entry[0]}/{entry[1]} is no image: {error}") from None


class _Kept:
    """The array of an archive's split on disk."""

    def __init__(self, source: Path, split: str, folder: Path) -> None:
        stem = "-".join([source.name.split(".tar")[0], *split.split("/")]).rstrip("-")
        self._array, self._facts = folder / f"{stem}.npy", folder / f"{stem}.json"
        status = source.stat()
        self._archive = {"size": status.st_size, "modified": status.st_mtime_ns}

    def read(self) -> ImagesInTar | None:
        """What was written, or None when there is nothing that belongs to the archive."""
        try:
            facts = json.loads(self._facts.read_text())
            if facts["archive"] != self._archive:
                return None
            images = np.load(self._array, allow_pickle=False)
            targets, classes = np.array(facts["targets"]), list(facts["classes"])
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None
        fits = images.dtype == np.uint8 and images.ndim == 4 and targets.shape == images.shape[:1]
        return ImagesInTar(images, targets, classes) if fits else None

    def write(self, found: ImagesInTar) -> None:
        """The facts last: with them the array counts."""
        self._array.parent.mkdir(parents=True, exist_ok=True)
        self._facts.unlink(missing_ok=True)
        temporary = self._array.with_name(self._array.name + f".{os.getpid()}.part")
        with temporary.open("wb") as file:
            np.save(file, found.images, allow_pickle=False)
        os.replace(temporary, self._array)
        facts = {
            "archive": self._archive,
            "classes": found.classes,
            "targets": found.targets.tolist(),
        }
        temporary.write_text(json.dumps(facts))
        os.replace(temporary, self._facts)


class TarImages(ImageArrays):
    """A split of a tar of small images as a data set, held in memory: read_image_tar says what the
    archive looks like and what `cache` does.

    ``data`` is a uint8 array (N, H, W, 3), ``targets`` a list of N labels, ``classes`` their names.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        split: str = "train",
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(path, transform, target_transform)
        self.split = split
        found = read_image_tar(self.root, split, cache)
        self.data = found.images
        self.targets = found.targets.tolist()
        self.classes = found.classes

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Class name to label."""
        return {name: i for i, name in enumerate(self.classes)}

    def _facts(self) -> list[str]:
        return [f"Split: {self.split}"]
