"""MNIST-like data sets as NumPy arrays, from local files or a download."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

Split = tuple[np.ndarray, np.ndarray]


def load(name: str, class_name: str, path: Any) -> tuple[Split, Split]:
    """((x_train, y_train), (x_test, y_test)).

    The four IDX files (plain or .gz) are looked for in `path` when it is a folder; in
    $GRADSTONE_DATA/name and $GRADSTONE_DATA; in ~/.gradstone/datasets/name. Where they are in none,
    they are downloaded to the last, checked by MD5. RuntimeError without a network.
    """
    from pathlib import Path

    from gradstone.vision import datasets

    kind = getattr(datasets, class_name)
    home = Path("~/.gradstone/datasets").expanduser() / name
    folders = []
    if path is not None and path != f"{name}.npz":
        given = Path(path).expanduser()
        if given.is_absolute() or given.is_dir():
            folders.append(given)
            if not given.is_dir():
                raise RuntimeError(f"{name}.load_data: there is no folder {given}.")
    root = os.environ.get("GRADSTONE_DATA")
    if root:
        folders += [Path(root) / name, Path(root)]
    for folder in folders:
        if _is_complete(folder, class_name):
            return _read(kind, folder)
    if path is not None and folders and folders[0] == Path(path).expanduser():
        raise RuntimeError(
            f"{name}.load_data: {folders[0]} does not hold the four files of {class_name}."
        )
    return _read(kind, home, download=not _is_complete(home, class_name))


def _is_complete(folder: Path, class_name: str) -> bool:
    files = [
        f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
    ]
    return all(
        any(
            (place / f"{file}-ubyte{end}").is_file()
            for place in (folder, folder / class_name / "raw")
            for end in ("", ".gz")
        )
        for file in files
    )


def _read(kind: Any, folder: Path, download: bool = False) -> tuple[Split, Split]:
    parts = [kind(folder, train=train, download=download) for train in (True, False)]
    first, second = ((p.data.numpy(), p.targets.numpy().astype(np.uint8)) for p in parts)
    return first, second


from gradstone.keras.datasets import fashion_mnist, mnist  # noqa: E402  they take load from here
