"""A run of `make gpu`: its settings, its clock, what its stages found."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import Answer, Log, call

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Stage:
    """What a stage found. `ok` None: it could not be done here, which is no failure."""

    name: str
    ok: bool | None = True
    seconds: float = 0.0
    summary: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    build: Path
    emulated: bool  # on the emulator: everything runs, no figure means anything
    quick: bool
    deadline: float  # of time.monotonic()
    jobs: int
    log: Log
    architecture: str = "90a"
    about: dict[str, str] = field(default_factory=dict)
    test_seconds: dict[str, float] = field(default_factory=dict)  # of each kernel test
    printed: list[str] = field(default_factory=list)

    def say(self, text: str = "") -> None:
        print(text, flush=True)
        self.printed.append(text)
        self.log.add(text)

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def call(self, command: list[str | Path], seconds: float, **more: Any) -> Answer:
        return call(command, min(seconds, self.left()), self.log, **more)

    @property
    def site(self) -> Path:
        return self.build / "site"

    def python_path(self, *more: Path) -> dict[str, str]:
        before = os.environ.get("PYTHONPATH", "")
        words = [str(self.site), *map(str, more), *([before] if before else [])]
        return {"PYTHONPATH": os.pathsep.join(words)}

    def python(self, *words: str | Path) -> list[str | Path]:
        return [sys.executable, *words]
