"""Running other programs: with a time limit, all their children, a log, and no exceptions."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# What a command returns here when its time was up, as `timeout` does.
TIMED_OUT = 124


@dataclass
class Answer:
    """How a command ended: its code (TIMED_OUT when it was stopped) and what it printed."""

    command: list[str]
    code: int
    text: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.code == 0

    def end(self, lines: int = 30) -> str:
        kept = self.text.rstrip().splitlines()[-lines:]
        how = "stopped, its time was up" if self.code == TIMED_OUT else f"code {self.code}"
        return "\n".join([f"{' '.join(self.command[:6])} ...: {how}", *("    " + k for k in kept)])


def stop(process: subprocess.Popen) -> None:
    """The process and what it started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(2 if how == signal.SIGTERM else 10)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


class Log:
    """Everything that the commands printed, in one file."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def add(self, text: str) -> None:
        with self.lock, self.path.open("a") as out:
            out.write(text if text.endswith("\n") else text + "\n")


def call(
    command: list[str | Path], seconds: float, log: Log, env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> Answer:  # fmt: skip
    """Runs a command for at most so many seconds. One that does not exist answers 127."""
    words = [str(word) for word in command]
    begin = time.monotonic()
    if seconds <= 0:
        return Answer(words, TIMED_OUT, "no time was left", 0.0)
    try:
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return Answer(words, 127, str(error), 0.0)
    try:
        out, _ = process.communicate(timeout=seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        stop(process)
        out, _ = process.communicate()
        code = TIMED_OUT
    except BaseException:
        stop(process)
        raise
    text = out.decode(errors="replace")
    took = time.monotonic() - begin
    log.add(f"\n$ {' '.join(words)}\n{text}\n[{code}, {took:.1f} s]")
    return Answer(words, code, text, took)


def call_all(jobs: int, calls: list) -> list:
    """The results of functions, run `jobs` at a time, in their order."""
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        return list(pool.map(lambda function: function(), calls))


def program(name: str, *folders: Path) -> Path | None:
    """Where a program is: on PATH or in one of the folders."""
    found = shutil.which(name)
    if found:
        return Path(found)
    return next((f / name for f in folders if os.access(f / name, os.X_OK)), None)
