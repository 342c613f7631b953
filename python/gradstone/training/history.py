"""What happened in each epoch, as numbers, a table and a picture."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path
from typing import Any

from gradstone._replace import write_file

# Kept in every epoch's record, but no curves.
_NO_CURVE = ("epoch", "seconds", "samples_per_second")


class History:
    """One dict for each epoch: ``history.epochs``; ``history["val_loss"]`` is a list over epochs.

    Records hold "epoch" (from 1), "loss", the metrics, with a validation the same under "val_",
    "lr" (of the first parameter group, while the epoch ran), "seconds" (of the epoch, validation
    included) and "samples_per_second" (of its training part).

    `interrupted`: the fit was ended by Ctrl-C. `stopped`: why it ended before its last epoch, or
    None.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.interrupted = False
        self.stopped: str | None = None

    @property
    def names(self) -> list[str]:
        """What the records hold, in the order of first appearance."""
        return list(dict.fromkeys(name for record in self.epochs for name in record))

    def __getitem__(self, name: str) -> list[Any]:
        values = [record[name] for record in self.epochs if name in record]
        if not values:
            known = ", ".join(self.names) or "nothing yet"
            raise KeyError(f"the history has no {name!r}; it has {known}.")
        return values

    def __contains__(self, name: object) -> bool:
        return any(name in record for record in self.epochs)

    def __len__(self) -> int:
        return len(self.epochs)

    def __repr__(self) -> str:
        end = f", stopped: {self.stopped}" if self.stopped else ""
        return f"History({len(self)} epochs: {', '.join(self.names)}{end})"

    # ------------------------------------------------------------------------------------- files

    def state_dict(self) -> dict[str, Any]:
        """Everything, as ``gs.save`` and JSON take it."""
        return {
            "epochs": [dict(record) for record in self.epochs],
            "interrupted": self.interrupted,
            "stopped": self.stopped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what ``state_dict`` gave."""
        self.epochs = [dict(record) for record in state["epochs"]]
        self.interrupted = bool(state["interrupted"])
        self.stopped = state["stopped"]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON; nan and infinities, which JSON does not know, as text."""
        text = json.dumps(_plain(self.state_dict()), indent=1, allow_nan=False)
        write_file(path, f"{text}\n".encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """What ``save`` wrote. ValueError for other files."""
        try:
            state = _numbers(json.loads(Path(path).read_text(encoding="utf-8")))
            history = cls()
            history.load_state_dict(state)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is no history: {type(error).__name__}: {error}.") from None
        return history

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """A table with a line for each epoch and a column for each name."""
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, self.names)
        writer.writeheader()
        writer.writerows(self.epochs)
        write_file(path, file.getvalue().encode())

    # ----------------------------------------------------------------------------------- picture

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Curves over epochs, training and validation together, one field for each name.

        Writes a picture in the format of the path's ending, or without a path returns matplotlib's
        figure. ImportError where matplotlib is not installed.
        """
        names = self._curves()
        if not names:
            raise ValueError("the history has no epoch to draw yet.")
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError(
                "History.plot needs matplotlib: pip install 'gradstone[plot]'"
            ) from None
        columns = min(3, len(names))
        rows = -(-len(names) // columns)
        figure = Figure(figsize=(4.5 * columns, 3.2 * rows), layout="constrained")
        fields = figure.subplots(rows, columns, squeeze=False).flat
        for field, name in zip(fields, names):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                points = [(r["epoch"], r[key]) for r in self.epochs if _is_number(r.get(key))]
                if points:
                    field.plot(*zip(*points), marker="o" if len(points) < 30 else "", label=label)
            field.set_title(name.replace("_", " "))
            field.set_xlabel("epoch")
            field.xaxis.get_major_locator().set_params(integer=True)
            field.grid(alpha=0.3)
            if f"val_{name}" in self:
                field.legend()
        for field in list(fields)[len(names) :]:
            field.axis("off")
        if path is None:
            return figure
        figure.savefig(path, dpi=110)
        return None

    def _curves(self) -> list[str]:
        """Names that are numbers, validation under the name it belongs to; the rate when it
        changes."""
        names = []
        for key in self.names:
            name = key.removeprefix("val_")
            if key in _NO_CURVE or name in names or not any(map(_is_number, self[key])):
                continue
            if key != "lr" or len(set(self[key])) > 1:
                names.append(name)
        return sorted(names, key=lambda name: (name != "loss", name == "lr"))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _plain(value: Any) -> Any:
    """JSON has no nan and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _numbers(value: Any) -> Any:
    """The inverse of ``_plain``."""
    if isinstance(value, dict):
        if list(value) == ["float"]:
            return float(value["float"])
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    return value
