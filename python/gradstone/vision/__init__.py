"""Data sets of images, transforms, grids and files, under torchvision's names."""

from gradstone.vision import datasets, io, transforms, utils

__all__ = ["datasets", "io", "transforms", "utils"]
