"""Handwritten digits and clothes, and transforms of images, under torchvision's names."""

from gradstone.vision import datasets, transforms

__all__ = ["datasets", "transforms"]
