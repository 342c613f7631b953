"""Functions that are a few operations each: PyTorch's names, nothing of their own to differentiate.

`METHODS` are those that are methods of a tensor too.
"""

from gradstone._composed.elementwise import (
    acos,
    asin,
    atanh,
    deg2rad,
    frac,
    heaviside,
    hypot,
    log10,
    logaddexp,
    logit,
    rad2deg,
    xlogy,
)
from gradstone._composed.positions import (
    bucketize,
    histc,
    searchsorted,
    tril_indices,
    triu_indices,
)
from gradstone._composed.products import (
    block_diag,
    cartesian_prod,
    cdist,
    dist,
    inner,
    kron,
    tensordot,
    trace,
    vdot,
)
from gradstone._composed.shaping import (
    atleast_1d,
    atleast_2d,
    column_stack,
    diag_embed,
    diff,
    dstack,
    fliplr,
    flipud,
    rot90,
    tile,
)
from gradstone._composed.statistics import (
    aminmax,
    corrcoef,
    cov,
    logspace,
    nanmean,
    nansum,
    quantile,
)

METHODS = (
    "acos aminmax asin atanh corrcoef cov deg2rad diag_embed diff dist fliplr flipud frac "
    "heaviside histc hypot inner kron log10 logaddexp logit nanmean nansum quantile rad2deg rot90 "
    "tile trace vdot xlogy"
).split()

__all__ = [
    "METHODS",
    "acos",
    "aminmax",
    "asin",
    "atanh",
    "atleast_1d",
    "atleast_2d",
    "block_diag",
    "bucketize",
    "cartesian_prod",
    "cdist",
    "column_stack",
    "corrcoef",
    "cov",
    "deg2rad",
    "diag_embed",
    "diff",
    "dist",
    "dstack",
    "fliplr",
    "flipud",
    "frac",
    "heaviside",
    "histc",
    "hypot",
    "inner",
    "kron",
    "log10",
    "logaddexp",
    "logit",
    "logspace",
    "nanmean",
    "nansum",
    "quantile",
    "rad2deg",
    "rot90",
    "searchsorted",
    "tensordot",
    "tile",
    "trace",
    "tril_indices",
    "triu_indices",
    "vdot",
    "xlogy",
]
