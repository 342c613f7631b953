"""The part of TensorFlow that its eager programs use, over gradstone.

    import sys
    from gradstone import tensorflow as tf

    sys.modules.update(tf.aliases())  # `import tensorflow` and `from tensorflow.keras import ...`

A ``tf.Tensor`` is a gradstone tensor that prints, divides and converts as TensorFlow's; a
``tf.Variable`` is a gradstone parameter. Differences that can be seen: dtypes are gradstone's,
operands of different dtypes are promoted rather than refused, ``tf.function`` compiles nothing, and
there are no graphs with sessions.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from gradstone import keras
from gradstone._C import bfloat16, bool, float16, float32, float64, int8, int16, int32, int64, uint8
from gradstone.config import __version__
from gradstone.keras import initializers, losses, metrics, optimizers
from gradstone.keras._tensor import Tensor, TensorShape, Variable
from gradstone.tensorflow import linalg, math, nn, random
from gradstone.tensorflow._math import *
from gradstone.tensorflow._ops import *
from gradstone.tensorflow._tape import GradientTape
from gradstone.tensorflow.linalg import einsum, matmul, norm, tensordot

half, double = float16, float64
newaxis = None


def executing_eagerly() -> Any:
    """True: there are no graphs."""
    return True


def aliases() -> dict[str, ModuleType]:
    """Modules by the names that TensorFlow programs import them under, for ``sys.modules``:
    ``tensorflow``, ``tensorflow.keras``, ``tensorflow.keras.layers``, ``keras``..."""
    found: dict[str, ModuleType] = {}
    for name, module in list(sys.modules.items()):
        for start, names in (
            ("gradstone.tensorflow", ("tensorflow",)),
            ("gradstone.keras", ("tensorflow.keras", "keras")),
        ):
            rest = name.removeprefix(start)
            if name.startswith(start) and (not rest or rest[0] == ".") and "._" not in rest:
                found |= {public + rest: module for public in names}
    return found


def __getattr__(name: str) -> Any:
    text = f"module 'gradstone.tensorflow' has no attribute {name!r}"
    if name in ("placeholder", "Session", "global_variables_initializer", "random_normal", "train"):
        text += ": graphs with sessions are not offered here, only TensorFlow's eager operations."
    raise AttributeError(text)
