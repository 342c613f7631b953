"""Files sorted into one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradstone.utils.data import Dataset
from gradstone.vision.datasets.arrays import describe
from gradstone.vision.io import eight_bits

IMG_EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
)


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether a file's name ends so, in small or capital letters."""
    given = (extensions,) if isinstance(extensions, str) else tuple(extensions)
    return filename.lower().endswith(tuple(e.lower() for e in given))


def find_classes(directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
    """The folders in `directory`, sorted, and the label of each. FileNotFoundError if none."""
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory: str | os.PathLike[str],
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """(path, label) of the files below each class's folder, in sorted order.

    Exactly one of `extensions` and `is_valid_file` says which files count. FileNotFoundError for
    classes without any, unless `allow_empty`.
    """
    if class_to_idx is None:
        class_to_idx = find_classes(directory)[1]
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("Both extensions and is_valid_file cannot be None or not None at once")
    valid = is_valid_file or (lambda name: has_file_allowed_extension(name, extensions or ()))
    samples, empty = [], []
    for name in sorted(class_to_idx):
        folder = os.path.join(os.path.expanduser(directory), name)
        found = [os.path.join(where, file) for where, files in _walk(folder) for file in files]
        chosen = [(path, class_to_idx[name]) for path in found if valid(path)]
        samples += chosen
        if not chosen:
            empty.append(name)
    if empty and not allow_empty:
        message = f"Found no valid file for the classes {', '.join(empty)}. "
        if extensions is not None:
            named = extensions if isinstance(extensions, str) else ", ".join(extensions)
            message += f"Supported extensions are: {named}"
        raise FileNotFoundError(message)
    return samples


def _walk(folder: str) -> list[tuple[str, list[str]]]:
    """Every folder below, sorted, and its sorted files. Links are followed, but for those that lead
    back to a folder they are in: it would come forty times."""
    found = []
    for where, folders, files in os.walk(folder, followlinks=True):
        real, around = os.path.realpath(where), os.path.realpath(os.path.dirname(where))
        if os.path.islink(where) and os.path.commonpath([real, around]) == real:
            folders.clear()
        else:
            found.append((where, sorted(files)))
    return sorted(found)


def pil_loader(path: str) -> Any:
    """A file as a PIL image, RGB; of 16-bit values the upper 8 bits. ImportError without Pillow,
    RuntimeError that names a file which is no image."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("image files need Pillow: pip install 'gradstone[vision]'") from None
    with open(path, "rb") as file:
        try:
            return eight_bits(Image.open(file)).convert("RGB")
        except Exception as error:  # its decoders say what is wrong in many ways
            raise RuntimeError(f"{path} could not be read as an image: {error}") from None


default_loader = pil_loader


class DatasetFolder(Dataset[tuple[Any, Any]]):
    """Files in root/<class>/..., as torchvision takes them: classes are the sorted folder names,
    their labels 0, 1, 2, ...; items are (loader(path), label), transformed.

    Which files count is said by `extensions` or by `is_valid_file`, not both. FileNotFoundError
    when there is no class folder, or a class without files unless `allow_empty`. ``samples`` is the
    list of (path, label), ``targets`` that of the labels.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: Sequence[str] | str | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        self.root = Path(root).expanduser()
        self.transform = transform
        self.target_transform = target_transform
        self.loader = loader
        endings = None
        if extensions is not None:
            endings = extensions if isinstance(extensions, str) else tuple(extensions)
        self.extensions = endings
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = make_dataset(
            self.root, self.class_to_idx, endings, is_valid_file, allow_empty
        )
        self.targets = [label for _, label in self.samples]

    def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
        """The classes and their labels; a subclass may have others."""
        return find_classes(directory)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, label = self.samples[index]
        item, target = self.loader(path), label
        if self.transform is not None:
            item = self.transform(item)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return item, target

    def __repr__(self) -> str:
        return describe(self, [f"Root location: {self.root}"])


class ImageFolder(DatasetFolder):
    """Image files in root/<class>/...; items are (RGB PIL image, label), transformed. Needs
    Pillow."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(
            root, loader, extensions, transform, target_transform, is_valid_file, allow_empty
        )
        self.imgs = self.samples
