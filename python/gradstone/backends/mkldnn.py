"""Intel's library is not used: the switch may be set, and nothing depends on it."""

from __future__ import annotations

enabled = False


def is_available() -> bool:
    """False: the kernels are gradstone's own."""
    return False
