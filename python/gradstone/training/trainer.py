"""Training in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from gradstone.optim.optimizer import Optimizer
from gradstone.training import arguments, evaluation, random_state, state
from gradstone.training.averages import Averages
from gradstone.training.callbacks import Callback, Callbacks, check_monitors
from gradstone.training.checkpoint import Checkpoint
from gradstone.training.history import History
from gradstone.training.interruption import Interruption
from gradstone.training.loop import Loop
from gradstone.training.step import Step


class Trainer:
    """Trains a model as the loop written by hand does, with what belongs around it.

        trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), metrics={"accuracy": Accuracy()})
        history = trainer.fit(train_loader, epochs=10, validation=test_loader)

    A batch is (inputs, targets) or (inputs, targets, sample_weights); a list or tuple of inputs is
    passed on as arguments, a dict as keyword arguments. `loss`(output, target) gives a scalar, with
    sample weights loss(output, target, weights).

    - `metrics`: objects with ``update(output, target)``, ``compute()`` and ``reset()`` by name.
    - `scheduler`: stepped at the end of each "epoch", or after each step of the optimizer
      (`scheduler_step` "batch"); ReduceLROnPlateau gets the value of `monitor`.
    - `monitor`: what schedules, early stopping and the best checkpoint look at, a name of the
      history: "val_loss", or "loss" without a validation, unless given.
    - `callbacks`: Callback objects, or functions that take the trainer at the end of each epoch.
    - `clip_norm`, `clip_value`: limits for the gradients' common norm and for each element (by
      value first, when both are given).
    - `accumulate`: batches for one step of the optimizer. Losses are weighted by their samples: the
      step is that of one large batch, for a loss that is a mean over samples, also when the last
      group of an epoch is short. The group is held in memory.
    - `precision`: "bf16" or "fp16" computes in 16 bits (``gs.autocast``), fp16 with a GradScaler.
    - `device`: where to compute; the model is moved there, batches follow. None: where it is.
    - `l1`, `l2`: l1 * sum |w| + l2 * sum w^2 is added to what is minimised, over trained parameters
      of two dimensions and more: neither biases nor the scales of normalisation layers. It is
      not in the loss that is reported, which so compares with the validation's, but "penalty".
    - `ema`: decay of an exponential moving average of the weights, or an EMA object; ``evaluate``,
      ``predict`` and the validation then use the averaged weights.
    - `mix`: MixUp, CutMix, or another function of (inputs, targets) that gives both anew, for each
      training batch. There metrics compare with the mixed targets, in the form of those given:
      where these are classes, with the class that has the largest share. Validation is not mixed.
    - `checkpoint_dir`: folder for last.gs and best.gs (see Checkpoint), `checkpoint_every`: write
      last.gs after each so many batches too.
    - `seed`: seeds all random numbers when a fit begins. The model's weights are drawn before:
      ``seed_everything`` comes before making it.
    - `progress`: a bar on a terminal that has rich, elsewhere one line for each epoch.
    - `fast_dev_run`: one batch of everything, to see that it runs; nothing is written.
    - `max_time`: seconds after which a fit ends, as if interrupted.
    - `check_finite`: stop with a FloatingPointError that names the layer when the loss or a
      gradient is not finite: on the CPU at that step, before the weights are changed; on a GPU,
      which would have to be waited for, the loss is looked at every 50 batches.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        loss: Callable[..., Any],
        metrics: dict[str, Any] | None = None,
        *,
        scheduler: Any = None,
        scheduler_step: str = "epoch",
        monitor: str | None = None,
        callbacks: Iterable[Any] = (),
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        precision: str | None = None,
        device: Any = None,
        l1: float = 0.0,
        l2: float = 0.0,
        ema: Any = None,
        mix: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        seed: int | None = None,
        progress: bool = True,
        fast_dev_run: bool = False,
        max_time: float | None = None,
        check_finite: bool = True,
    ) -> None:
        arguments.check(
            model, optimizer, loss, accumulate, scheduler, scheduler_step, max_time, mix=mix
        )
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.scheduler_step = scheduler_step
        self.metrics = arguments.named_metrics(metrics or {})
        self.device = arguments.place(model, device)
        self.compute = Step(
            model,
            optimizer,
            loss,
            self.device,
            precision=precision,
            clip_norm=clip_norm,
            clip_value=clip_value,
            l1=l1,
            l2=l2,
            check_finite=check_finite,
        )
        self.accumulate = accumulate
        self.ema = arguments.averaged_weights(model, ema)
        self.mix = mix
        self.seed = seed
        self.progress = progress
        self.fast_dev_run = fast_dev_run
        self.max_time = max_time
        self._monitor = monitor
        if isinstance(callbacks, Callback):
            callbacks = [callbacks]
        self._arrange(list(callbacks), checkpoint_dir, checkpoint_every)
        self.averages = Averages(self.metrics)
        self._fitting = False
        self._mode = True  # training mode, unless a callback has it otherwise when a fit begins
        self._reset()

    def _arrange(self, callbacks: list[Any], folder: Any, every: int | None) -> None:
        """Checkpoints come last: they keep what the other callbacks did at the end of an epoch."""
        given = [c for c in callbacks if isinstance(c, Checkpoint)]
        if folder is not None:
            if given:
                raise ValueError("[Trainer] expected checkpoint_dir or a Checkpoint, got both.")
            given = [Checkpoint(folder, every=every)]
        elif every is not None:
            raise ValueError("[Trainer] checkpoint_every needs checkpoint_dir, where to write.")
        if len(given) > 1:
            raise ValueError(f"[Trainer] expected one Checkpoint, got {len(given)}.")
        others = [c for c in callbacks if not isinstance(c, Checkpoint)]
        everybody = [*others, *given]
        if self.fast_dev_run:
            everybody = [c for c in everybody if not getattr(c, "writes_files", False)]
            given = []
        self.callbacks = Callbacks(everybody)
        self.checkpoint: Checkpoint | None = given[0] if given else None

    def _reset(self) -> None:
        self.history = History()
        self.logs: dict[str, Any] = {}
        self.epoch = 0  # from 1, while one is under way
        self.batch = 0  # done in this epoch
        self.step = 0  # of the optimizer, in all
        self.length: int | None = None  # batches of an epoch, where that is known
        self.samples: int | None = None  # of the data set, where that is known
        self.trained = False  # whether the training part of this epoch is over
        self.resumed = False
        self.paused = False  # ended by Ctrl-C or max_time: a resumed fit goes on
        self.failed = False
        self.stop_reason: str | None = None
        self.inputs: Any = None  # of the batch that is under way, and what came of them
        self.targets: Any = None
        self.output: Any = None
        self.loss: Any = None
        self.pass_start: dict[str, Any] = {}
        self.after_training: dict[str, Any] | None = None
        self.generators: list[Any] = []
        self.validated = False  # whether each epoch has a validation
        self.deadline: float | None = None
        self.epoch_began = 0.0

    # --------------------------------------------------------------------------------------- fit

    def fit(
        self,
        loader: Iterable[Any],
        epochs: int,
        validation: Iterable[Any] | None = None,
        resume: bool | str | os.PathLike[str] = False,
    ) -> History:
        """Trains until `epochs` epochs are done, and returns their history.

        `resume` True goes on from checkpoint_dir's last.gs, or begins where there is none; a path
        goes on from that file or folder. `epochs` counts those of before. The results have the same
        bits as without the interruption, for loaders that draw their order when a pass begins, as
        ours do.

        Ctrl-C ends the fit after the step it is in, with the checkpoint written and
        ``history.interrupted`` set; a second Ctrl-C raises KeyboardInterrupt.
        """
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
            got = type(epochs).__name__ if hasattr(epochs, "shape") else repr(epochs)
            raise ValueError(f"[Trainer.fit] expected epochs to be a whole number >= 1, got {got}.")
        if self._fitting:
            raise RuntimeError("[Trainer.fit] this trainer is in a fit already: make another one.")
        self._reset()
        if self.fast_dev_run:
            epochs, resume = 1, False
        arguments.check_loader("Trainer.fit", loader, epochs)
        if validation is not None:
            arguments.check_loader("Trainer.fit, validation", validation, epochs)
        self.length = 1 if self.fast_dev_run else arguments.length(loader)
        self.samples = arguments.samples(loader)
        self.validated = validation is not None
        check_monitors(self)
        self.generators = random_state.generators_of((loader, validation, self.mix))
        saved = self._find(resume)
        self.resumed = saved is not None
        if saved is not None:
            state.check(self, saved)
        elif self.seed is not None:
            random_state.seed_everything(self.seed)
        self.model.train()
        if self.max_time is not None:
            self.deadline = perf_counter() + self.max_time
        with Interruption(self._interrupt):
            self.failed = self._fitting = True  # until proved otherwise
            try:
                self.callbacks("fit_start", self)
                self._mode = self.model.training
                if saved is not None:
                    self._restore(saved)
                    self._say_if_done(epochs)
                Loop(self, loader, validation, epochs).run(saved)
                self._end()
                self.failed = False
            finally:
                self._fitting = False
                self.callbacks.end(self)
        return self.history

    def _end(self) -> None:
        """Says why the fit ended, and keeps where it was."""
        self.history.stopped = self.stop_reason
        self.history.interrupted = self.paused and self.stop_reason == "interrupted"
        inside = len(self.history) != self.epoch
        if self.checkpoint is not None and (self.paused or inside):
            self.checkpoint.save(self)

    def begin_epoch(self) -> None:
        """Everything that belongs to one epoch, anew."""
        self.epoch = len(self.history) + 1
        self.batch, self.trained, self.logs = 0, False, {}
        self.after_training = None
        self.epoch_began = perf_counter()
        self.averages.start()
        if self.model.training is not self._mode:
            self.model.train(self._mode)  # a callback looked at the model and left it so

    # ------------------------------------------------------------------------ evaluate and predict

    def evaluate(self, loader: Iterable[Any]) -> dict[str, Any]:
        """{"loss": mean over samples, and each metric}, in evaluation mode and without gradients;
        with an EMA, of the averaged weights. The modes of the modules are afterwards as before.
        ValueError for a loader without batches."""
        result = evaluation.evaluate(self, loader)
        assert result is not None
        return result

    def predict(self, loader: Iterable[Any]) -> Any:
        """The outputs for all samples in the loader's order: a tensor, or where the model gives
        several a tuple (for a list too) or a dict of tensors, nested as the model's.

        Batches are (inputs, targets), whose targets are left aside, or inputs alone: a tensor, a
        dict, or a list of one.
        """
        return evaluation.predict(self, loader)

    # ------------------------------------------------------------------------------------ stopping

    def stop(self, reason: str) -> None:
        """Ends the fit after the step that it is in; for callbacks. A resumed fit does not go on:
        the training is over."""
        if self.stop_reason is None or self.paused:
            self.stop_reason, self.paused = reason, False

    def _pause(self, reason: str) -> None:
        """Ends the fit after the step; a resumed one goes on."""
        if self.stop_reason is None:
            self.stop_reason, self.paused = reason, True

    def look_at_clock(self) -> None:
        """Pauses when max_time is over."""
        if self.deadline is not None and perf_counter() > self.deadline:
            self._pause("max_time")

    def _interrupt(self) -> None:
        self._pause("interrupted")
        if self.progress:
            # Not print(): this is inside a signal handler.
            os.write(2, b"\nCtrl-C: ending this batch; once more stops at once\n")

    # --------------------------------------------------------------------------------------- state

    @property
    def monitor(self) -> str:
        """The name of the value that decides."""
        return self._monitor or ("val_loss" if self.validated else "loss")

    def seconds(self) -> float:
        """Since the epoch began, time before an interruption included."""
        return perf_counter() - self.epoch_began

    def weights(self) -> dict[str, Any]:
        """{"model": its state, "ema": the averaged weights' or None}; tensors are shared."""
        ema = None if self.ema is None else self.ema.state_dict()
        return {"model": self.model.state_dict(), "ema": ema}

    def load_weights(self, weights: dict[str, Any]) -> None:
        """Takes what ``weights`` gave."""
        self.model.load_state_dict(weights["model"])
        if self.ema is not None:
            self.ema.load_state_dict(weights["ema"])

    def state_dict(self) -> dict[str, Any]:
        """The whole state of the run, as a checkpoint holds it; tensors are shared."""
        return state.collect(self)

    def _find(self, resume: bool | str | os.PathLike[str]) -> dict[str, Any] | None:
        """The state to go on from."""
        if resume is False:
            return None
        if resume is True:
            if self.checkpoint is None:
                raise ValueError(
                    "[Trainer.fit] resume=True needs the Trainer's checkpoint_dir; or give a path."
                )
            if not self.checkpoint.last_path.exists():
                return None
            resume = self.checkpoint.folder
        return state.read(resume, self.device)

    def _say_if_done(self, epochs: int) -> None:
        """A fit that finds itself done would else be over without a word."""
        if self.progress and (self.stop_reason is not None or len(self.history) >= epochs):
            why = self.stop_reason or f"of the {epochs} epochs asked for"
            print(f"resumed: {len(self.history)} epochs are done, none is left ({why})")

    def _restore(self, saved: dict[str, Any]) -> None:
        state.restore(self, saved)
        self.epoch = len(self.history)
        self.stop_reason = saved["position"]["finished"]
