"""Losses under Keras's names: functions that give one loss for each sample, and classes that reduce
them.

Cross-entropies of probabilities: where these come from the activation ``softmax`` or ``sigmoid``,
the loss is computed from the logits before it, which is exact and has no overflow; other
probabilities are kept within [1e-7, 1 - 1e-7], as Keras does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras._config import Configured, class_of
from gradstone.keras._tensor import from_host, wrap
from gradstone.nn import functional as F

EPSILON = 1e-7
_MEAN = "sum_over_batch_size"  # the usual reduction

LossFunction = Callable[..., Any]

# --------------------------------------------------------------------------------------- arguments


def tensor_of(value: Any) -> Tensor:
    """Arrays and numbers as a tensor; float64 becomes float32."""
    t = value if isinstance(value, Tensor) else from_host(value)
    return _C._cast(t, _C.float32) if t.dtype == _C.float64 else t


def as_pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Target and output as tensors of one rank: a last dimension of size 1 that only one of them
    has is added or taken away. The target in the output's dtype."""
    true, pred = tensor_of(y_true), tensor_of(y_pred)
    if true.dim() == pred.dim() - 1 and pred.size(-1) == 1:
        true = true.unsqueeze(-1)
    elif true.dim() == pred.dim() + 1 and true.size(-1) == 1:
        true = true.squeeze(-1)
    return true if true.dtype == pred.dtype else _C._cast(true, pred.dtype), pred


def weight_for(values: Tensor, weight: Any) -> Tensor:
    """The weights of samples in the shape of their values: a last dimension of size 1 too many is
    taken away, missing dimensions are added behind."""
    w = _C._cast(tensor_of(weight), values.dtype)
    if w.dim() == values.dim() + 1 and w.size(-1) == 1:
        w = w.squeeze(-1)
    w = w.reshape(*w.shape, *[1] * (values.dim() - w.dim()))
    return _C.broadcast_to(w, tuple(values.shape))


# --------------------------------------------------------------------------------------- functions


def _same_shape(true: Tensor, pred: Tensor) -> None:
    if tuple(true.shape) != tuple(pred.shape):
        raise ValueError(
            f"Arguments `target` and `output` must have the same shape. Received: "
            f"target.shape={tuple(true.shape)}, output.shape={tuple(pred.shape)}"
        )


def _mean(values: Tensor) -> Tensor:
    return values if values.dim() == 0 else values.mean(-1)


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of (true - pred)^2 over the last dimension."""
    true, pred = as_pair(y_true, y_pred)
    return _mean(_C.square(pred - true))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of |true - pred| over the last dimension."""
    true, pred = as_pair(y_true, y_pred)
    return _mean((pred - true).abs())


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """100 * mean of |true - pred| / max(|true|, 1e-7)."""
    true, pred = as_pair(y_true, y_pred)
    return 100.0 * _mean(((true - pred) / true.abs().clamp(min=EPSILON)).abs())


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of (log(true + 1) - log(pred + 1))^2, both at least 1e-7."""
    true, pred = as_pair(y_true, y_pred)
    logs = [_C.log(t.clamp(min=EPSILON) + 1.0) for t in (true, pred)]
    return _mean(_C.square(logs[0] - logs[1]))


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Half the square below delta, linear above."""
    true, pred = as_pair(y_true, y_pred)
    return _mean(_C.huber_loss(pred, true, "none", delta))


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of log(cosh(pred - true))."""
    true, pred = as_pair(y_true, y_pred)
    x = pred - true
    return _mean(x + F.softplus(x * -2.0) - math.log(2.0))


def _signs(true: Tensor) -> Tensor:
    """Labels 0 and 1 become -1 and 1."""
    binary = bool(((true == 0) | (true == 1)).all())
    return 2.0 * true - 1.0 if binary else true


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of max(1 - true * pred, 0); labels -1 and 1, or 0 and 1."""
    true, pred = as_pair(y_true, y_pred)
    return _mean(_C.relu(1.0 - _signs(true) * pred))


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of max(1 - true * pred, 0)^2."""
    true, pred = as_pair(y_true, y_pred)
    return _mean(_C.square(_C.relu(1.0 - _signs(true) * pred)))


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Sum of true * log(true / pred), both within [1e-7, 1]."""
    true, pred = (t.clamp(EPSILON, 1.0) for t in as_pair(y_true, y_pred))
    return (true * _C.log(true / pred)).sum(-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of pred - true * log(pred)."""
    true, pred = as_pair(y_true, y_pred)
    return _mean(pred - true * _C.log(pred + EPSILON))


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between the two."""
    true, pred = as_pair(y_true, y_pred)
    return -(F.normalize(true, dim=axis) * F.normalize(pred, dim=axis)).sum(axis)


def _logits_of(y_pred: Any, from_logits: bool) -> Tensor | None:
    """The logits behind the output, where they are known."""
    return tensor_of(y_pred) if from_logits else getattr(y_pred, "_keras_logits", None)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum of true * log(pred): one-hot (or other) probabilities of C classes along `axis`, for
    both."""
    logits = _logits_of(y_pred, from_logits)
    pred = logits if logits is not None else tensor_of(y_pred)
    true = _C._cast(tensor_of(y_true), pred.dtype)
    _same_shape(true, pred)
    if pred.size(axis) == 1:
        raise ValueError(
            "categorical_crossentropy of a single class is always 0: use binary_crossentropy, got "
            f"y_pred.shape={tuple(pred.shape)}."
        )
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + label_smoothing / pred.size(axis)
    if logits is not None:
        return -(true * F.log_softmax(pred, axis)).sum(axis)
    pred = (pred / pred.sum(axis, True)).clamp(EPSILON, 1.0 - EPSILON)
    return -(true * _C.log(pred)).sum(axis)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """-log of the probability (..., C) of the class (...), a whole number. Classes equal to
    `ignore_class` count 0."""
    logits = _logits_of(y_pred, from_logits)
    if logits is None:
        logits = _C.log(tensor_of(y_pred).clamp(EPSILON, 1.0 - EPSILON))
    if axis not in (-1, logits.dim() - 1):
        logits = logits.movedim(axis, -1)
    true = tensor_of(y_true)
    if true.dim() == logits.dim() and true.size(-1) == 1:
        true = true.squeeze(-1)
    true = _C._cast(true, _C.int64)
    if tuple(true.shape) != tuple(logits.shape[:-1]):
        raise ValueError(
            "Argument `target` and `output` must have the same shape up until the last dimension: "
            f"target.shape={tuple(true.shape)}, output.shape={tuple(logits.shape)}"
        )
    classes = logits.size(-1)
    ignored = -100 if ignore_class is None else ignore_class
    each = _C.cross_entropy(logits.reshape(-1, classes), true.reshape(-1), None, ignored, "none")
    each = each.reshape(tuple(true.shape))
    if ignore_class is not None:
        each._keras_mask = true != ignore_class  # type: ignore[attr-defined]
    return each


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Mean over `axis` of -(true * log(pred) + (1 - true) * log(1 - pred))."""
    logits = _logits_of(y_pred, from_logits)
    true, pred = as_pair(y_true, y_pred if logits is None else logits)
    _same_shape(true, pred)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if logits is not None:
        each = _C._bce_with_logits(pred, true, None, None, "none")
    else:
        each = _C._bce_loss(pred.clamp(EPSILON, 1.0 - EPSILON), true, None, "none")
    return each if each.dim() == 0 else each.mean(axis)


# ----------------------------------------------------------------------------------------- classes


class Loss(Configured):
    """``loss(y_true, y_pred, sample_weight)``: the losses of the samples, weighted, reduced:
    "sum_over_batch_size" (the sum divided by how many there are), "sum" or None."""

    def __init__(
        self, name: str | None = None, reduction: str | None = _MEAN, dtype: Any = None
    ) -> None:
        if reduction not in (_MEAN, "sum", "mean", "none", None, "auto"):
            raise ValueError(
                "Invalid value for argument `reduction`. Expected one of {'sum_over_batch_size', "
                f"'sum', 'mean', 'none', None}}. Received: reduction={reduction}"
            )
        self.name, self.reduction = name or type(self).__name__, reduction

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss for each sample."""
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        value = self._reduced(y_true, y_pred, sample_weight)
        return value if type(y_pred) is Tensor else wrap(value)

    def _reduced(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        each = self.call(y_true, y_pred)
        count: Any = max(1, each.numel())
        # What a mask leaves out counts neither in the sum nor in what it is divided by.
        for mask in (getattr(y_pred, "_keras_mask", None), getattr(each, "_keras_mask", None)):
            if mask is not None:
                kept = weight_for(each, mask)
                each, count = each * kept, kept.sum().clamp(min=EPSILON)
        if sample_weight is not None:
            each = each * weight_for(each, sample_weight)
        if self.reduction in ("none", None):
            return each
        total = each.sum() if each.dim() else each
        return total if self.reduction == "sum" else total / count


class LossFunctionWrapper(Loss):
    """A function of (y_true, y_pred) as a loss; `options` are passed on to it."""

    def __init__(
        self,
        fn: LossFunction,
        reduction: str | None = _MEAN,
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction)
        self.fn, self.options = fn, options

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self.options)


def _loss(class_name: str, fn: LossFunction, **options: Any) -> Any:
    """The class of a loss: the function's options, then how it is reduced and called."""
    common = {"reduction": _MEAN, "name": fn.__name__, "dtype": None}
    return class_of(fn, LossFunctionWrapper, class_name, options | common | options)


MeanSquaredError = _loss("MeanSquaredError", mean_squared_error)
MeanAbsoluteError = _loss("MeanAbsoluteError", mean_absolute_error)
MeanAbsolutePercentageError = _loss("MeanAbsolutePercentageError", mean_absolute_percentage_error)
MeanSquaredLogarithmicError = _loss("MeanSquaredLogarithmicError", mean_squared_logarithmic_error)
Huber = _loss("Huber", huber, delta=1.0, reduction=_MEAN, name="huber_loss")
LogCosh = _loss("LogCosh", log_cosh)
Hinge = _loss("Hinge", hinge)
SquaredHinge = _loss("SquaredHinge", squared_hinge)
KLDivergence = _loss("KLDivergence", kl_divergence)
Poisson = _loss("Poisson", poisson)
CosineSimilarity = _loss("CosineSimilarity", cosine_similarity, axis=-1)
CategoricalCrossentropy = _loss(
    "CategoricalCrossentropy",
    categorical_crossentropy,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
)
SparseCategoricalCrossentropy = _loss(
    "SparseCategoricalCrossentropy",
    sparse_categorical_crossentropy,
    from_logits=False,
    ignore_class=None,
    reduction=_MEAN,  # before the axis, as Keras has it
    axis=-1,
)
BinaryCrossentropy = _loss(
    "BinaryCrossentropy", binary_crossentropy, from_logits=False, label_smoothing=0.0, axis=-1
)

# ------------------------------------------------------------------------------------------- names

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error

FUNCTIONS: dict[str, LossFunction] = {}
NAMES: dict[str, Any] = {}
for _fn, _class, _short in (
    (mean_squared_error, MeanSquaredError, "mse MSE"),
    (mean_absolute_error, MeanAbsoluteError, "mae MAE"),
    (mean_absolute_percentage_error, MeanAbsolutePercentageError, "mape MAPE"),
    (mean_squared_logarithmic_error, MeanSquaredLogarithmicError, "msle MSLE"),
    (huber, Huber, ""),
    (log_cosh, LogCosh, "logcosh"),
    (hinge, Hinge, ""),
    (squared_hinge, SquaredHinge, ""),
    (kl_divergence, KLDivergence, "kld KLD"),
    (poisson, Poisson, ""),
    (cosine_similarity, CosineSimilarity, ""),
    (categorical_crossentropy, CategoricalCrossentropy, ""),
    (sparse_categorical_crossentropy, SparseCategoricalCrossentropy, ""),
    (binary_crossentropy, BinaryCrossentropy, "bce BCE"),
):
    FUNCTIONS[_fn.__name__] = _fn
    NAMES |= dict.fromkeys([_fn.__name__, *_short.split()], _fn) | {_class.__name__: _class}


def get(identifier: Any) -> Any:
    """A loss by name, itself when it is callable, None for None. ValueError for other names."""
    found = NAMES.get(identifier) if isinstance(identifier, str) else identifier
    if identifier is not None and not callable(found):
        raise ValueError(f"Could not interpret loss identifier: {identifier}")
    return found() if isinstance(found, type) else found
