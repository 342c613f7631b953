"""What Keras programs ask of the library beneath, and the names of layers."""

from __future__ import annotations

_names: dict[str, int] = {}


def snake_case(name: str) -> str:
    """ "max_pooling2d" for "MaxPooling2D"."""
    out = ""
    for i, letter in enumerate(name):
        before = name[i - 1] if i else ""
        after = name[i + 1] if i + 1 < len(name) else ""
        if letter.isupper() and i and (before.islower() or (after.islower() and before.isupper())):
            out += "_"
        out += letter.lower()
    return out.lstrip("_")


def unique_name(base: str) -> str:
    """base, base_1, base_2..."""
    count = _names.get(base, 0)
    _names[base] = count + 1
    return base if count == 0 else f"{base}_{count}"


def clear_session(free_memory: bool = True) -> None:
    """Names of layers start from the beginning again."""
    _names.clear()


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
