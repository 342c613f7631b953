"""Metrics under Keras's names. Their sums stay tensors: nothing is read back batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras import initializers, losses
from gradstone.keras._config import Configured, class_of
from gradstone.keras._tensor import Variable, alias, from_host, wrap
from gradstone.keras.backend import snake_case, unique_name
from gradstone.keras.losses import as_pair, tensor_of, weight_for

# --------------------------------------------------------------------------------------- functions


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """Share of the last dimension where (pred > threshold) is true."""
    true, pred = as_pair(y_true, y_pred)
    right = (true == (pred > threshold).to(true.dtype)).float()
    return right if right.dim() == 0 else right.mean(-1)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest of the output is the largest of the target."""
    return (tensor_of(y_true).argmax(-1) == tensor_of(y_pred).argmax(-1)).float()


def _classes(y_true: Any, pred: Tensor) -> Tensor:
    """Classes (...) for outputs (..., C), also where they are given as (..., 1)."""
    true = tensor_of(y_true)
    return (true.squeeze(-1) if true.dim() == pred.dim() and true.size(-1) == 1 else true).long()


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest of the output is the class."""
    pred = tensor_of(y_pred)
    return (_classes(y_true, pred) == pred.argmax(-1)).float()


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the class is among the k largest."""
    pred = tensor_of(y_pred)
    best = _C.topk(pred, min(k, pred.size(-1)))[1]
    return (best == _classes(y_true, pred).unsqueeze(-1)).any(-1).float()


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the target's largest is among the k largest."""
    return sparse_top_k_categorical_accuracy(tensor_of(y_true).argmax(-1), y_pred, k)


def accuracy_for(y_true: Any, y_pred: Any) -> Callable[..., Tensor]:
    """What "accuracy" means for these: binary for one output, otherwise by the largest output,
    against classes or against one-hot rows."""
    true, pred = tensor_of(y_true), tensor_of(y_pred)
    if pred.dim() < 2 or pred.size(-1) == 1:
        return binary_accuracy
    if true.dim() < pred.dim() or true.size(-1) == 1:
        return sparse_categorical_accuracy
    return categorical_accuracy


def _equal(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the output is equal to the target."""
    true, pred = as_pair(y_true, y_pred)
    return (true == pred).float()


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The cosine of the angle between the two."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


# ----------------------------------------------------------------------------------------- classes


class Metric(Configured):
    """``update_state(y_true, y_pred, sample_weight)`` for each batch, then ``result()``."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self._states: dict[str, Any] = {}

    def add_weight(
        self, name: str | None = None, shape: Any = (), initializer: Any = "zeros", **ignored: Any
    ) -> Any:
        """A state: it starts at its initial value again at every epoch."""
        sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        start = initializers.get(initializer)(sizes)
        state = Variable(start, trainable=False, name=name)
        self._states[name or f"state{len(self._states)}"] = (state, start.clone())
        return state

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Takes a batch into account."""
        raise NotImplementedError

    def result(self) -> Any:
        """The value over all batches since the last reset."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Forgets the batches."""
        for state, start in self._states.values():
            state.assign(start)

    reset_states = reset_state

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Sum(Metric):
    """Weighted sum of the values."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name)
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self.total: Any = 0.0
        self.count: Any = 0.0  # the sum of the weights

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        with no_grad():
            values = tensor_of(values).detach().float()
            if isinstance(sample_weight, (int, float)):
                count = values.numel() * sample_weight
                values = values * sample_weight
            elif sample_weight is not None:
                weight = weight_for(values, sample_weight)
                values, count = values * weight, weight.sum()
            else:
                count = values.numel()
            self.total = self.total + (values.sum() if values.dim() else values)
            self.count = self.count + count

    def result(self) -> Any:
        return wrap(alias(from_host(self.total)))


class Mean(Sum):
    """Weighted mean of the values, 0 before there are some."""

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name)

    def result(self) -> Any:
        total = from_host(self.total)
        if not isinstance(self.count, Tensor):
            return wrap(total / max(self.count, 1e-30))
        return wrap(_C._where(self.count == 0, 0.0, total / self.count))


class MeanMetricWrapper(Mean):
    """Mean of a function of (y_true, y_pred); `options` are passed on to it."""

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **options: Any
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", "metric"))
        self._fn, self._options = fn, options

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        with no_grad():
            super().update_state(self._fn(y_true, y_pred, **self._options), sample_weight)


def _mean_of(class_name: str, fn: Callable[..., Any], **options: Any) -> Any:
    """The class of a metric that averages `fn`, which takes these options after the name, unless
    the name is among them."""
    common = {"name": snake_case(class_name), "dtype": None}
    arguments = options if "name" in options else common | options
    return class_of(fn, MeanMetricWrapper, class_name, arguments)


Accuracy = _mean_of("Accuracy", _equal)
BinaryAccuracy = _mean_of("BinaryAccuracy", binary_accuracy, threshold=0.5)
CategoricalAccuracy = _mean_of("CategoricalAccuracy", categorical_accuracy)
SparseCategoricalAccuracy = _mean_of("SparseCategoricalAccuracy", sparse_categorical_accuracy)
TopKCategoricalAccuracy = _mean_of(
    "TopKCategoricalAccuracy",
    top_k_categorical_accuracy,
    k=5,
    name="top_k_categorical_accuracy",
    dtype=None,
)
SparseTopKCategoricalAccuracy = _mean_of(
    "SparseTopKCategoricalAccuracy",
    sparse_top_k_categorical_accuracy,
    k=5,
    name="sparse_top_k_categorical_accuracy",
    dtype=None,
)
MeanSquaredError = _mean_of("MeanSquaredError", losses.mean_squared_error)
MeanAbsoluteError = _mean_of("MeanAbsoluteError", losses.mean_absolute_error)
MeanAbsolutePercentageError = _mean_of(
    "MeanAbsolutePercentageError", losses.mean_absolute_percentage_error
)
MeanSquaredLogarithmicError = _mean_of(
    "MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error
)
CosineSimilarity = _mean_of("CosineSimilarity", _cosine, axis=-1)
BinaryCrossentropy = _mean_of(
    "BinaryCrossentropy", losses.binary_crossentropy, from_logits=False, label_smoothing=0.0
)
CategoricalCrossentropy = _mean_of(
    "CategoricalCrossentropy",
    losses.categorical_crossentropy,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
)
SparseCategoricalCrossentropy = _mean_of(
    "SparseCategoricalCrossentropy",
    losses.sparse_categorical_crossentropy,
    from_logits=False,
    ignore_class=None,
    axis=-1,
)


class RootMeanSquaredError(MeanMetricWrapper):
    """Root of the mean of the squares."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name)

    def result(self) -> Any:
        return wrap(_C.sqrt(super().result()))


class Precision(Metric):
    """Of those whose output is above the threshold (0.5), the share whose label is 1."""

    def __init__(
        self,
        thresholds: float | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name)
        if thresholds is not None and not isinstance(thresholds, (int, float)):
            raise ValueError(f"{type(self).__name__}: one threshold is offered, got {thresholds}.")
        self.threshold = 0.5 if thresholds is None else thresholds
        self.class_id = class_id
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self.true_positives: Any = 0.0
        self.counted: Any = 0.0

    def _counted(self, true: Tensor, guess: Tensor) -> Tensor:
        """What the true positives are a share of."""
        return guess

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        with no_grad():
            true, pred = as_pair(y_true, y_pred)
            if self.class_id is not None:
                true, pred = true[..., self.class_id], pred[..., self.class_id]
            true, guess = true.float(), (pred > self.threshold).float()
            weight: Any = 1.0 if sample_weight is None else weight_for(true, sample_weight)
            self.true_positives = self.true_positives + (true * guess * weight).sum()
            self.counted = self.counted + (self._counted(true, guess) * weight).sum()

    def result(self) -> Any:
        if not isinstance(self.counted, Tensor):
            return wrap(from_host(0.0))
        return wrap(_C._where(self.counted > 0, self.true_positives / self.counted, 0.0))


class Recall(Precision):
    """Of those whose label is 1, the share whose output is above the threshold (0.5)."""

    def _counted(self, true: Tensor, guess: Tensor) -> Tensor:
        return true


class AUC(Metric):
    """Area under the receiver's curve (true over false positives), by the trapezoidal rule over
    `num_thresholds` thresholds."""

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        from_logits: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name)
        if curve != "ROC":
            raise ValueError(f"AUC: only curve='ROC' is offered, got {curve!r}.")
        self.from_logits = from_logits
        inner = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        self._thresholds = from_host(np.r_[-1e-7, inner, 1 + 1e-7].astype(np.float32))
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self._above: Any = 0.0  # positives and negatives above each threshold
        self._all: Any = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        with no_grad():
            true, pred = (t.float() for t in as_pair(y_true, y_pred))
            pred = _C.sigmoid(pred) if self.from_logits else pred
            weight = weight_for(true, 1.0 if sample_weight is None else sample_weight)
            true, pred, weight = (t.reshape(-1) for t in (true, pred, weight))
            kinds = _C.stack([true * weight, (1.0 - true) * weight])
            passed = (pred.unsqueeze(1) > self._thresholds.to(pred.device)).float()
            self._above = self._above + _C.matmul(kinds, passed)
            self._all = self._all + kinds.sum(1, True)

    def result(self) -> Any:
        if not isinstance(self._all, Tensor):
            return wrap(from_host(0.0))
        tp, fp = _C.unbind(self._above / self._all.clamp(min=1e-7), 0)
        return wrap(((fp[:-1] - fp[1:]) * (tp[:-1] + tp[1:]) / 2).sum())


# ------------------------------------------------------------------------------------------- names

_CLASSES: tuple[Any, ...] = (
    Mean, Sum, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy,
    TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy, Precision, Recall, AUC,
    RootMeanSquaredError, CosineSimilarity, MeanSquaredError, MeanAbsoluteError,
    MeanAbsolutePercentageError, MeanSquaredLogarithmicError, BinaryCrossentropy,
    CategoricalCrossentropy, SparseCategoricalCrossentropy,
)  # fmt: skip
_NAMES = {c.__name__: c for c in _CLASSES} | {snake_case(c.__name__): c for c in _CLASSES}


def means_accuracy(identifier: Any) -> bool:
    """Whether this is the accuracy whose kind the first batch decides."""
    return isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc")


def get(identifier: Any, y_true: Any = None, y_pred: Any = None) -> Metric:
    """A metric by name, which becomes its name, or from a function; "accuracy" needs targets and
    outputs to know which. ValueError for other names."""
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, Metric):
        return identifier
    if means_accuracy(identifier):
        return MeanMetricWrapper(accuracy_for(y_true, y_pred), identifier)
    if isinstance(identifier, str) and identifier in _NAMES:
        return _NAMES[identifier](name=identifier)
    found = losses.NAMES.get(identifier) if isinstance(identifier, str) else identifier
    if not callable(found) or isinstance(found, type):
        raise ValueError(f"Could not interpret metric identifier: {identifier}")
    return MeanMetricWrapper(found, identifier if isinstance(identifier, str) else None)
