"""One library in one process: times the cases that the parent names, when it names them.

Protocol, a line of JSON each way: {"case": name, "seconds": budget} -> {"time": seconds per call}.
"""

import importlib
import json
import sys
import time

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


def main() -> None:
    library, threads = importlib.import_module(sys.argv[1]), int(sys.argv[2])
    library.set_num_threads(threads)
    cases = {case.name: case for case in all_cases()}
    name, function = None, None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["case"] != name:
                function = None  # free the last case's tensors first
                name = request["case"]
                function = cases[name].make(library)
                function()
            answer = {"time": time_call(function, request["seconds"])}
        except Exception as error:
            name, answer = None, {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
