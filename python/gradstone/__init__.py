"""gradstone: tensors, gradients and networks on a core written by hand, under PyTorch's names.

``import gradstone as torch`` runs most programs written for PyTorch.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gradstone import _C
from gradstone._C import (
    Generator,
    Size,
    Tensor,
    abs,
    adaptive_avg_pool2d,
    add,
    addcdiv,
    addcmul,
    addmm,
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    argsort,
    as_strided,
    atan,
    atan2,
    autocast_decrement_nesting,
    autocast_increment_nesting,
    avg_pool1d,
    baddbmm,
    batch_norm,
    bfloat16,
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    bmm,
    bool,
    broadcast_to,
    can_cast,
    cat,
    ceil,
    chunk,
    clamp,
    clear_autocast_cache,
    clone,
    conv1d,
    conv2d,
    conv_transpose2d,
    cos,
    cosh,
    count_nonzero,
    cumprod,
    cumsum,
    detach,
    device,
    diagonal,
    div,
    dot,
    dropout,
    dtype,
    empty_cache,
    eq,
    erf,
    exp,
    expm1,
    flatten,
    flip,
    float16,
    float32,
    float64,
    floor,
    floor_divide,
    fmod,
    gather,
    ge,
    get_autocast_dtype,
    group_norm,
    gt,
    index_add,
    index_select,
    int8,
    int16,
    int32,
    int64,
    is_autocast_cache_enabled,
    is_autocast_enabled,
    is_complex,
    is_floating_point,
    is_inference,
    isfinite,
    isinf,
    isnan,
    layer_norm,
    le,
    lerp,
    log,
    log1p,
    log2,
    log_softmax,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    logsumexp,
    lt,
    masked_fill,
    masked_select,
    matmul,
    max_pool1d,
    maximum,
    mean,
    memory_stats,
    minimum,
    mm,
    movedim,
    mul,
    mv,
    narrow,
    ne,
    neg,
    norm,
    numel,
    outer,
    permute,
    pow,
    prod,
    promote_types,
    reciprocal,
    relu,
    relu_,
    remainder,
    reset_peak_memory,
    reshape,
    roll,
    round,
    rsqrt,
    scatter,
    scatter_add,
    select,
    set_autocast_cache_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
    set_memory_limit,
    sigmoid,
    sign,
    sin,
    sinh,
    softmax,
    sort,
    sqrt,
    square,
    squeeze,
    stack,
    sub,
    sum,
    t,
    take_along_dim,
    tan,
    tanh,
    topk,
    transpose,
    tril,
    triu,
    trunc,
    uint8,
    unbind,
    unflatten,
    unsqueeze,
)
from gradstone._creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    get_default_dtype,
    linspace,
    ones,
    ones_like,
    scalar_tensor,
    set_default_dtype,
    tensor,
    zeros,
    zeros_like,
)
from gradstone._functions import (
    allclose,
    argwhere,
    bincount,
    broadcast_tensors,
    clamp_max,
    clamp_min,
    concat,
    diag,
    einsum,
    equal,
    hstack,
    is_tensor,
    isclose,
    max,
    median,
    meshgrid,
    min,
    nan_to_num,
    nonzero,
    ravel,
    repeat_interleave,
    rsub,
    split,
    std,
    std_mean,
    unique,
    var,
    var_mean,
    vstack,
    where,
)
from gradstone._in_place import index_put
from gradstone._interchange import from_dlpack
from gradstone._limits import finfo, iinfo
from gradstone._printing import set_printoptions
from gradstone._sampling import (
    bernoulli,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from gradstone._tensor_queries import get_device, is_nonzero, is_same_size
from gradstone._tensor_types import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from gradstone.config import (
    __version__,
    are_deterministic_algorithms_enabled,
    get_float32_matmul_precision,
    get_num_threads,
    set_float32_matmul_precision,
    set_num_threads,
    show_config,
    use_deterministic_algorithms,
)
from gradstone.random import (
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

from gradstone import _tensor  # isort: skip  (attaches methods)
from gradstone import autograd, cuda, random  # isort: skip
from gradstone.autograd import (  # isort: skip
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from gradstone import amp, nn, optim, utils  # isort: skip
from gradstone.nn.functional import (  # isort: skip
    adaptive_avg_pool1d,
    bilinear,
    cosine_similarity,
    max_pool2d,
    prelu,
)
from gradstone.amp import autocast  # isort: skip

# PyTorch's other names.
float = float32
double = float64
half = float16
long = int64
int = int32
short = int16
absolute = abs
clip = clamp
concatenate = concat
divide = true_divide = div
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
moveaxis = movedim
multiply = mul
negative = neg
subtract = sub
swapaxes = swapdims = transpose
arctan, arctan2 = atan, atan2
fix, ger, newaxis = trunc, outer, None
sgn, vdot, asarray = sign, dot, as_tensor
is_inference_mode_enabled = _C.is_inference_mode

inf = 1e400
nan = inf - inf
pi = 3.141592653589793
e = 2.718281828459045

# Accepted where PyTorch takes a memory format; tensors here are laid out as they are made.
contiguous_format = "contiguous_format"
preserve_format = "preserve_format"

if TYPE_CHECKING:
    from gradstone import (
        accelerator,
        audio,
        backends,
        distributions,
        graph_picture,
        keras,
        linalg,
        model_summary,
        models,
        serialization,
        tensorflow,
        testing,
        text,
        training,
        vision,
    )
    from gradstone._composed import (
        acos,
        addmv,
        aminmax,
        arccos,
        arcsin,
        arctanh,
        asin,
        atanh,
        atleast_1d,
        atleast_2d,
        atleast_3d,
        block_diag,
        broadcast_shapes,
        bucketize,
        cartesian_prod,
        cdist,
        column_stack,
        corrcoef,
        cov,
        deg2rad,
        diag_embed,
        diff,
        dist,
        dstack,
        exp2,
        fliplr,
        flipud,
        fmax,
        fmin,
        frac,
        heaviside,
        histc,
        hypot,
        inner,
        isin,
        kron,
        kthvalue,
        log10,
        logaddexp,
        logit,
        logspace,
        nanmean,
        nansum,
        positive,
        quantile,
        rad2deg,
        result_type,
        rot90,
        searchsorted,
        take,
        tensor_split,
        tensordot,
        tile,
        trace,
        tril_indices,
        triu_indices,
        xlogy,
    )
    from gradstone.model_summary import summary
    from gradstone.serialization import load, save

# Imported when first used: they need modules that take longer to import than all of the above.
_LAZY_MODULES = (
    "accelerator",
    "audio",
    "backends",
    "distributions",
    "graph_picture",
    "keras",
    "linalg",
    "model_summary",
    "models",
    "serialization",
    "tensorflow",
    "testing",
    "text",
    "training",
    "vision",
)
_LAZY_FUNCTIONS = {"load": "serialization", "save": "serialization", "summary": "model_summary"}
_COMPOSED = (
    "acos addmv aminmax arccos arcsin arctanh asin atanh atleast_1d atleast_2d atleast_3d "
    "block_diag broadcast_shapes bucketize cartesian_prod cdist column_stack corrcoef cov deg2rad "
    "diag_embed diff dist dstack exp2 fliplr flipud fmax fmin frac heaviside histc hypot inner "
    "isin kron kthvalue log10 logaddexp logit logspace nanmean nansum positive quantile rad2deg "
    "result_type rot90 searchsorted take tensor_split tensordot tile trace tril_indices "
    "triu_indices xlogy"
).split()
_LAZY_FUNCTIONS |= dict.fromkeys(_COMPOSED, "_composed")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY_MODULES:
        return import_module(f"gradstone.{name}")
    if name in _LAZY_FUNCTIONS:
        value = getattr(import_module(f"gradstone.{_LAZY_FUNCTIONS[name]}"), name)
        globals()[name] = value
        return value
    message = f"module 'gradstone' has no attribute {name!r}"
    raise AttributeError(message, name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_MODULES, *_LAZY_FUNCTIONS})
