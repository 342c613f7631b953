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
from gradstone._C import (
    bfloat16,
    bool,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from gradstone.config import __version__
from gradstone.keras._tensor import Tensor, TensorShape, Variable
from gradstone.tensorflow import linalg, math, nn, random
from gradstone.tensorflow._ops import abs_ as abs
from gradstone.tensorflow._ops import (
    add,
    add_n,
    argmax,
    argmin,
    argsort,
    boolean_mask,
    broadcast_to,
    cast,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    concat,
    constant,
    convert_to_tensor,
    cos,
    cosh,
    cumsum,
    divide,
    einsum,
    equal,
    exp,
    expand_dims,
    eye,
    fill,
    floor,
    function,
    gather,
    greater,
    greater_equal,
    identity,
    is_tensor,
    less,
    less_equal,
    linspace,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    maximum,
    minimum,
    multiply,
    negative,
    norm,
    not_equal,
    one_hot,
    ones,
    ones_like,
    pad,
    rank,
    reduce_all,
    reduce_any,
    reduce_logsumexp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_sum,
    reshape,
    shape,
    sigmoid,
    sign,
    sin,
    sinh,
    size,
    sort,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    stop_gradient,
    subtract,
    tan,
    tanh,
    tensordot,
    tile,
    transpose,
    unstack,
    where,
    zeros,
    zeros_like,
)
from gradstone.tensorflow._ops import pow_ as pow
from gradstone.tensorflow._ops import print_ as print
from gradstone.tensorflow._ops import range_ as range
from gradstone.tensorflow._ops import round_ as round
from gradstone.tensorflow._tape import GradientTape

half, double = float16, float64
newaxis = None
initializers, losses, metrics, optimizers = (
    keras.initializers,
    keras.losses,
    keras.metrics,
    keras.optimizers,
)


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
    if name in ("placeholder", "Session", "global_variables_initializer", "random_normal", "train"):
        raise AttributeError(
            f"module 'gradstone.tensorflow' has no attribute {name!r}: graphs with sessions are "
            "not "
            "offered here, only TensorFlow's eager operations."
        )
    raise AttributeError(f"module 'gradstone.tensorflow' has no attribute {name!r}")
