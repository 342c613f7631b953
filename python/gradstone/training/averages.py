"""The loss and the metrics of an epoch, added up where they are computed."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.training.batches import detached, on_device


class Averages:
    """Means over samples, and metrics. Nothing is read from another device before ``result``."""

    def __init__(self, metrics: dict[str, Any]) -> None:
        self.metrics = metrics
        self.start()

    def start(self) -> None:
        """Forgets everything."""
        self.samples = 0
        self.sums: dict[str, Any] = {}
        for metric in self.metrics.values():
            metric.reset()

    def add(self, name: str, value: Tensor, samples: int) -> None:
        """A mean over so many samples. Sums are float64, so that long epochs lose nothing: numbers
        for the CPU, which need not wait for its own results, tensors on other devices."""
        if value.device.type == "cpu":
            self.sums[name] = self.sums.get(name, 0.0) + value.item() * samples
            return
        total = self.sums.get(name, 0.0)
        if not isinstance(total, Tensor):
            self.sums[name] = total = _C._full((), total, _C.float64, value.device)
        total.add_(_C._cast(value.detach(), _C.float64), alpha=samples)

    def measure(self, output: Any, target: Any) -> None:
        """Shows a batch to the metrics."""
        with no_grad():
            output = detached(output)
            for metric in self.metrics.values():
                metric.update(output, target)

    def mean(self, name: str) -> float:
        """The mean until now; waits for the device."""
        total = self.sums[name]
        return float(total.item() if isinstance(total, Tensor) else total) / self.samples

    def result(self) -> dict[str, Any]:
        """Means and metrics as numbers; a metric of several elements as nested lists."""
        values: dict[str, Any] = {name: self.mean(name) for name in self.sums}
        with no_grad():
            for name, metric in self.metrics.items():
                values[name] = as_number(metric.compute())
        return values

    # -------------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """Sums, and the state of each metric."""
        return {
            "samples": self.samples,
            "sums": dict(self.sums),
            "metrics": {name: metric_state(m) for name, m in self.metrics.items()},
        }

    def load_state_dict(self, state: dict[str, Any], device: Any) -> None:
        """Takes what ``state_dict`` gave. ValueError when the metrics have other names."""
        if set(state["metrics"]) != set(self.metrics):
            raise ValueError(
                "[Trainer.fit] the checkpoint was written in the middle of an epoch with the "
                f"metrics {sorted(state['metrics'])}, the trainer has {sorted(self.metrics)}."
            )
        self.samples = state["samples"]
        self.sums = {name: on_device(total, device) for name, total in state["sums"].items()}
        for name, metric in self.metrics.items():
            load_metric_state(metric, state["metrics"][name])


def as_number(value: Any) -> Any:
    """A float where there is one element, nested lists where there are more."""
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value.tolist()
    return value


_SAVED = (Tensor, int, float, str, list, tuple, dict, type(None))


def metric_state(metric: Any) -> dict[str, Any]:
    """A metric's counts: its ``state_dict()``, or else its attributes that can be saved."""
    if hasattr(metric, "state_dict"):
        return metric.state_dict()
    return {k: v for k, v in vars(metric).items() if isinstance(v, _SAVED)}


def load_metric_state(metric: Any, state: dict[str, Any]) -> None:
    """Takes what ``metric_state`` gave."""
    if hasattr(metric, "load_state_dict"):
        metric.load_state_dict(state)
    else:
        vars(metric).update(state)
