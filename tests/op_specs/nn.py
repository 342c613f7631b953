"""Networks: the rows of nn.def, one file for each family of csrc/ops."""

from __future__ import annotations

from op_specs import attention, conv, loss, norm, pool, recurrent

ROWS = [
    *conv.ROWS,
    *pool.ROWS,
    *norm.ROWS,
    *loss.ROWS,
    *attention.ROWS,
    *recurrent.ROWS,
]
