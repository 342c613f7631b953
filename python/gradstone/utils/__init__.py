"""Helpers: hooks, data loading, and memory for time (``utils.checkpoint``)."""

from gradstone.utils import data, hooks

__all__ = ["data", "hooks"]
