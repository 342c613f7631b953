"""What callbacks are, and several as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

HOOKS = (
    "on_train_begin on_train_end on_epoch_begin on_epoch_end on_train_batch_begin "
    "on_train_batch_end "
    "on_test_begin on_test_end on_test_batch_begin on_test_batch_end on_predict_begin "
    "on_predict_end "
    "on_predict_batch_begin on_predict_batch_end"
).split()


class Callback:
    """Write the methods you need; each gets the numbers so far as `logs`."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model that is trained."""
        return self._model

    def set_model(self, model: Any) -> None:
        """Called before training."""
        self._model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before training with verbose, epochs and steps."""
        self.params = params

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """The older name of ``on_train_batch_begin``."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """The older name of ``on_train_batch_end``."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch."""
        self.on_batch_end(batch, logs)


def _nothing(self: Any, *args: Any, **kwargs: Any) -> None:
    """Nothing, unless a subclass writes it."""


for _hook in HOOKS:
    if not hasattr(Callback, _hook):
        setattr(Callback, _hook, _nothing)


class CallbackList:
    """Several callbacks as one."""

    def __init__(self, callbacks: Iterable[Any], model: Any, params: dict[str, Any]) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def watches_batches(self, kind: str) -> bool:
        """Whether a callback does something at each batch, and so needs numbers then."""
        names = [f"on_{kind}_batch_begin", f"on_{kind}_batch_end"]
        names += ["on_batch_begin", "on_batch_end"] if kind == "train" else []
        return any(
            getattr(type(c), name, None) is not getattr(Callback, name) or name in c.__dict__
            for c in self.callbacks
            for name in names
        )

    def call(self, hook: str, *args: Any, **kwargs: Any) -> None:
        """The hook of every callback, in order."""
        for callback in self.callbacks:
            getattr(callback, hook)(*args, **kwargs)
