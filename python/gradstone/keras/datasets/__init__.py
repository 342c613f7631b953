"""Data sets as NumPy arrays, from local files or a download."""

from gradstone.keras.datasets import fashion_mnist, mnist
