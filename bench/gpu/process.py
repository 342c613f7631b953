"""A worker's process: questions with a time limit, and a new process when one has died."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Process:
    """`ask` always answers; what went wrong is in the answer."""

    def __init__(self, library: str, options: list[str], errors: Any) -> None:
        self.command = [sys.executable, str(HERE / "worker.py"), library, *options]
        self.library, self.errors = library, errors
        self.process: subprocess.Popen | None = None
        self.settings: dict[str, Any] = {}
        self.refusal = ""  # why there is none

    def start(self, seconds: float) -> None:
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            cwd=HERE, start_new_session=True,
        )  # fmt: skip
        self.rest = b""
        first = self.read(seconds)
        if "error" in first:
            self.refusal = first["error"]
            self.stop()
        else:
            self.settings = first.get("settings", {})

    def read(self, seconds: float) -> dict[str, Any]:
        """The next line, or what became of it."""
        end = time.monotonic() + seconds
        fd = self.process.stdout.fileno()
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                self.stop()
                return {"error": f"no answer in {seconds:.0f} s"}
            some = os.read(fd, 1 << 16)
            if not some:
                code = self.process.wait()
                self.process = None
                return {"error": f"its process ended with code {code}"}
            self.rest += some
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        if self.process is None and not self.refusal:
            self.start(max(seconds, 60.0))
        if self.refusal:  # no PyTorch is a gap, no gradstone is a failure
            how = "error" if self.library == "gradstone" else "missing"
            return {how: self.refusal, "refused": True}
        try:
            self.process.stdin.write((json.dumps(request) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.process = None
            return {"error": "its process has ended"}
        answer = self.read(seconds)
        if answer.get("lost"):
            self.stop()
        return answer

    def stop(self) -> None:
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None
