"""One library in one process: times the cases that the parent names, when it names them.

    python worker.py LIBRARY THREADS [--pin]

LIBRARY is a module with PyTorch's names, which runs the cases of `cases/`, or one of `peers/`, that
says itself how it runs them (`makers`). --pin also keeps the process on as many CPUs as it has
threads, from before the import: some libraries size their thread pools by that alone.

Protocol: a first line when the library is imported, so that nobody is timed meanwhile; then a line
of JSON each way: {"case": name, "seconds": budget} -> {"time": seconds per call}, with a "note"
where the library has something to say of how it ran the case, or {"error": text}.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cases import all_cases


def time_call(function, budget: float) -> float:
    """Seconds per call: as many calls as fit in the budget (at least one), after a warm-up call."""
    start = time.perf_counter()
    function()
    once = time.perf_counter() - start
    count = max(1, min(100_000, int(budget / max(once, 1e-7))))
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count


def makers(library: Any) -> dict[str, Callable[[], Callable[[], object]]]:
    """By case: what prepares it and returns the function to time."""
    if hasattr(library, "makers"):
        return library.makers()
    return {case.name: partial(case.make, library) for case in all_cases()}


def start(name: str, threads: int, pin: bool) -> dict[str, Callable[[], Callable[[], object]]]:
    if pin:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    library = importlib.import_module(name)
    library.set_num_threads(threads)
    return makers(library)


def main() -> None:
    try:
        cases, ready = start(sys.argv[1], int(sys.argv[2]), "--pin" in sys.argv), {"ready": True}
    except Exception as error:
        cases, ready = {}, {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(ready), flush=True)
    name, function = None, None
    for line in sys.stdin:
        request = json.loads(line)
        if "error" in ready:
            print(json.dumps(ready), flush=True)
            continue
        try:
            if request["case"] != name:
                function = None  # free the last case's tensors first
                name = request["case"]
                function = cases[name]()
                function()
            seconds = time_call(function, request["seconds"])
            answer = {"time": seconds, "note": getattr(function, "note", "")}
        except Exception as error:
            name, answer = None, {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
