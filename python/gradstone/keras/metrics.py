"""Metrics under Keras's names. Their sums stay tensors: nothing is read back batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras import losses
from gradstone.keras._config import Configured
from gradstone.keras._loss_functions import as_pair
from gradstone.keras._metric_functions import (
    accuracy_for,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    tensor_of,
    top_k_categorical_accuracy,
)
from gradstone.keras._names import snake_case, unique_name
from gradstone.keras._tensor import from_host, wrap

# ------------------------------------------------------------------------------- values by sample


# ---------------------------------------------------------------------------------------- objects


class Metric(Configured):
    """``update_state(y_true, y_pred, sample_weight)`` for each batch, then ``result()``."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self._states: dict[str, Any] = {}

    def add_weight(
        self, name: str | None = None, shape: Any = (), initializer: Any = "zeros", **ignored: Any
    ) -> Any:
        """A state: it starts at its initial value again at every epoch."""
        from gradstone.keras import initializers
        from gradstone.keras._tensor import Variable

        start = initializers.get(initializer)(
            tuple(shape) if isinstance(shape, (tuple, list)) else ()
        )
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


class Mean(Metric):
    """Weighted mean of the values."""

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name)
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self.total: Any = 0.0
        self.count: Any = 0.0

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        with no_grad():
            values = tensor_of(values).detach().float()
            if isinstance(sample_weight, (int, float)):
                self.total = self.total + values.sum() * sample_weight
                self.count = self.count + values.numel() * sample_weight
                return
            if sample_weight is None:
                self.total = self.total + (values.sum() if values.dim() else values)
                self.count = self.count + values.numel()
                return
            weight = tensor_of(sample_weight).float()
            if weight.dim() == values.dim() + 1 and weight.size(-1) == 1:
                weight = weight.squeeze(-1)
            while weight.dim() < values.dim():
                weight = weight.unsqueeze(-1)
            weight = _C.broadcast_to(weight, tuple(values.shape))
            self.total = self.total + (values * weight).sum()
            self.count = self.count + weight.sum()

    def result(self) -> Any:
        total = self.total if isinstance(self.total, Tensor) else from_host(float(self.total))
        if not isinstance(self.count, Tensor):
            return wrap(total / max(self.count, 1e-30))
        return wrap(_C._where(self.count == 0, 0.0, total / self.count))


class Sum(Metric):
    """Weighted sum of the values."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name)
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self.total: Any = 0.0

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values = tensor_of(values).detach().float()
        self.total = (
            self.total
            + (values if sample_weight is None else values * tensor_of(sample_weight)).sum()
        )

    def result(self) -> Any:
        return wrap(from_host(self.total))


class MeanMetricWrapper(Mean):
    """Mean of a function of (y_true, y_pred)."""

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


def _named(name: str, fn: Callable[..., Any], default: str, **given: Any) -> Any:
    """A class whose objects average `fn`, which takes the options in `given`."""

    def __init__(self: Any, name: str | None = default, dtype: Any = None, **options: Any) -> None:
        unknown = set(options) - set(given)
        if unknown:
            raise TypeError(f"{type(self).__name__} got an unexpected argument {unknown.pop()!r}.")
        MeanMetricWrapper.__init__(self, fn, name, **(given | options))

    body = {"__init__": __init__, "__doc__": fn.__doc__, "__module__": __name__}
    return type(name, (MeanMetricWrapper,), body)


BinaryAccuracy = _named("BinaryAccuracy", binary_accuracy, "binary_accuracy", threshold=0.5)
CategoricalAccuracy = _named("CategoricalAccuracy", categorical_accuracy, "categorical_accuracy")
SparseCategoricalAccuracy = _named(
    "SparseCategoricalAccuracy", sparse_categorical_accuracy, "sparse_categorical_accuracy"
)
TopKCategoricalAccuracy = _named(
    "TopKCategoricalAccuracy", top_k_categorical_accuracy, "top_k_categorical_accuracy", k=5
)
SparseTopKCategoricalAccuracy = _named(
    "SparseTopKCategoricalAccuracy",
    sparse_top_k_categorical_accuracy,
    "sparse_top_k_categorical_accuracy",
    k=5,
)
MeanSquaredError = _named("MeanSquaredError", losses.mean_squared_error, "mean_squared_error")
MeanAbsoluteError = _named("MeanAbsoluteError", losses.mean_absolute_error, "mean_absolute_error")
MeanAbsolutePercentageError = _named(
    "MeanAbsolutePercentageError",
    losses.mean_absolute_percentage_error,
    "mean_absolute_percentage_error",
)
BinaryCrossentropy = _named(
    "BinaryCrossentropy",
    losses.binary_crossentropy,
    "binary_crossentropy",
    from_logits=False,
    label_smoothing=0.0,
)
CategoricalCrossentropy = _named(
    "CategoricalCrossentropy",
    losses.categorical_crossentropy,
    "categorical_crossentropy",
    from_logits=False,
    label_smoothing=0.0,
)
SparseCategoricalCrossentropy = _named(
    "SparseCategoricalCrossentropy",
    losses.sparse_categorical_crossentropy,
    "sparse_categorical_crossentropy",
    from_logits=False,
)


def _equal(y_true: Any, y_pred: Any) -> Tensor:
    """Share of elements that are equal."""
    true, pred = as_pair(y_true, y_pred)
    return (true == pred).float()


Accuracy = _named("Accuracy", _equal, "accuracy")


class RootMeanSquaredError(Mean):
    """Root of the mean of the squares."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name)

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        with no_grad():
            true, pred = as_pair(y_true, y_pred)
            super().update_state(_C.square(pred - true), sample_weight)

    def result(self) -> Any:
        return wrap(_C.sqrt(super().result()))


class _Counts(Metric):
    """Counts of predictions above a threshold against labels 0 and 1."""

    def __init__(
        self,
        thresholds: float | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name or unique_name(snake_case(type(self).__name__)))
        if thresholds is not None and not isinstance(thresholds, (int, float)):
            raise ValueError(f"{type(self).__name__}: one threshold is offered, got {thresholds}.")
        self.threshold = 0.5 if thresholds is None else thresholds
        self.class_id = class_id
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self.true_positives: Any = 0.0
        self.predicted: Any = 0.0
        self.actual: Any = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        with no_grad():
            true, pred = as_pair(y_true, y_pred)
            if self.class_id is not None:
                true, pred = true[..., self.class_id], pred[..., self.class_id]
            true, guess = true.float(), (pred > self.threshold).float()
            weight: Any = 1.0
            if sample_weight is not None:
                weight = tensor_of(sample_weight).float()
                while weight.dim() < true.dim():
                    weight = weight.unsqueeze(-1)
            self.true_positives = self.true_positives + (true * guess * weight).sum()
            self.predicted = self.predicted + (guess * weight).sum()
            self.actual = self.actual + (true * weight).sum()

    def _share(self, of: Any) -> Any:
        if not isinstance(of, Tensor):
            return wrap(from_host(0.0))
        return wrap(_C._where(of > 0, self.true_positives / of, 0.0))


class Precision(_Counts):
    """Of those that were called positive, the share that is."""

    def result(self) -> Any:
        return self._share(self.predicted)


class Recall(_Counts):
    """Of those that are positive, the share that was called so."""

    def result(self) -> Any:
        return self._share(self.actual)


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
        super().__init__(name or unique_name("auc"))
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
            true, pred = as_pair(y_true, y_pred)
            true, pred = true.reshape(-1).float(), pred.reshape(-1)
            pred = _C.sigmoid(pred) if self.from_logits else pred
            weight = _C._full((true.numel(),), 1.0, _C.float32, true.device)
            if sample_weight is not None:
                weight = tensor_of(sample_weight).float().reshape(-1)
            kinds = _C.stack([true * weight, (1.0 - true) * weight])
            passed = (pred.unsqueeze(1) > self._thresholds.to(pred.device)).float()
            self._above = self._above + _C.matmul(kinds, passed)
            self._all = self._all + kinds.sum(1, True)

    def result(self) -> Any:
        if not isinstance(self._all, Tensor):
            return wrap(from_host(0.0))
        tp, fp = _C.unbind(self._above / self._all.clamp(min=1e-7), 0)
        return wrap(((fp[:-1] - fp[1:]) * (tp[:-1] + tp[1:]) / 2).sum())


_NAMES: dict[str, Any] = {
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "precision": Precision,
    "recall": Recall,
    "auc": AUC,
    "root_mean_squared_error": RootMeanSquaredError,
}
_NAMES |= {
    cls.__name__: cls
    for cls in (
        BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy, Precision, Recall, AUC, RootMeanSquaredError,
        MeanSquaredError, MeanAbsoluteError,
    )
}  # fmt: skip


def get(identifier: Any, y_true: Any = None, y_pred: Any = None) -> Metric:
    """A metric by name or from a function; "accuracy" needs targets and outputs to know which."""
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if identifier in ("accuracy", "acc"):
        return MeanMetricWrapper(accuracy_for(y_true, y_pred), identifier)
    if isinstance(identifier, str):
        if identifier in _NAMES:
            made = _NAMES[identifier]()
            if identifier == identifier.lower():
                made.name = identifier
            return made
        function = losses.FUNCTIONS.get(identifier) or losses.SHORT.get(identifier)
        if function is not None:
            return MeanMetricWrapper(function, identifier)
    elif callable(identifier):
        return MeanMetricWrapper(identifier)
    raise ValueError(f"Could not interpret metric identifier: {identifier}")
