"""Saving and loading without running code.

A file is one safetensors file. Its header carries, beside the tensors, the structure as JSON
(nested dicts, lists, tuples, numbers, text, dtypes, devices, with references to tensors) and a
SHA-256 of structure and tensors. Reading builds these few kinds of values and nothing else.
"""

from gradstone.serialization.reading import load
from gradstone.serialization.writing import save

__all__ = ["load", "save"]
