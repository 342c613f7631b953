"""Mistakes of the user's, and arguments that are refused by them."""

from __future__ import annotations

import argparse
from collections.abc import Callable


class UserError(Exception):
    """Its text is shown in one line, without a traceback."""


def first_line(error: BaseException) -> str:
    """The kind of an error and what it says, in one line."""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def whole(least: int, most: int) -> Callable[[str], int]:
    """For argparse: a whole number from least to most."""

    def read(text: str) -> int:
        number = int(text) if text.isdecimal() else least - 1
        if number > most:
            raise argparse.ArgumentTypeError(f"expected at most {most}, got {text!r}")
        if number < least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {least}, got {text!r}"
            )
        return number

    return read


positive = whole(1, 10**9)
thread_count = whole(1, 4096)


def seconds(text: str) -> float:
    """For argparse: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return value
