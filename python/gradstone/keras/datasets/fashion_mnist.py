"""Clothes in MNIST's form (Xiao, Rasul and Vollgraf, 2017)."""

from __future__ import annotations

from typing import Any

from gradstone.keras.datasets import Split, load


def load_data(path: Any = None) -> tuple[Split, Split]:
    """As :func:`gradstone.keras.datasets.mnist.load_data`, from folders named fashion_mnist."""
    return load("fashion_mnist", "FashionMNIST", path)
