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
from gradstone.tensorflow._arithmetic import abs_ as abs
from gradstone.tensorflow._arithmetic import (
    add,
    add_n,
    argmax,
    argmin,
    argsort,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    cos,
    cosh,
    cumsum,
    divide,
    einsum,
    equal,
    exp,
    floor,
    greater,
    greater_equal,
    less,
    less_equal,
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
    reduce_all,
    reduce_any,
    reduce_logsumexp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_sum,
    sigmoid,
    sign,
    sin,
    sinh,
    sort,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    tensordot,
)
from gradstone.tensorflow._arithmetic import pow_ as pow
from gradstone.tensorflow._arithmetic import round_ as round
from gradstone.tensorflow._ops import (
    boolean_mask,
    broadcast_to,
    cast,
    concat,
    constant,
    convert_to_tensor,
    expand_dims,
    eye,
    fill,
    function,
    gather,
    identity,
    is_tensor,
    linspace,
    one_hot,
    ones,
    ones_like,
    pad,
    rank,
    reshape,
    shape,
    size,
    split,
    squeeze,
    stack,
    stop_gradient,
    tile,
    transpose,
    unstack,
    where,
    zeros,
    zeros_like,
)
from gradstone.tensorflow._ops import print_ as print
from gradstone.tensorflow._ops import range_ as range
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
