"""``gradstone bench``: a few timings, beside PyTorch's where it is installed."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import statistics
import subprocess
import sys
from typing import Any

from gradstone import _C
from gradstone.cli.bench_cases import CASES
from gradstone.cli.errors import UserError, positive, seconds, thread_count
from gradstone.cli.info import processor
from gradstone.config import __version__

_EXAMPLES = """\
examples:
  gradstone bench
  gradstone bench --threads 1 --only step     training steps, on one thread
  gradstone bench --rounds 9 --seconds 0.3 --json > bench.json
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "bench",
        help="a few timings of operations and training steps, beside PyTorch's",
        description="Times a few operations and training steps. Where PyTorch is installed, it "
        "does the same work in a process of its own, in turns; a ratio is PyTorch's time over "
        "gradstone's: above 1, gradstone is faster. Leave the machine alone meanwhile.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="cases that contain one of these")
    parser.add_argument("--threads", type=thread_count, help="for each library (default: all CPUs)")
    parser.add_argument(
        "--rounds", type=positive, default=5, help="turns of each library (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=seconds, default=0.1, help="of a turn (default: %(default)s)"
    )
    parser.add_argument("--no-torch", action="store_true", help="gradstone alone")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


class Worker:
    """A library in a process of its own, idle unless asked: neither's threads or memory are in the
    other's way."""

    def __init__(self, library: str, threads: int) -> None:
        self.library = library
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gradstone.cli.bench_worker", library, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One line of JSON each way."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise UserError(f"the process that runs {self.library} ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            hint = " (--no-torch leaves it out)" if self.library == "torch" else ""
            raise UserError(f"{self.library}: {answer['error']}{hint}")
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def _duration(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def measure(workers: list[Worker], case: str, rounds: int, budget: float) -> dict[str, float]:
    """Seconds of one call by library: the median of the turns."""
    turns: dict[str, list[float]] = {worker.library: [] for worker in workers}
    for _ in range(rounds):
        for worker in workers:
            answer = worker.ask({"case": case, "seconds": budget})
            turns[worker.library].append(answer["time"])
    return {library: statistics.median(times) for library, times in turns.items()}


def _headline(versions: dict[str, str], threads: int) -> str:
    names = ", ".join(f"{library} {version}" for library, version in versions.items())
    return f"{names}; threads: {threads}; {processor()} ({_C.isa()}), {platform.system()}"


def run(args: argparse.Namespace) -> None:
    cases = [case for case in CASES if not args.only or any(t in case for t in args.only)]
    if not cases:
        raise UserError(f"no case contains {' or '.join(args.only)}; there are {', '.join(CASES)}")
    threads = args.threads or _C.num_threads()
    beside = not args.no_torch and importlib.util.find_spec("torch") is not None
    workers: list[Worker] = []
    try:
        workers += [Worker(name, threads) for name in ("gradstone", "torch")[: 1 + beside]]
        versions = {worker.library: worker.ask({})["version"] for worker in workers}
        results = {}
        if not args.json:
            print(_headline(versions, threads))
            print(f"{'case':<24}" + "".join(f"{library:>12}" for library in versions), end="")
            print(f"  {'ratio':>7}" if beside else "")
        for case in cases:
            times = measure(workers, case, args.rounds, args.seconds)
            results[case] = times
            if not args.json:
                print(_row(case, times), flush=True)
    finally:
        for worker in workers:
            worker.close()
    ratios = [times["torch"] / times["gradstone"] for times in results.values() if beside]
    if args.json:
        facts = {"processor": processor(), "isa": _C.isa(), "threads": threads}
        print(json.dumps({**facts, "versions": versions, "seconds": results}, indent=2))
    elif ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"geometric mean of the ratios: {mean:.2f} (above 1, gradstone is faster)")
    elif not args.no_torch:
        print(f"PyTorch is not installed: gradstone {__version__} stands alone")


def _row(case: str, times: dict[str, float]) -> str:
    text = f"{case:<24}" + "".join(f"{_duration(t):>12}" for t in times.values())
    if "torch" in times:
        text += f"  {times['torch'] / times['gradstone']:7.2f}"
    return text
