"""Everything that needs a GPU, in one run of under eight minutes and without a network.

    python tools/gpu                         build, conformance, kernels, table, ceilings, bench,
                                             sanitizer
    python tools/gpu --only build bench      these stages alone, with what was built before
    python tools/gpu --results FOLDER        where table, figures and vectors are written
    python tools/gpu --emulated              on the emulator, small: does this program itself work?

A stage that fails does not stop the next; the exit status is 1 if one did. What the commands
printed is kept in build/gpu/log.txt.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import checks
import machine
from build import build
from commands import Log
from run import ROOT, Run, Stage

MINUTES = 7.8  # of a whole run
# Seconds: what a stage may take, and what is kept for it while earlier ones run.
LIMITS = {
    "machine": (40, 0), "build": (260, 0), "conformance": (30, 10), "kernels": (60, 25),
    "table": (90, 40), "ceilings": (30, 8), "bench": (150, 80), "sanitizer": (90, 25),
}  # fmt: skip


def ceilings(run: Run, seconds: float) -> Stage:
    """Copy, read, launch, a node of a graph. The matrix product is among the benchmark's rows."""
    binary = run.build / "gradstone_ceilings"
    if not binary.exists():
        return Stage("ceilings", False, summary="was not built")
    answer = run.call([binary, "1" if run.emulated else "2048"], seconds)
    if not answer.ok:
        run.say("  " + answer.end())
        return Stage("ceilings", False, summary="failed")
    found = json.loads(answer.text.strip().splitlines()[-1])
    if run.emulated:
        return Stage("ceilings", summary="ran; the emulator has none")
    (run.build / "ceilings.json").write_text(json.dumps(found))
    for key, value in found.items():
        run.say(f"  {key:16} {value}")
    return Stage("ceilings", summary=f"copy {found['copy_gbytes']:.0f} GB/s", data=found)


def bench(run: Run, seconds: float, more: list[str]) -> Stage:
    """The table beside PyTorch: bench/gpu."""
    if not (run.site / "gradstone").exists():
        return Stage("bench", False, summary="there is no module to import")
    out = run.build / "bench.json"
    out.unlink(missing_ok=True)
    command = run.python(ROOT / "bench/gpu", "--json", out, "--minutes", f"{seconds / 60:.2f}")
    command += ["--tiny"] if run.emulated else []
    command += ["--quick"] if run.quick else []
    if (run.build / "ceilings.json").exists() and not run.emulated:
        command += ["--ceilings", run.build / "ceilings.json"]
    answer = run.call([*command, *more], seconds + 20, env=run.python_path())
    run.say(answer.text.rstrip())
    if not answer.ok:
        run.say(f"  ended with code {answer.code}")
    data = json.loads(out.read_text()) if out.exists() else {}
    errors = sum("error" in t for r in data.get("rows", []) for t in r["times"].values())
    summary = f"{len(data.get('rows', []))} rows" + (f", {errors} errors" if errors else "")
    return Stage("bench", answer.ok and not errors and bool(data), summary=summary, data=data)


def stages(run: Run, options: argparse.Namespace) -> dict[str, Callable[[float], Stage]]:
    return {
        "build": lambda seconds: build(run, seconds),
        "conformance": lambda seconds: checks.conformance(run, seconds, options.results),
        "kernels": lambda seconds: checks.kernels(run, seconds),
        "table": lambda seconds: checks.table(run, seconds, options.pytest.split()),
        "ceilings": lambda seconds: ceilings(run, seconds),
        "bench": lambda seconds: bench(run, seconds, options.bench.split()),
        "sanitizer": lambda seconds: checks.sanitizer(run, seconds),
    }


def take(run: Run, name: str, stage: Callable[[float], Stage], kept: float) -> Stage:
    """One stage, whatever it does."""
    seconds = min(LIMITS[name][0], run.left() - kept)
    run.say(f"\n== {name} (at most {max(0, seconds):.0f} s)")
    begin = time.monotonic()
    if seconds < 3:
        found = Stage(name, False, summary="no time was left")
    else:
        try:
            found = stage(seconds)
        except Exception:
            run.say(traceback.format_exc())
            found = Stage(name, False, summary="this program failed in it")
    found.seconds = time.monotonic() - begin
    run.say(f"-- {name}: {word(found.ok)}, {found.summary} ({found.seconds:.0f} s)")
    return found


def word(ok: bool | None) -> str:
    return {True: "passed", False: "FAILED", None: "left out"}[ok]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tools/gpu", description=__doc__.split("\n")[0])
    names = [name for name in LIMITS if name != "machine"]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--skip", nargs="*", choices=names, default=[])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the whole run")
    parser.add_argument("--results", type=Path, default=ROOT / "bench/results")
    parser.add_argument("--build", type=Path, help="the folder of the build")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="fewer shapes in the benchmark")
    parser.add_argument("--emulated", action="store_true", help="no GPU: the emulator, small")
    parser.add_argument("--pytest", default="", help="more words for pytest")
    parser.add_argument("--bench", default="", help="more words for bench/gpu")
    return parser.parse_args()


def shortened(text: str, most: int = 4_000_000) -> str:
    """Beginning and end of a log that a compiler has filled."""
    return text if len(text) <= most else text[: most // 2] + "\n[...]\n" + text[-most // 2 :]


def write_results(run: Run, options: argparse.Namespace, found: list[Stage]) -> None:
    if run.emulated:
        return
    name = f"{datetime.date.today()}-{checks.vectors_name(run)}-gpu"
    results = {
        "machine": run.about,
        "stages": [vars(stage) for stage in found],
    }
    (options.results / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.results / f"{name}.txt").write_text("\n".join(run.printed) + "\n")
    (options.results / f"{name}.log").write_text(shortened(run.log.path.read_text()))
    print(f"written: {options.results / name}.txt, .json, .log")


def main() -> int:
    options = arguments()
    folder = (
        options.build or ROOT / ("build/gpu-emulated" if options.emulated else "build/gpu")
    ).resolve()
    run = Run(
        build=folder, emulated=options.emulated, quick=options.quick, jobs=options.jobs,
        deadline=time.monotonic() + 60 * options.minutes, log=Log(folder / "log.txt"),
    )  # fmt: skip
    options.results.mkdir(parents=True, exist_ok=True)
    run.say(f"tools/gpu {' '.join(sys.argv[1:])}".rstrip())
    found = [take(run, "machine", lambda _: machine.look(run), 0)]
    chosen = [n for n in LIMITS if n in options.only and n not in options.skip]
    for i, name in enumerate(chosen):
        kept = sum(LIMITS[later][1] for later in chosen[i + 1 :]) * min(
            1, options.minutes / MINUTES
        )
        found.append(take(run, name, stages(run, options)[name], kept))
    run.say("\n== all")
    for stage in found:
        run.say(f"  {stage.name:12} {word(stage.ok):9} {stage.seconds:5.0f} s  {stage.summary}")
    write_results(run, options, found)
    return 1 if any(stage.ok is False for stage in found) else 0


if __name__ == "__main__":
    sys.exit(main())
