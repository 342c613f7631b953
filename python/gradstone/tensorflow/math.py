"""``tf.math``."""

from __future__ import annotations

from gradstone import _C
from gradstone.tensorflow._math import *  # noqa: F403
from gradstone.tensorflow._math import binary, reduction, unary
from gradstone.tensorflow._ops import named
from gradstone.tensorflow.nn import l2_normalize as l2_normalize
from gradstone.tensorflow.nn import softplus as softplus
from gradstone.tensorflow.nn import top_k as top_k

log = unary(_C.log, "The natural logarithm.")
log1p = unary(_C.log1p, "log(1 + x).")
rsqrt = unary(_C.rsqrt, "One over the root.")
ceil = unary(_C.ceil, "Up to a whole number.")
reciprocal = unary(_C.reciprocal, "1 / x.")
erf = unary(_C.erf, "The error function.")
is_nan = unary(_C.isnan, "Whether it is no number.")
is_finite = unary(_C.isfinite, "Whether it is a number and finite.")

floordiv = binary(_C.floor_divide, "x / y, down to a whole number.")
mod = binary(_C.remainder, "The rest of x / y, with the sign of y.")
atan2 = binary(_C.atan2, "The angle of (y, x).")
squared_difference = binary(lambda x, y: _C.square(x - y), "(x - y)^2.")

reduce_variance = reduction(
    lambda t, axis, keepdims: _C._var(t, axis, 0.0, keepdims),
    "The mean square of the distance from the mean.",
)
reduce_std = reduction(
    lambda t, axis, keepdims: _C.sqrt(_C._var(t, axis, 0.0, keepdims)), "The root of the variance."
)

named(
    globals(),
    """log log1p rsqrt ceil reciprocal erf is_nan is_finite floordiv mod atan2 squared_difference
    reduce_variance reduce_std""".split(),
)
