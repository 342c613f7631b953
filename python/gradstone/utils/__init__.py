"""Helpers: hooks and data loading."""

from gradstone.utils import data, hooks

__all__ = ["data", "hooks"]
