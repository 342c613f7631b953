"""Handwritten digits (LeCun, Cortes and Burges)."""

from __future__ import annotations

from typing import Any

from gradstone.keras.datasets import Split, load


def load_data(path: Any = None) -> tuple[Split, Split]:
    """((x_train, y_train), (x_test, y_test)): uint8 images (N, 28, 28), 60,000 and 10,000, and
    uint8 classes (N).

    `path` may name a folder with the four IDX files. Without it they are looked for in
    $GRADSTONE_DATA/mnist, in $GRADSTONE_DATA and in ~/.gradstone/datasets/mnist, and else
    downloaded to the last.
    """
    return load("mnist", "MNIST", path)
