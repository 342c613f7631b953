"""The process in which ``gradstone bench`` runs a library:

    python -m gradstone.cli.bench_worker LIBRARY THREADS

answers each line of JSON with one: {} with the library's version, {"case": name, "seconds": budget}
with {"time": seconds per call}, or {"error": text}.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
import time
from typing import Any

from gradstone.cli.bench_cases import CASES, Call


def time_call(function: Call, budget: float) -> float:
    """Seconds of a call: as many as fit in the budget, after one to warm up."""
    start = time.perf_counter()
    function()
    once = time.perf_counter() - start
    count = max(1, min(100_000, int(budget / max(once, 1e-7))))
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count


def work(library: str, threads: int) -> None:
    """Answers until stdin ends."""
    ready: dict[str, Call] = {}
    module: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, object]
        try:
            if module is None:
                module = importlib.import_module(library)
                module.set_num_threads(threads)
                module.manual_seed(0)
            if not request:
                answer = {"version": module.__version__}
            else:
                case = request["case"]
                if case not in ready:
                    ready.clear()  # frees what the last case held
                    ready[case] = CASES[case](module)
                    ready[case]()
                answer = {"time": time_call(ready[case], request["seconds"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it ends this process
    work(sys.argv[1], int(sys.argv[2]))
