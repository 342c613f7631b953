"""The loop of a fit: epochs, groups of batches, steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from gradstone.optim.lr_scheduler import ReduceLROnPlateau
from gradstone.optim.optimizer import number
from gradstone.training import batches, random_state
from gradstone.training.arguments import length, no_batches
from gradstone.training.callbacks import monitored
from gradstone.training.evaluation import evaluate
from gradstone.training.mixing import measured
from gradstone.training.progress import Progress
from gradstone.utils.data import DataLoader

if TYPE_CHECKING:
    from gradstone.training.trainer import Trainer


class Loop:
    """One call of ``Trainer.fit``. What callbacks may look at is on the trainer."""

    def __init__(self, trainer: Trainer, loader: Any, validation: Any, epochs: int) -> None:
        self.trainer = trainer
        self.loader = loader
        self.validation = validation
        self.epochs = epochs
        self._size = 0  # samples of the last batch

    def run(self, saved: dict[str, Any] | None) -> None:
        """The epochs that are left, from a saved state on."""
        trainer = self.trainer
        if saved is not None:
            random_state.restore(saved["random"], trainer.generators)
        while trainer.stop_reason is None and len(trainer.history) < self.epochs:
            self._epoch(saved)
            saved = None

    def _epoch(self, saved: dict[str, Any] | None) -> None:
        trainer = self.trainer
        trainer.begin_epoch()
        trainer.callbacks("epoch_start", trainer)
        items = self._rest(saved) if saved and saved["position"]["batches"] else self._pass()
        label = f"epoch {trainer.epoch}/{self.epochs}"
        with Progress(trainer.length, label, quarters=False, enabled=trainer.progress) as bar:
            bar.go_on_from(trainer.batch)
            self._train(items, bar)
            if trainer.trained and trainer.stop_reason is None:
                bar.hold()
                self._close(bar)
        if trainer.logs:
            trainer.callbacks("epoch_end", trainer)

    # --------------------------------------------------------------------------------- its batches

    def _pass(self) -> Iterator[Any]:
        """All batches of an epoch."""
        trainer = self.trainer
        trainer.pass_start = random_state.snapshot(trainer.generators)
        items = self._begun_at(0)
        return islice(items, 1) if trainer.fast_dev_run else items

    def _rest(self, saved: dict[str, Any]) -> Iterator[Any]:
        """The batches of an interrupted epoch that are left, with its sums taken over."""
        trainer, position = self.trainer, saved["position"]
        trainer.batch, trainer.trained = position["batches"], position["trained"]
        trainer.pass_start = position["pass_start"]
        trainer.averages.load_state_dict(position["averages"], trainer.device)
        trainer.epoch_began -= position["seconds"]
        rest: Iterator[Any] = iter(())
        if not trainer.trained:
            random_state.restore(trainer.pass_start, trainer.generators)
            rest = self._begun_at(trainer.batch)
        random_state.restore(saved["random"], trainer.generators)
        return rest

    def _begun_at(self, done: int) -> Iterator[Any]:
        """A pass of this epoch without its first `done` batches."""
        set_epoch = getattr(getattr(self.loader, "sampler", None), "set_epoch", None)
        if set_epoch is not None:
            set_epoch(self.trainer.epoch - 1)
        return rest_of_pass(self.loader, done)

    # ----------------------------------------------------------------------------------- its steps

    def _train(self, items: Iterator[Any], bar: Progress) -> None:
        """Steps until the pass is over or somebody stops it."""
        trainer = self.trainer
        step_end = trainer.callbacks.hooks["step_end"]
        by_batch = trainer.scheduler if trainer.scheduler_step == "batch" else None
        try:
            while group := list(islice(items, trainer.accumulate)):
                self._step(group, bar)
                trainer.step += 1
                if trainer.ema is not None:
                    trainer.ema.update()
                if by_batch is not None:
                    by_batch.step()
                for hook in step_end:
                    hook(trainer)
                if trainer.deadline is not None:
                    trainer.look_at_clock()
                if trainer.stop_reason is not None:
                    return
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        if trainer.batch == 0:
            raise no_batches("Trainer.fit", self.loader)
        trainer.trained = True

    def _step(self, group: list[Any], bar: Progress) -> None:
        """One step of the optimizer, by one batch or a group of them.

        It is kept short: while a network computes, the processor's caches forget what runs once
        in a step, and a line costs many times what it costs in a loop of its own.
        """
        trainer = self.trainer
        trainer.optimizer.zero_grad()
        left, whole = len(group), 0
        if left > 1:
            whole = sum(batches.samples(batch) for batch in group)
        for batch in group:
            left -= 1
            self._batch(batch, whole, left == 0)
            if trainer.progress:
                bar.update(1, self._size, loss=self._mean_loss)

    def _batch(self, batch: Any, whole: int, last: bool) -> None:
        """Forward and backward, with the batch's share of a group of `whole` samples (0: it is
        alone), and after the last batch of a group the step."""
        trainer, hooks = self.trainer, self.trainer.callbacks.hooks
        compute, averages = trainer.compute, trainer.averages
        trainer.inputs, trainer.targets, weights = batches.prepared(batch, trainer.device)
        for hook in hooks["batch_start"]:
            hook(trainer)
        targets = trainer.targets
        if trainer.mix is not None:
            trainer.inputs, trainer.targets = trainer.mix(trainer.inputs, targets)
        trainer.output, loss = compute.forward(trainer.inputs, trainer.targets, weights)
        size = self._size = batches.samples(trainer.inputs)
        averages.samples += size
        averages.add("loss", loss, size)
        if averages.metrics:
            if trainer.mix is not None:
                targets = measured(trainer.targets, targets)
            averages.measure(trainer.output, targets)
        if compute.penalised:
            penalty = compute.penalty()
            averages.add("penalty", penalty, size)
            loss = loss + penalty
        trainer.loss = loss
        for hook in hooks["before_backward"]:
            hook(trainer)
        compute.check(trainer.loss, self._mean_loss)
        compute.backward(trainer.loss, size / whole if whole else 1.0)
        for hook in hooks["after_backward"]:
            hook(trainer)
        if last:
            compute.step()
        trainer.batch += 1
        for hook in hooks["batch_end"]:
            hook(trainer)

    def _mean_loss(self) -> float:
        return self.trainer.averages.mean("loss")

    # ------------------------------------------------------------------------------------- its end

    def _close(self, bar: Progress) -> None:
        """The epoch's values, the validation, the schedule."""
        trainer = self.trainer
        lr = float(number(trainer.optimizer.param_groups[0]["lr"]))
        seconds = trainer.seconds()
        values = trainer.averages.result()
        trainer.compute.check_sum(values["loss"])
        if self.validation is not None:
            trainer.after_training = random_state.snapshot(trainer.generators)
            trainer.callbacks("validation_start", trainer)
            found = self._validate(bar)
            if found is None:
                return  # a resumed fit begins with the validation
            values.update((f"val_{name}", value) for name, value in found.items())
        values["lr"] = lr
        trainer.logs = {"epoch": trainer.epoch, **values, "seconds": trainer.seconds()}
        trainer.logs["samples_per_second"] = trainer.averages.samples / max(seconds, 1e-9)
        if self.validation is not None:
            trainer.callbacks("validation_end", trainer)
        if trainer.scheduler is not None and trainer.scheduler_step == "epoch":
            if isinstance(trainer.scheduler, ReduceLROnPlateau):
                trainer.scheduler.step(monitored(trainer, trainer.monitor))
            else:
                trainer.scheduler.step()
        trainer.history.epochs.append(trainer.logs)
        bar.values = {k: v for k, v in values.items() if isinstance(v, (int, float))}

    def _validate(self, bar: Progress) -> dict[str, Any] | None:
        """The values of the validation; None when somebody stopped it."""
        trainer, total = self.trainer, length(self.validation)

        def go_on(done: int) -> bool:
            bar.update(0, validation=f"{done}/{'?' if total is None else total}")
            trainer.look_at_clock()
            return trainer.stop_reason is None

        return evaluate(trainer, self.validation, go_on)


def rest_of_pass(loader: Any, done: int) -> Iterator[Any]:
    """A pass that begins with the random numbers as they are now, without its first `done` batches.
    Of a loader that is not ours they are loaded and dropped before this returns."""
    if isinstance(loader, DataLoader) and type(loader).__iter__ is DataLoader.__iter__:
        return loader.iter_from(done)
    batches = iter(loader)
    deque(islice(batches, done), maxlen=0)
    return batches
