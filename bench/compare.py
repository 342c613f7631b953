"""gradstone beside PyTorch: every case timed alternately in two processes, medians, as ratios.

    python bench/compare.py                    everything, at one thread and at two
    python bench/compare.py --only gemm conv   names that contain one of these
    python bench/compare.py --json FILE        also as JSON, for comparing two runs

A ratio is PyTorch's time over gradstone's: above 1, gradstone is faster.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from cases import all_cases

HERE = Path(__file__).parent


class Worker:
    """A library in a process of its own, idle unless asked."""

    def __init__(self, library: str, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), library, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE,
        )  # fmt: skip

    def time(self, case: str, seconds: float) -> float:
        self.process.stdin.write(json.dumps({"case": case, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker died in {case}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["time"]

    def close(self) -> None:
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


def run(cases, threads: int, rounds: int, seconds: float, peak: dict[str, float]) -> list[dict]:
    workers = {name: Worker(name, threads) for name in ("gradstone", "torch")}
    rows = []
    for case in cases:
        if threads not in case.threads:
            continue
        times: dict[str, list[float]] = {name: [] for name in workers}
        try:
            for _ in range(rounds):
                for name, worker in workers.items():
                    times[name].append(worker.time(case.name, seconds))
        except RuntimeError as error:
            print(f"{case.name:44} {threads}  {error}", flush=True)
            rows.append({"case": case.name, "threads": threads, "error": str(error)})
            if any(worker.process.poll() is not None for worker in workers.values()):
                workers = {name: Worker(name, threads) for name in ("gradstone", "torch")}
            continue
        ours, theirs = (statistics.median(times[name]) for name in ("gradstone", "torch"))
        row = {
            "case": case.name,
            "threads": threads,
            "gradstone": ours,
            "torch": theirs,
            "ratio": theirs / ours,
        }
        rows.append(row)
        print(
            f"{case.name:44} {threads} {show(ours)} {show(theirs)} {row['ratio']:8.2f}"
            f"   {case.rate(ours, peak)}",
            flush=True,
        )
    for worker in workers.values():
        worker.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--only", nargs="*", default=[], help="run the cases whose name contains one of these"
    )
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument(
        "--rounds", type=int, default=5, help="alternations per case; the median counts"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="time per case, library and round"
    )
    parser.add_argument("--peaks", type=Path, help="gradstone_bench: measures the machine's peaks")
    parser.add_argument("--json", type=Path, help="write the results here too")
    args = parser.parse_args()
    cases = [c for c in all_cases() if not args.only or any(text in c.name for text in args.only)]
    about = machine()
    print("  ".join(f"{key} {value}" for key, value in about.items()))
    peak = peaks(args.peaks, about["isa"])
    for threads, best in peak.items():
        text = f"{best['gflops']:.0f} GFLOP/s float32, copy {best['gbytes']:.0f} GB/s"
        print(f"peak at {threads} threads: {text}")
    print(f"{'case':44} t   gradstone     PyTorch    ratio   gradstone reaches")
    rows = []
    for threads in args.threads:
        rows += run(cases, threads, args.rounds, args.seconds, peak.get(threads, {}))
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
            f"below 1: {sum(r < 1 for r in ratios)}"
        )
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(
            json.dumps({"machine": about, "peaks": peak, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
