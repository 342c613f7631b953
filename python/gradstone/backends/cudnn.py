"""cuDNN is not used: the switches may be set, and nothing depends on them."""

from __future__ import annotations

enabled = False
benchmark = False
deterministic = True  # as every operation here is
allow_tf32 = False


def is_available() -> bool:
    """False: the kernels are gradstone's own."""
    return False


def version() -> None:
    """None: there is no cuDNN."""
