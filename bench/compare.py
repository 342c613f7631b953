"""gradstone beside PyTorch: every case timed alternately in two processes, medians, as ratios.

    python bench/compare.py                    everything, at one thread and at two
    python bench/compare.py --only gemm conv   names that contain one of these
    python bench/compare.py --json FILE        also as JSON
    python bench/compare.py --against FILE     and gradstone's time in that run over its time now
    python bench/compare.py --busy             with another process that keeps one core busy

A ratio is PyTorch's time over gradstone's: above 1, gradstone is faster.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from cases import all_cases

HERE = Path(__file__).parent
PAUSE = 0.02  # seconds between turns: OpenMP's threads spin for 8 ms after their last operation


class Worker:
    """A library in a process of its own, idle unless asked. `options` are worker.py's."""

    def __init__(
        self, library: str, threads: int, *options: str, python: str | Path = sys.executable
    ) -> None:
        self.note = ""  # what the library said of the last case
        self.ready = False
        self.process = subprocess.Popen(
            [str(python), str(HERE / "worker.py"), library, str(threads), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE,
        )  # fmt: skip

    def wait(self) -> None:
        """Until the library is imported."""
        if not self.ready:
            self.process.stdout.readline()
            self.ready = True

    def time(self, case: str, seconds: float) -> float:
        try:
            self.process.stdin.write(json.dumps({"case": case, "seconds": seconds}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            raise RuntimeError(f"the worker died in {case}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        self.note = answer.get("note", "")
        return answer["time"]

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def machine() -> dict[str, str]:
    cpu = platform.processor()
    for line in (
        Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    ):
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE
    ).stdout.strip()
    code = "import gradstone; print(gradstone._C.isa())"
    isa = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    ).stdout.strip()
    return {
        "cpu": cpu, "cpus": str(len(os.sched_getaffinity(0))), "isa": isa,
        "system": platform.platform(),
        "python": platform.python_version(), "commit": commit,
        **{name: metadata.version(name) for name in ("gradstone", "torch", "numpy")},
    }  # fmt: skip


def peaks(program: Path | None, isa: str) -> dict[int, dict[str, float]]:
    """GFLOP/s and GB/s that this machine reaches at one thread and at two (bench_peak.cpp)."""
    out: dict[int, dict[str, float]] = {}
    if program is None:
        return out
    command = [str(program), "--benchmark_filter=^peak/", "--benchmark_format=json"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for row in json.loads(text)["benchmarks"]:
        kind, threads = (
            row["name"].split("/")[1],
            int(row["name"].split("threads:")[1].split("/")[0]),
        )
        if kind == isa:
            out.setdefault(threads, {})["gflops"] = row["FLOP/s"] / 1e9
        if kind == "copy":
            out.setdefault(threads, {})["gbytes"] = row["bytes/s"] / 1e9
    return out


def import_row() -> list[dict]:
    """Import time over NumPy's own, and installed size."""

    def seconds(code: str) -> float:
        out = []
        for _ in range(5):
            timer = f"import time, numpy; t = time.perf_counter(); {code}; "
            timer += "print(time.perf_counter() - t)"
            out.append(
                float(
                    subprocess.run(
                        [sys.executable, "-c", timer], capture_output=True, text=True, check=True
                    ).stdout
                )
            )
        return statistics.median(out)

    def size(name: str) -> int:
        files = metadata.files(name) or []
        return sum(p.stat().st_size for f in files if (p := Path(f.locate())).exists())

    return [
        {
            "case": "import",
            "threads": 1,
            "gradstone": seconds("import gradstone"),
            "torch": seconds("import torch"),
        },
        {
            "case": "installed-size-MB",
            "threads": 1,
            "gradstone": size("gradstone") / 1e6,
            "torch": size("torch") / 1e6,
        },
    ]


def show(seconds: float) -> str:
    for unit, scale in (("s ", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:8.2f} {unit}"
    return f"{seconds / 1e-9:8.0f} ns"


def start_workers(threads: int) -> dict[str, Worker]:
    return {name: Worker(name, threads) for name in ("gradstone", "torch")}


def alternate(
    workers: dict[str, Worker], case: str, rounds: int, seconds: float, rest: float = PAUSE
) -> tuple[dict[str, float], dict[str, str]]:
    """Medians of alternating turns, and the errors of the libraries that failed. `rest` seconds
    before each turn the other library's threads stop spinning."""
    times: dict[str, list[float]] = {name: [] for name in workers}
    errors: dict[str, str] = {}
    for worker in workers.values():
        worker.wait()
    for _ in range(rounds):
        for name, worker in workers.items():
            if name in errors:
                continue
            try:
                time.sleep(rest)
                times[name].append(worker.time(case, seconds))
            except RuntimeError as error:
                errors[name] = str(error)
    return {n: statistics.median(t) for n, t in times.items() if n not in errors}, errors


def measure(workers: dict[str, Worker], case, threads: int, args) -> dict:
    """A row: the times and their ratio, or the error that ended the case."""
    row = {"case": case.name, "threads": threads}
    times, errors = alternate(workers, case.name, args.rounds, args.seconds)
    if errors:
        return {**row, "error": next(iter(errors.values()))}
    return {**row, **times, "ratio": times["torch"] / times["gradstone"]}


def line_of(row: dict, case, peak: dict[str, float], before: dict) -> str:
    if "error" in row:
        return f"{row['case']:44} {row['threads']}  {row['error']}"
    ours = row["gradstone"]
    line = (
        f"{row['case']:44} {row['threads']} {show(ours)} {show(row['torch'])} {row['ratio']:8.2f}"
    )
    if row["case"] in before:
        line += f" {before[row['case']] / ours:8.2f}"
    return f"{line}   {case.rate(ours, peak)}".rstrip()


def run(cases, threads: int, args, peak: dict[str, float], before: dict) -> list[dict]:
    workers, rows = start_workers(threads), []
    for case in cases:
        if threads not in case.threads:
            continue
        row = measure(workers, case, threads, args)
        rows.append(row)
        print(line_of(row, case, peak, before), flush=True)
        if any(worker.process.poll() is not None for worker in workers.values()):
            workers = start_workers(threads)
    for worker in workers.values():
        worker.close()
    return rows


def one_thread_times(path: Path | None) -> dict[str, float]:
    """gradstone's times of an earlier run, at one thread."""
    rows = json.loads(path.read_text())["rows"] if path else []
    return {r["case"]: r["gradstone"] for r in rows if r["threads"] == 1 and "gradstone" in r}


@contextlib.contextmanager
def busy_core(wanted: bool):
    """Another process that computes all the time, when wanted."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def timing_arguments(doc: str, rounds: int) -> argparse.ArgumentParser:
    """The options of every benchmark that times cases in turns."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument(
        "--only", nargs="*", default=[], help="run the cases whose name contains one of these"
    )
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="alternations per case; the median counts"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="time per case, library and round"
    )
    parser.add_argument("--json", type=Path, help="write the results here too")
    return parser


def chosen(cases: list, only: list[str]) -> list:
    return [case for case in cases if not only or any(text in case.name for text in only)]


def write_json(path: Path | None, results: dict) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")


def main() -> None:
    parser = timing_arguments(__doc__, rounds=5)
    parser.add_argument("--against", type=Path, help="JSON of an earlier run, at one thread")
    parser.add_argument("--busy", action="store_true", help="keep one core busy meanwhile")
    parser.add_argument("--peaks", type=Path, help="gradstone_bench: measures the machine's peaks")
    args = parser.parse_args()
    cases = chosen(all_cases(), args.only)
    about = machine()
    print("  ".join(f"{key} {value}" for key, value in about.items()))
    peak = peaks(args.peaks, about["isa"])
    for threads, best in peak.items():
        text = f"{best['gflops']:.0f} GFLOP/s float32, copy {best['gbytes']:.0f} GB/s"
        print(f"peak at {threads} threads: {text}")
    compared = "  earlier" if args.against else ""
    print(f"{'case':44} t   gradstone     PyTorch    ratio{compared}   gradstone reaches")
    rows, before = [], one_thread_times(args.against)
    with busy_core(args.busy):
        for threads in args.threads:
            rows += run(cases, threads, args, peak.get(threads, {}), before)
    if not args.only:
        rows += (extra := import_row())
        for row in extra:
            row["ratio"] = row["torch"] / row["gradstone"]
            print(
                f"{row['case']:44} 1 {row['gradstone']:10.3f}  {row['torch']:10.3f}"
                f"  {row['ratio']:8.2f}"
            )
    ratios = [row["ratio"] for row in rows if "ratio" in row and row["case"] != "installed-size-MB"]
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(
            f"geometric mean of {len(ratios)} ratios: {mean:.2f}; "
            f"below 1: {sum(r < 1 for r in ratios)}; below 0.95: {sum(r < 0.95 for r in ratios)}"
        )
    shares = {
        row["case"]: before[row["case"]] / row["gradstone"]
        for row in rows
        if row["case"] in before and "gradstone" in row
    }
    if shares:
        low = sum(share < 0.8 for share in shares.values())
        least = min(shares, key=shares.__getitem__)
        print(
            f"gradstone's one-thread time in {args.against.name} over its time now: "
            f"lowest {shares[least]:.2f} ({least}); {low} of {len(shares)} below 0.8"
        )
    write_json(args.json, {"machine": about, "peaks": peak, "rows": rows})


if __name__ == "__main__":
    main()
