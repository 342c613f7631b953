"""The rows of elementwise.def, and those of the in-place operations made from them."""

from __future__ import annotations

import numpy as np

from op_specs import binary, unary
from op_specs.spec import FLOATS, Sample, Spec, bad, normal

OUT_OF_PLACE = [*binary.ROWS, *unary.ROWS]


def in_place(row: Spec) -> Spec:
    """`name_` from `name`: the samples whose result fits the first argument."""

    def fits(sample: Sample) -> bool:
        x = sample.args[0]
        if not isinstance(x, np.ndarray) or "rounding_mode" in sample.kwargs:
            return False
        shapes = [a.shape for a in sample.args if isinstance(a, np.ndarray)]
        return np.broadcast_shapes(*shapes) == x.shape

    dtypes = tuple(d for d in row.dtypes if row.out == "same" or d in FLOATS)
    wrong = (
        (bad(ValueError, r"\(1, 3\)|\(3,\)", normal(3), *[normal(2, 3)] * 1),)
        if row.name in ("add", "sub", "mul", "div", "pow", "floor_divide", "remainder")
        else ()
    )
    return Spec(
        row.name + "_",
        row.reference,
        lambda: filter(fits, row.samples()),
        dtypes=dtypes,
        bound=row.bound,
        bound_of=row.bound_of,
        differentiable=row.differentiable,
        inplace=True,
        errors=wrong,
    )


IN_PLACE_NAMES = (
    "add sub mul div pow floor_divide remainder bitwise_and bitwise_or bitwise_xor "
    "bitwise_left_shift bitwise_right_shift neg abs sqrt exp log tanh sigmoid relu clamp lerp "
    "addcmul addcdiv"
).split()
IN_PLACE = [in_place(row) for row in OUT_OF_PLACE if row.name in IN_PLACE_NAMES]

ROWS = [*OUT_OF_PLACE, *IN_PLACE]
