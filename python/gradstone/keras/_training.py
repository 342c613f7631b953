"""compile, fit, evaluate, predict: the training half of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras import losses, optimizers
from gradstone.keras import metrics as metrics_module
from gradstone.keras._data import Arrays, Batches, is_arrays, select, source_of, to_tensors
from gradstone.keras._progress import Progress
from gradstone.keras._symbolic import leaves, map_leaves
from gradstone.keras._tensor import array, from_host, wrap
from gradstone.keras.callbacks import CallbackList, History
from gradstone.keras.layer import _Calls


class _Output:
    """One output of the model: its name, loss, weight of the loss, and metrics."""

    def __init__(
        self, name: str, loss: Any, weight: float, named: list[Any], weighted: list[Any]
    ) -> None:
        self.name, self.weight = name, weight
        self.loss = losses.get(loss)
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
        loss = self.loss
        if not isinstance(loss, losses.Loss):
            loss = losses.LossFunctionWrapper(loss)
        value = loss._reduced(y_true, y_pred, weight)
        if value.dim():
            value = value.mean()
        return value


class Trainer:
    """Mixed into ``Model``."""

    optimizer: Any = None
    stop_training = False
    history: Any = None
    _compiled: dict[str, Any] | None = None
    _outputs: list[_Output]
    name: str

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
        self.optimizer = optimizers.get(optimizer)
        for one in leaves(loss):
            losses.get(one)
        for one in leaves([metrics, weighted_metrics]):
            if one is not None and one not in ("accuracy", "acc"):
                metrics_module.get(one)
        self._compiled = {
            "optimizer": self.optimizer,
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
        return ["loss", *[name for name in self._logs() if name != "loss"]]

    # ---------------------------------------------------------------------------------- the outputs

    def _prepare_outputs(self, y_pred: Any) -> None:
        if self._outputs:
            return
        given = self._compiled or {}
        names = self._output_names(y_pred)

        def spread(value: Any, what: str) -> list[Any]:
            if isinstance(value, dict):
                unknown = set(value) - set(names)
                if unknown:
                    raise ValueError(
                        f"In the dict argument `{what}`, key '{unknown.pop()}' does not correspond "
                        "to any "
                        f"model output. Received: {value}; outputs: {names}"
                    )
                return [value.get(name) for name in names]
            if isinstance(value, (list, tuple)) and len(names) > 1:
                if len(value) != len(names):
                    raise ValueError(
                        f"For a model with multiple outputs, `{what}` must have as many entries as "
                        "there "
                        f"are outputs. Received {len(value)}; outputs: {names}"
                    )
                return list(value)
            return [value] * len(names)

        def several(value: Any, what: str) -> list[list[Any]]:
            if len(names) == 1 and not isinstance(value, dict):
                return [_flat(value)]
            return [_flat(v) for v in spread(value, what)]

        loss = given["loss"]
        if len(names) == 1 and isinstance(loss, (list, tuple)):
            loss = loss[0]
        weights = spread(given["loss_weights"], "loss_weights")
        columns = zip(
            names,
            spread(loss, "loss"),
            weights,
            several(given["metrics"], "metrics"),
            several(given["weighted_metrics"], "weighted_metrics"),
        )
        self._outputs = [
            _Output(name, one, 1.0 if w is None else float(w), named, weighted)
            for name, one, w, named, weighted in columns
        ]

    def _output_names(self, y_pred: Any) -> list[str]:
        if isinstance(y_pred, dict):
            return list(y_pred)
        count = len(list(leaves(y_pred)))
        names = self._graph_output_names()
        return names if len(names) == count else [f"output_{i + 1}" for i in range(count)]

    def _graph_output_names(self) -> list[str]:
        return []

    def _targets(self, y: Any, y_pred: Any, what: str = "targets") -> list[Any]:
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
        targets = self._targets(y, y_pred)
        weights = [sample_weight] * len(targets)
        if isinstance(sample_weight, (dict, list, tuple)):
            weights = self._targets(sample_weight, y_pred, "weights")
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
        for extra in self.losses:  # type: ignore[attr-defined]
            total = extra if total is None else total + extra
        if total is None:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        return total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, float]:
        """Takes the batch into the metrics and gives them all."""
        self._update_metrics(y, y_pred, sample_weight)
        return self._logs()

    def _update_metrics(self, y: Any, y_pred: Any, weight: Any) -> None:
        with no_grad():
            self._prepare_outputs(y_pred)
            for output, target, pred in zip(
                self._outputs, self._targets(y, y_pred), leaves(y_pred)
            ):
                if target is not None:
                    one = None if isinstance(weight, (dict, list, tuple)) else weight
                    output.update(target, pred, one)

    def _logs(self) -> dict[str, float]:
        """All numbers now, by name in alphabetical order."""
        logs = {"loss": float(self._loss_tracker.result())}
        for output in self._outputs:
            several = len(self._outputs) > 1
            if several and output.loss is not None:
                logs[f"{output.name}_loss"] = float(output.tracker.result())
            for metric in output.metrics or []:
                value = metric.result()
                values = value if isinstance(value, dict) else {metric.name: value}
                for name, one in values.items():
                    logs[f"{output.name}_{name}" if several else name] = float(one)
        return dict(sorted(logs.items()))

    def reset_metrics(self) -> None:
        """Forgets all batches."""
        self._loss_tracker.reset_state()
        for output in self._outputs:
            output.tracker.reset_state()
        for metric in self.metrics:
            metric.reset_state()

    # ------------------------------------------------------------------------------------ one batch

    def _train_batch(self, x: Any, y: Any, weight: Any) -> Any:
        if type(self).train_step is not Trainer.train_step:
            return self.train_step(tuple(wrap(v) for v in (x, y, weight) if v is not None))
        self._fit_batch(x, y, weight)
        return None

    def _fit_batch(self, x: Any, y: Any, weight: Any) -> None:
        y_pred = self._predict_plain(x, True)
        loss = self.compute_loss(x, y, y_pred, weight)
        if loss.requires_grad:  # else there is nothing to train
            loss.backward()
            self.optimizer.step_on(self.trainable_weights)  # type: ignore[attr-defined]
        self._loss_tracker.update_state(loss, float(_batch_size(x)))
        self._update_metrics(y, y_pred, weight)

    def _predict_plain(self, x: Any, training: bool) -> Any:
        """The output as gradstone's own tensors, whatever came in."""
        _Calls.depth += 1
        try:
            if not training:
                with no_grad():
                    return self(x, training=False)  # type: ignore[operator]
            self._forget_losses()  # type: ignore[attr-defined]
            return self(x, training=True)  # type: ignore[operator]
        finally:
            _Calls.depth -= 1

    def train_step(self, data: Any) -> dict[str, Any]:
        """One batch: (x, y) or (x, y, weight). A subclass may write its own, which gives numbers by
        name."""
        x, y, weight = (
            (*data, None, None)[:3] if isinstance(data, (tuple, list)) else (data, None, None)
        )
        self._fit_batch(x, y, weight)
        return self._logs()

    def test_step(self, data: Any) -> dict[str, Any]:
        """One batch of an evaluation; a subclass may write its own."""
        x, y, weight = (
            (*data, None, None)[:3] if isinstance(data, (tuple, list)) else (data, None, None)
        )
        self._test_batch(x, y, weight)
        return self._logs()

    def predict_step(self, data: Any) -> Any:
        """The output for a batch of inputs."""
        return self._predict_plain(data[0] if isinstance(data, tuple) else data, False)

    def _test_batch(self, x: Any, y: Any, weight: Any) -> Any:
        if type(self).test_step is not Trainer.test_step:
            return self.test_step(tuple(wrap(v) for v in (x, y, weight) if v is not None))
        with no_grad():
            y_pred = self._predict_plain(x, False)
            loss = self.compute_loss(x, y, y_pred, weight, training=False)
            self._loss_tracker.update_state(loss, float(_batch_size(x)))
            self._update_metrics(y, y_pred, weight)
        return None

    def _ensure_built(self, x: Any) -> None:
        """Makes the weights from one sample, so that the optimizer finds them all."""
        if type(self).train_step is not Trainer.train_step:
            return  # its own step calls what it needs
        if not all(layer.built for layer in self._flatten_layers()):  # type: ignore[attr-defined]
            self._predict_plain(select(x, slice(0, 1)), False)

    # ------------------------------------------------------------------------------------------ fit

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Trains for `epochs` on x and y (arrays, tensors, nested for several inputs or outputs) or
        on batches from x, and gives the History.

        validation_split takes the last part of the data, before shuffling. class_weight multiplies
        the loss of each class's samples. verbose 0: nothing, 1: a bar, 2: a line for each epoch.
        """
        self._must_be_compiled()
        data = source_of(x, y, sample_weight, batch_size, steps_per_epoch)
        validation = None
        if validation_split and validation_data is None:
            if not isinstance(data, Arrays):
                raise ValueError("`validation_split` is only supported for arrays and tensors.")
            data, validation = data.split(validation_split)
        elif validation_data is not None:
            validation = _validation_source(
                validation_data, validation_batch_size or batch_size, validation_steps
            )
        verbose = 1 if verbose == "auto" else int(verbose)
        history = History()
        given = (
            callbacks.callbacks if isinstance(callbacks, CallbackList) else list(callbacks or [])
        )
        params = {"verbose": verbose, "epochs": epochs, "steps": data.steps}
        hooks = CallbackList([*given, history], self, params)
        self.history = history
        self.stop_training = False
        watched = hooks.watches_batches("train")
        hooks.call("on_train_begin")
        logs: dict[str, float] = {}
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                hooks.call("on_epoch_begin", epoch)
                if verbose:
                    print(f"Epoch {epoch + 1}/{epochs}", flush=True)
                bar = Progress(verbose, data.steps)
                steps, own = self._epoch(data, shuffle, class_weight, bar, hooks, watched)
                logs = self._logs() if own is None else own
                if (
                    validation is not None
                    and (epoch + 1) % validation_freq == 0
                    and not self.stop_training
                ):
                    found = self._evaluate(validation, Progress(0, None), hooks)
                    logs |= {f"val_{name}": value for name, value in found.items()}
                bar.finish(steps, logs)
                hooks.call("on_epoch_end", epoch, logs)
                if self.stop_training:
                    break
        finally:
            self.train(False)  # type: ignore[attr-defined]
        hooks.call("on_train_end", logs)
        return history

    def _epoch(
        self,
        data: Any,
        shuffle: bool,
        class_weight: dict[int, float] | None,
        bar: Progress,
        hooks: CallbackList,
        watched: bool,
    ) -> tuple[int, dict[str, float] | None]:
        """One pass; (batches, the numbers that an own ``train_step`` gave)."""
        self.train(True)  # type: ignore[attr-defined]
        step, own = 0, None
        for x, y, weight in data.batches(shuffle):
            if step == 0:
                self._ensure_built(x)
            if class_weight is not None:
                weight = _class_weights(class_weight, y, weight)
            if watched:
                hooks.call("on_train_batch_begin", step)
            result = self._train_batch(x, y, weight)
            step += 1
            if result is not None:
                own = {name: float(value) for name, value in dict(result).items()}
            if watched:
                hooks.call("on_train_batch_end", step - 1, own or self._logs())
            if bar.wants():
                bar.update(step, own or self._logs())
            if self.stop_training:
                break
        if step == 0:
            raise ValueError(
                "The data gave no batch: a generator that is used up needs to be made again."
            )
        return step, own

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; the loss, or [loss, metrics...], or a dict."""
        self._must_be_compiled()
        x, y, weight = to_tensors(x), to_tensors(y), to_tensors(sample_weight)
        self._ensure_built(x)
        if class_weight is not None:
            weight = _class_weights(class_weight, y, weight)
        self.reset_metrics()
        self._train_batch(x, y, weight)
        return self._results(self._logs(), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch."""
        self._must_be_compiled()
        self.reset_metrics()
        self._test_batch(to_tensors(x), to_tensors(y), to_tensors(sample_weight))
        return self._results(self._logs(), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The output for one batch as NumPy arrays."""
        return map_leaves(lambda t: array(t).copy(), self._predict_plain(to_tensors(x), False))

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over the data: the loss alone, [loss, metrics...], or a dict."""
        self._must_be_compiled()
        data = source_of(x, y, sample_weight, batch_size, steps)
        hooks = CallbackList(callbacks or [], self, {"verbose": verbose, "steps": data.steps})
        verbose = 1 if verbose == "auto" else int(verbose)
        return self._results(
            self._evaluate(data, Progress(verbose, data.steps), hooks), return_dict
        )

    def _evaluate(self, data: Any, bar: Progress, hooks: CallbackList) -> dict[str, float]:
        self.reset_metrics()
        self.train(False)  # type: ignore[attr-defined]
        hooks.call("on_test_begin")
        watched = hooks.watches_batches("test")
        step, own = 0, None
        for x, y, weight in data.batches(False):
            if watched:
                hooks.call("on_test_batch_begin", step)
            result = self._test_batch(x, y, weight)
            step += 1
            if result is not None:
                own = {name: float(value) for name, value in dict(result).items()}
            if watched:
                hooks.call("on_test_batch_end", step - 1, own or self._logs())
            if bar.wants():
                bar.update(step, own or self._logs())
        logs = own or self._logs()
        bar.finish(step, logs)
        hooks.call("on_test_end", logs)
        return logs

    def _results(self, logs: dict[str, float], return_dict: bool) -> Any:
        if return_dict:
            return logs
        values = [logs["loss"]] if "loss" in logs else []
        order = [f"{o.name}_loss" for o in self._outputs] if len(self._outputs) > 1 else []
        for output in self._outputs:
            several = len(self._outputs) > 1
            order += [
                f"{output.name}_{m.name}" if several else m.name for m in output.metrics or []
            ]
        values += [logs[name] for name in order if name in logs]
        return values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for all inputs, as NumPy arrays."""
        data = source_of(x, None, None, batch_size, steps)
        hooks = CallbackList(callbacks or [], self, {"verbose": verbose, "steps": data.steps})
        bar = Progress(1 if verbose == "auto" else int(verbose), data.steps)
        self.train(False)  # type: ignore[attr-defined]
        hooks.call("on_predict_begin")
        parts = []
        for step, (x_batch, _, _) in enumerate(data.batches(False)):
            hooks.call("on_predict_batch_begin", step)
            out = self.predict_step(x_batch)
            parts.append(map_leaves(lambda t: array(t).copy(), out))
            hooks.call("on_predict_batch_end", step, {"outputs": out})
            if bar.wants():
                bar.update(step + 1, {})
        bar.finish(len(parts), {})
        hooks.call("on_predict_end")
        return _joined(parts)


def _flat(value: Any) -> list[Any]:
    return [v for v in leaves(value) if v is not None]


def _batch_size(x: Any) -> int:
    return next(iter(leaves(x))).size(0)


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, dict):
        return {key: _joined([p[key] for p in parts]) for key in first}
    if isinstance(first, (tuple, list)):
        return [_joined([p[i] for p in parts]) for i in range(len(first))]
    return np.concatenate(parts)


def _validation_source(data: Any, batch_size: int | None, steps: int | None) -> Any:
    if isinstance(data, (tuple, list)) and is_arrays(data[0]):
        if not 2 <= len(data) <= 3:
            raise ValueError(
                "`validation_data` must be (x, y) or (x, y, sample_weight), got a tuple of length "
                f"{len(data)}."
            )
        return Arrays(data[0], data[1], data[2] if len(data) == 3 else None, batch_size)
    return Batches(data, steps)


def _class_weights(weights: dict[int, float], y: Any, given: Any) -> Tensor:
    """The weight of each sample's class, times its own weight."""
    if not isinstance(y, Tensor):
        raise ValueError("`class_weight` is only supported for models with a single output.")
    classes = y
    if y.dim() > 1:
        classes = y.argmax(-1) if y.size(-1) > 1 else y.squeeze(-1)
    classes = classes.long()
    table = np.ones(max(int(classes.max()) + 1, max(weights) + 1), np.float32)
    for index, weight in weights.items():
        table[index] = weight
    each = _C.index_select(from_host(table), 0, classes.reshape(-1)).reshape(tuple(classes.shape))
    return each if given is None else each * given
