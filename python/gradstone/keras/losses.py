"""Losses under Keras's names: functions that give one loss for each sample, and classes that reduce
them.

Cross-entropies of probabilities: where these come from the activation ``softmax`` or ``sigmoid``,
the loss is computed from the logits before it, which is exact and has no overflow; other
probabilities are kept within [1e-7, 1 - 1e-7], as Keras does.
"""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras._config import Configured
from gradstone.keras._loss_functions import (
    EPSILON,
    LossFunction,
    binary_crossentropy,
    categorical_crossentropy,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    tensor_of,
)
from gradstone.keras._tensor import wrap


def _weight_for(each: Tensor, weight: Any) -> Tensor:
    """The weights in the shape of the losses."""
    w = _C._cast(tensor_of(weight), each.dtype)
    if w.dim() == each.dim() + 1 and w.size(-1) == 1:
        w = w.squeeze(-1)
    while w.dim() < each.dim():
        w = w.unsqueeze(-1)
    return _C.broadcast_to(w, tuple(each.shape))


class Loss(Configured):
    """``loss(y_true, y_pred, sample_weight)``: the losses of the samples, weighted, reduced:
    "sum_over_batch_size" (the sum divided by how many there are), "sum" or None."""

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        if reduction not in ("sum_over_batch_size", "sum", "mean", "none", None, "auto"):
            raise ValueError(
                "Invalid value for argument `reduction`. Expected one of {'sum_over_batch_size', "
                "'sum', "
                f"'mean', 'none', None}}. Received: reduction={reduction}"
            )
        self.name = name or type(self).__name__
        self.reduction = reduction

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
                kept = _weight_for(each, mask)
                each, count = each * kept, kept.sum().clamp(min=EPSILON)
        if sample_weight is not None:
            each = each * _weight_for(each, sample_weight)
        if self.reduction in ("none", None):
            return each
        total = each.sum() if each.dim() else each
        return total if self.reduction == "sum" else total / count


class LossFunctionWrapper(Loss):
    """A function of (y_true, y_pred) as a loss."""

    def __init__(
        self,
        fn: LossFunction,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction)
        self.fn, self.options = fn, options

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self.options)


class _Named(LossFunctionWrapper):
    """A function with options that its class names."""

    _function: LossFunction

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        function = type(self)._function
        super().__init__(function, reduction, name or function.__name__)


class MeanSquaredError(_Named):
    """Mean of the squares."""

    _function = staticmethod(mean_squared_error)


class MeanAbsoluteError(_Named):
    """Mean of the absolute values."""

    _function = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(_Named):
    """Mean error in percent."""

    _function = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Named):
    """Mean square of the difference of logarithms."""

    _function = staticmethod(mean_squared_logarithmic_error)


class LogCosh(_Named):
    """Mean of log(cosh(error))."""

    _function = staticmethod(log_cosh)


class Hinge(_Named):
    """Mean of max(1 - true * pred, 0)."""

    _function = staticmethod(hinge)


class SquaredHinge(_Named):
    """Mean of max(1 - true * pred, 0)^2."""

    _function = staticmethod(squared_hinge)


class KLDivergence(_Named):
    """Sum of true * log(true / pred)."""

    _function = staticmethod(kl_divergence)


class Poisson(_Named):
    """Mean of pred - true * log(pred)."""

    _function = staticmethod(poisson)


class Huber(LossFunctionWrapper):
    """Half the square below delta, linear above."""

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
    ) -> None:
        super().__init__(huber, reduction, name, delta=delta)


class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine of the angle."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, axis=axis)


class CategoricalCrossentropy(LossFunctionWrapper):
    """Against probabilities of the classes, such as one-hot rows."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, **options)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Against classes as whole numbers."""

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, **options)


class BinaryCrossentropy(LossFunctionWrapper):
    """Against 0 and 1, or probabilities."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, **options)


mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error

FUNCTIONS: dict[str, LossFunction] = {
    f.__name__: f
    for f in (
        mean_squared_error, mean_absolute_error, mean_absolute_percentage_error,
        mean_squared_logarithmic_error, huber, log_cosh, hinge, squared_hinge, kl_divergence,
        poisson, cosine_similarity, categorical_crossentropy, sparse_categorical_crossentropy,
        binary_crossentropy,
    )
}  # fmt: skip
SHORT = {
    "mse": mse, "MSE": mse, "mae": mae, "MAE": mae, "mape": mape, "MAPE": mape, "msle": msle,
    "MSLE": msle, "bce": binary_crossentropy, "BCE": binary_crossentropy, "kld": kl_divergence,
    "logcosh": log_cosh,
}  # fmt: skip
_CLASSES = {
    cls.__name__: cls
    for cls in (
        MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError,
        MeanSquaredLogarithmicError, LogCosh, Hinge, SquaredHinge, KLDivergence, Poisson, Huber,
        CosineSimilarity, CategoricalCrossentropy, SparseCategoricalCrossentropy,
        BinaryCrossentropy, )
}  # fmt: skip


def get(identifier: Any) -> Any:
    """A loss by name, itself when it is callable, None for None."""
    if identifier is None:
        return None
    if isinstance(identifier, str):
        found = FUNCTIONS.get(identifier) or SHORT.get(identifier) or _CLASSES.get(identifier)
        if found is not None:
            return found() if isinstance(found, type) else found
    elif callable(identifier):
        return identifier() if isinstance(identifier, type) else identifier
    raise ValueError(f"Could not interpret loss identifier: {identifier}")
