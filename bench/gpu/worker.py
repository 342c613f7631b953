"""One library in one process: prepares and times the rows that the parent names.

    python worker.py LIBRARY [--tiny] [--torch-device cpu] [--compile]

A line of JSON each way: {"row": ..., "side": "ours" | "theirs", "way": ..., "seconds": ...} ->
what timing.measure gives, or {"missing": why} or {"error": text}. "lost": the process can be of no
more use, a kernel's fault stays in it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from typing import Any

from libraries import Library, Missing, library
from rows import Row, classes
from timing import measure


def one_line(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text} ({os.path.basename(where.filename)}:{where.lineno})"


class Worker:
    """Keeps what the current row's ways have prepared."""

    def __init__(self, lib: Library) -> None:
        self.lib = lib
        self.rows: dict[str, Row] = {
            f"{c.name}/{row.name}": row for c in classes(lib.tiny) for row in c.rows
        }
        self.current = ""
        self.prepared: dict[str, Any] = {}

    def prepare(self, name: str, side: str, way: str) -> list[Any]:
        if name != self.current:
            self.prepared.clear()
            self.lib.empty_cache()
            self.lib.float32_products("exact")  # a row that wants another says so itself
            self.current = name
        if way not in self.prepared:
            self.lib.note = ""
            calls = getattr(self.rows[name], side)[way](self.lib)
            calls = calls if isinstance(calls, list) else [calls]
            calls[0]()
            self.lib.synchronize()
            self.prepared[way] = calls, self.lib.note
        return self.prepared[way]

    def answer(self, request: dict) -> dict:
        row = self.rows[request["row"]]
        if request.get("error"):
            return {"value": row.error(self.lib)}
        calls, note = self.prepare(request["row"], request["side"], request["way"])
        return measure(self.lib, calls, request["seconds"], row.device) | {"note": note}

    def is_lost(self) -> bool:
        try:
            self.lib.synchronize()
        except RuntimeError:
            return True
        return False


def serve(worker: Worker, out: Any) -> None:
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Missing as error:
            answer = {"missing": str(error)}
        except (Exception, KeyboardInterrupt) as error:
            worker.prepared.clear()
            answer = {"error": one_line(error), "lost": worker.is_lost()}
        print(json.dumps(answer), file=out, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--torch-device", default="cuda")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        lib = library(options.library, options.tiny, options.torch_device)
        lib.compiles = options.compile
        worker = Worker(lib)
        first = {"settings": lib.settings()}
    except (Exception, SystemExit) as error:
        print(json.dumps({"error": one_line(error)}), file=out, flush=True)
        return
    print(json.dumps(first), file=out, flush=True)
    serve(worker, out)


if __name__ == "__main__":
    main()
