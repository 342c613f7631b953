"""compile: optimizer, losses and metrics of a model, for one output or several."""

from __future__ import annotations

from typing import Any

from gradstone.autograd.grad_mode import no_grad
from gradstone.keras import losses, optimizers
from gradstone.keras import metrics as metrics_module
from gradstone.keras._symbolic import leaves
from gradstone.keras._weights import has_penalty
from gradstone.keras.layer import Layer


class _Output:
    """One output of the model: its name, loss, weight of the loss, and metrics."""

    def __init__(
        self, name: str, loss: Any, weight: float, named: list[Any], weighted: list[Any]
    ) -> None:
        self.name, self.weight = name, weight
        loss = losses.get(loss)
        plain = loss is not None and not isinstance(loss, losses.Loss)
        self.loss = losses.LossFunctionWrapper(loss) if plain else loss
        self.tracker = metrics_module.Mean(f"{name}_loss")
        self.named, self.weighted = named, weighted
        self.metrics: list[Any] | None = None

    def made(self, y_true: Any, y_pred: Any) -> list[Any]:
        """The metrics; those given by name are made with the first batch, which says what
        "accuracy" means."""
        if self.metrics is None:
            plain, weighted = (
                [metrics_module.get(m, y_true, y_pred) for m in given]
                for given in (self.named, self.weighted)
            )
            taken = {metric.name for metric in plain}
            for metric in weighted:
                metric.name = f"weighted_{metric.name}" if metric.name in taken else metric.name
            self.metrics = [*plain, *weighted]
        return self.metrics

    def update(self, y_true: Any, y_pred: Any, weight: Any) -> None:
        for i, metric in enumerate(self.made(y_true, y_pred)):
            metric.update_state(y_true, y_pred, weight if i >= len(self.named) else None)

    def measure(self, y_true: Any, y_pred: Any, weight: Any) -> Any:
        """The loss, a scalar."""
        value = self.loss._reduced(y_true, y_pred, weight)
        return value.mean() if value.dim() else value


class Compiled(Layer):
    """What ``compile`` says, and the numbers that follow from it: a part of ``Model``."""

    optimizer: Any = None
    _compiled: dict[str, Any] | None = None
    _outputs: list[_Output]

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: Any = None,
        steps_per_execution: Any = None,
        jit_compile: Any = None,
        auto_scale_loss: Any = None,
    ) -> None:
        """Says how to train: optimizer and loss by name or as objects, metrics by keyword; for
        several outputs a list or dict of each. The last four arguments are accepted and change
        nothing."""
        found = optimizers.get(optimizer)
        for one in leaves(loss):
            losses.get(one)
        for one in leaves([metrics, weighted_metrics]):
            if one is not None and not metrics_module.means_accuracy(one):
                metrics_module.get(one)
        self.optimizer = found
        self._compiled = {
            "optimizer": found,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self._outputs = []
        self._loss_tracker = metrics_module.Mean("loss")

    def _must_be_compiled(self) -> None:
        if self._compiled is None:
            raise ValueError("You must call `compile()` before using the model.")

    @property
    def loss(self) -> Any:
        """The loss as it was given."""
        return None if self._compiled is None else self._compiled["loss"]

    @property
    def metrics(self) -> list[Any]:
        """The loss's mean and the metrics."""
        own = getattr(self, "_loss_tracker", None)
        found = [] if own is None else [own]
        for output in getattr(self, "_outputs", []):
            found += output.metrics or []
        return found

    @property
    def metrics_names(self) -> list[str]:
        """Names in the order of what :meth:`evaluate` gives."""
        return list(self._numbers())

    def _prepare_outputs(self, y_pred: Any) -> None:
        """Spreads what ``compile`` was given over the outputs, when the first batch shows them."""
        if self._outputs:
            return
        self._must_be_compiled()
        given: dict[str, Any] = self._compiled  # type: ignore[assignment]
        names = self._output_names(y_pred)
        alone = len(names) == 1
        loss, weights = given["loss"], _spread(given["loss_weights"], names, "loss_weights")
        if alone and isinstance(loss, (list, tuple)):
            loss = loss[0]
        metrics, weighted = (
            [value] if alone and not isinstance(value, dict) else _spread(value, names, what)
            for what, value in ((k, given[k]) for k in ("metrics", "weighted_metrics"))
        )
        columns = zip(names, _spread(loss, names, "loss"), weights, metrics, weighted)
        self._outputs = [
            _Output(name, one, 1.0 if w is None else float(w), _flat(plain), _flat(others))
            for name, one, w, plain, others in columns
        ]

    def _output_names(self, y_pred: Any) -> list[str]:
        if isinstance(y_pred, dict):
            return list(y_pred)
        count = len(list(leaves(y_pred)))
        names = self._graph_output_names()
        return names if len(names) == count else [f"output_{i + 1}" for i in range(count)]

    def _graph_output_names(self) -> list[str]:
        return []

    def _targets(self, y: Any, what: str = "targets") -> list[Any]:
        """One target for each output."""
        names = [output.name for output in self._outputs]
        if isinstance(y, dict):
            return [y.get(name) for name in names]
        if len(names) == 1:
            return [next(iter(leaves(y)))]
        if y is None:
            return [None] * len(names)
        if not isinstance(y, (list, tuple)) or len(y) != len(names):
            raise ValueError(
                f"The model has {len(names)} outputs ({names}): give one of the {what} for each."
            )
        return list(y)

    def _weights(self, weight: Any) -> list[Any]:
        """The weights of the samples for each output: its own, or the same for all."""
        if isinstance(weight, (dict, list, tuple)):
            return self._targets(weight, "weights")
        return [weight] * len(self._outputs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of all outputs, with what regularizers and ``add_loss`` add."""
        self._prepare_outputs(y_pred)
        total: Any = None
        targets, weights = self._targets(y), self._weights(sample_weight)
        for output, target, pred, weight in zip(self._outputs, targets, leaves(y_pred), weights):
            if output.loss is None:
                continue
            if target is None:
                raise ValueError(f"There is a loss for the output '{output.name}', but no target.")
            value = output.measure(target, pred, weight)
            if len(self._outputs) > 1:
                output.tracker.update_state(value.detach(), float(pred.size(0)))
            value = value if output.weight == 1.0 else value * output.weight
            total = value if total is None else total + value
        for extra in self._penalties():
            total = extra if total is None else total + extra
        if total is None:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        return total

    # The layers, the weights to train and those with a penalty, while batches go through: finding
    # them takes as long as a small layer.
    _found: tuple[list[Any], list[Any], list[Any]] | None = None

    def _find(self) -> None:
        layers = list(self._flatten_layers())
        trained = self.trainable_weights
        self._found = layers, trained, [w for w in trained if has_penalty(w)]

    def _penalties(self) -> list[Any]:
        """What is added to the loss beside the losses of the outputs."""
        if self._found is None:
            return self.losses
        layers, _, penalised = self._found
        added = [extra for layer in layers for extra in layer._losses]
        return added + [w.regularizer(w) for w in penalised]

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, float]:
        """Takes the batch into the metrics and gives them all."""
        self._update_metrics(y, y_pred, sample_weight)
        return self._logs()

    def _update_metrics(self, y: Any, y_pred: Any, weight: Any) -> None:
        with no_grad():
            self._prepare_outputs(y_pred)
            targets, weights = self._targets(y), self._weights(weight)
            for output, target, pred, one in zip(self._outputs, targets, leaves(y_pred), weights):
                if target is not None:
                    output.update(target, pred, one)

    def _numbers(self) -> dict[str, float]:
        """All numbers now: the loss, the losses of several outputs, the metrics of each output."""
        several = len(self._outputs) > 1
        logs = {"loss": float(self._loss_tracker.result())}
        if several:
            logs |= {
                f"{o.name}_loss": float(o.tracker.result())
                for o in self._outputs
                if o.loss is not None
            }
        for output in self._outputs:
            for metric in output.metrics or []:
                value = metric.result()
                values = value if isinstance(value, dict) else {metric.name: value}
                for name, one in values.items():
                    logs[f"{output.name}_{name}" if several else name] = float(one)
        return logs

    def _logs(self) -> dict[str, float]:
        """All numbers now, by name in alphabetical order."""
        return dict(sorted(self._numbers().items()))

    def _results(self, logs: dict[str, float], return_dict: bool) -> Any:
        """What evaluate gives for these numbers: a dict, or the values in the order of `_numbers`
        (those of a step of the model's own in theirs)."""
        if return_dict:
            return logs
        known = self._numbers()
        values = [logs[name] for name in (known if logs.keys() == known.keys() else logs)]
        return values[0] if len(values) == 1 else values

    def reset_metrics(self) -> None:
        """Forgets all batches."""
        self._loss_tracker.reset_state()
        for output in self._outputs:
            output.tracker.reset_state()
        for metric in self.metrics:
            metric.reset_state()


def _spread(value: Any, names: list[str], what: str) -> list[Any]:
    """One value for each output, from a dict by name, a list, or a value for all. ValueError for
    names and numbers that do not fit."""
    if isinstance(value, dict):
        unknown = set(value) - set(names)
        if unknown:
            raise ValueError(
                f"In the dict argument `{what}`, key '{unknown.pop()}' does not correspond to any "
                f"model output. Received: {value}; outputs: {names}"
            )
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)) and len(names) > 1:
        if len(value) != len(names):
            raise ValueError(
                f"For a model with multiple outputs, `{what}` must have as many entries as there "
                f"are outputs. Received {len(value)}; outputs: {names}"
            )
        return list(value)
    return [value] * len(names)


def _flat(value: Any) -> list[Any]:
    return [v for v in leaves(value) if v is not None]
