"""fit, evaluate, predict: the training half of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras._compile import Compiled
from gradstone.keras._data import Arrays, Batches, is_arrays, select, source_of, to_tensors
from gradstone.keras._printing import Progress
from gradstone.keras._symbolic import leaves, map_leaves
from gradstone.keras._tensor import array, from_host, wrap
from gradstone.keras.callbacks import CallbackList, History
from gradstone.keras.layer import _Calls

_NO_BATCH = "The data gave no batch: a generator that is used up needs to be made again."


class Trainer(Compiled):
    """What trains, evaluates and predicts: a part of ``Model``."""

    stop_training = False
    history: Any = None

    # ------------------------------------------------------------------------------------ one batch

    def _here(self, data: Any) -> Any:
        """The data where the model's weights are."""
        first = next(iter(self.parameters()), None)
        if first is None or first.device.type == "cpu":
            return data
        return map_leaves(lambda t: None if t is None else t.to(first.device), data)

    def _train_batch(self, x: Any, y: Any, weight: Any) -> Any:
        """One step; the numbers that a ``train_step`` of the model's own gives, else None."""
        x, y, weight = self._here((x, y, weight))
        if type(self).train_step is not Trainer.train_step:
            return self.train_step(_packed(x, y, weight))
        self._fit_batch(x, y, weight)
        return None

    def _test_batch(self, x: Any, y: Any, weight: Any) -> Any:
        """Takes a batch into the metrics; the numbers of a ``test_step`` of its own, else None."""
        x, y, weight = self._here((x, y, weight))
        if type(self).test_step is not Trainer.test_step:
            return self.test_step(_packed(x, y, weight))
        self._measure_batch(x, y, weight)
        return None

    def _measure_batch(self, x: Any, y: Any, weight: Any) -> None:
        with no_grad():
            y_pred = self._predict_plain(x, False)
            loss = self.compute_loss(x, y, y_pred, weight)
            self._loss_tracker.update_state(loss, float(_batch_size(x)))
            self._update_metrics(y, y_pred, weight)

    def _fit_batch(self, x: Any, y: Any, weight: Any) -> None:
        y_pred = self._predict_plain(x, True)
        loss = self.compute_loss(x, y, y_pred, weight)
        if loss.requires_grad:  # else there is nothing to train
            loss.backward()
            found = self._found
            trained = self.trainable_weights if found is None else found[1]
            self.optimizer.step_on(trained)
        self._loss_tracker.update_state(loss, float(_batch_size(x)))
        self._update_metrics(y, y_pred, weight)

    def _predict_plain(self, x: Any, training: bool) -> Any:
        """The output as gradstone's own tensors, whatever came in."""
        _Calls.depth += 1
        try:
            self._forget_added()
            if training:
                return self(x, training=True)
            with no_grad():
                return self(x, training=False)
        finally:
            _Calls.depth -= 1

    def _forget_added(self) -> None:
        """No layer's ``add_loss`` of the batch before counts."""
        if self._found is None:
            self._forget_losses()
        else:
            for layer in self._found[0]:
                if layer._losses:
                    layer._losses.clear()

    def train_step(self, data: Any) -> dict[str, Any]:
        """One batch: (x, y) or (x, y, weight). A subclass may write its own, which gives numbers by
        name."""
        self._fit_batch(*_three(data))
        return self._logs()

    def test_step(self, data: Any) -> dict[str, Any]:
        """One batch of an evaluation; a subclass may write its own."""
        self._measure_batch(*_three(data))
        return self._logs()

    def predict_step(self, data: Any) -> Any:
        """The output for a batch of inputs."""
        x = data[0] if isinstance(data, tuple) else data
        return self._predict_plain(self._here(x), False)

    def _ensure_built(self, x: Any) -> None:
        """Makes the weights from one sample, so that the optimizer finds them all."""
        if type(self).train_step is not Trainer.train_step:
            return  # its own step calls what it needs
        if not all(layer.built for layer in self._flatten_layers()):
            self._predict_plain(self._here(select(x, slice(0, 1))), False)

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
            data.limit, validation.limit = steps_per_epoch, validation_steps
            validation.batch_size = validation_batch_size or data.batch_size
        elif validation_data is not None:
            validation = _validation_source(
                validation_data, validation_batch_size or batch_size, validation_steps
            )
        verbose = _verbosity(verbose)
        history = self.history = History()
        given = callbacks.callbacks if isinstance(callbacks, CallbackList) else callbacks or []
        params = {"verbose": verbose, "epochs": epochs, "steps": data.steps}
        hooks = CallbackList([*given, history], self, params)

        def train(x: Any, y: Any, weight: Any) -> Any:
            if self._found is None:  # the epoch's first batch, which shows the layers their shapes
                self._ensure_built(x)
                self._find()
            if class_weight is not None:
                weight = _class_weights(class_weight, y, weight)
            return self._train_batch(x, y, weight)

        self.stop_training = False
        hooks.call("on_train_begin")
        logs: dict[str, float] = {}
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                hooks.call("on_epoch_begin", epoch)
                if verbose and epochs > 1:
                    print(f"Epoch {epoch + 1}/{epochs}", flush=True)
                bar = Progress(verbose, data.steps)
                self._found = None
                self.train(True)
                steps, logs = self._each_batch("train", data.batches(shuffle), train, bar, hooks)
                due = validation is not None and (epoch + 1) % validation_freq == 0
                if due and not self.stop_training:
                    found = self._evaluate(validation, Progress(0, None), hooks)
                    logs |= {f"val_{name}": value for name, value in found.items()}
                bar.finish(steps, logs)
                hooks.call("on_epoch_end", epoch, logs)
                if self.stop_training:
                    break
        finally:
            self._found = None
            self.train(False)
        hooks.call("on_train_end", logs)
        return history

    def _each_batch(
        self,
        kind: str,
        batches: Iterable[Any],
        one: Callable[..., Any],
        bar: Progress,
        hooks: CallbackList,
    ) -> tuple[int, dict[str, float]]:
        """Runs `one` on every batch between the callbacks' hooks; (batches, the numbers then)."""
        watched = hooks.watches_batches(kind)
        step, own = 0, None
        for batch in batches:
            if watched:
                hooks.call(f"on_{kind}_batch_begin", step)
            result = one(*batch)
            step += 1
            own = None if result is None else _floats(result)
            if watched:
                hooks.call(f"on_{kind}_batch_end", step - 1, own or self._logs())
            if bar.wants():
                bar.update(step, own or self._logs())
            if self.stop_training and kind == "train":
                break
        if step == 0:
            raise ValueError(_NO_BATCH)
        return step, own or self._logs()

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
        result = self._train_batch(x, y, weight)
        return self._results(self._logs() if result is None else _floats(result), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch."""
        self._must_be_compiled()
        self.reset_metrics()
        result = self._test_batch(to_tensors(x), to_tensors(y), to_tensors(sample_weight))
        return self._results(self._logs() if result is None else _floats(result), return_dict)

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
        verbose = _verbosity(verbose)
        hooks = CallbackList(callbacks or [], self, {"verbose": verbose, "steps": data.steps})
        logs = self._evaluate(data, Progress(verbose, data.steps), hooks)
        return self._results(logs, return_dict)

    def _evaluate(self, data: Any, bar: Progress, hooks: CallbackList) -> dict[str, float]:
        self.reset_metrics()
        self.train(False)
        hooks.call("on_test_begin")
        step, logs = self._each_batch("test", data.batches(False), self._test_batch, bar, hooks)
        bar.finish(step, logs)
        hooks.call("on_test_end", logs)
        return logs

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
        verbose = _verbosity(verbose)
        hooks = CallbackList(callbacks or [], self, {"verbose": verbose, "steps": data.steps})
        bar = Progress(verbose, data.steps)
        self.train(False)
        hooks.call("on_predict_begin")
        parts = []
        for step, (x_batch, _, _) in enumerate(data.batches(False)):
            hooks.call("on_predict_batch_begin", step)
            out = self.predict_step(x_batch)
            parts.append(map_leaves(lambda t: array(t).copy(), out))
            hooks.call("on_predict_batch_end", step, {"outputs": out})
            if bar.wants():
                bar.update(step + 1, {})
        if not parts:
            raise ValueError(_NO_BATCH)
        bar.finish(len(parts), {})
        hooks.call("on_predict_end")
        return _joined(parts)


def _verbosity(verbose: Any) -> int:
    return 1 if verbose == "auto" else int(verbose)


def _floats(numbers: Any) -> dict[str, float]:
    """What a step of the model's own gives."""
    return {name: float(value) for name, value in dict(numbers).items()}


def _three(data: Any) -> Any:
    """(x, y, weight) from a batch that may lack the latter."""
    return (*data, None, None)[:3] if isinstance(data, (tuple, list)) else (data, None, None)


def _packed(x: Any, y: Any, weight: Any) -> Any:
    """What a step of one's own gets: x, (x, y) or (x, y, weight)."""
    if weight is not None:
        return wrap((x, y, weight))
    if y is not None:
        return wrap((x, y))
    return wrap((x,) if isinstance(x, (list, tuple)) else x)


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
        arrays = Arrays(data[0], data[1], data[2] if len(data) == 3 else None, batch_size)
        arrays.limit = steps
        return arrays
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
