"""What Keras programs ask of the library beneath."""

from __future__ import annotations

from gradstone.keras._names import clear_names


def clear_session(free_memory: bool = True) -> None:
    """Names of layers start from the beginning again."""
    clear_names()


def backend() -> str:
    """ "gradstone"."""
    return "gradstone"


def epsilon() -> float:
    """What keeps logarithms and quotients finite."""
    return 1e-7


def floatx() -> str:
    """The dtype of weights."""
    return "float32"


def image_data_format() -> str:
    """Images are channels-last."""
    return "channels_last"
