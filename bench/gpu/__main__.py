"""gradstone beside PyTorch on one GPU, with the goal of each row.

    python bench/gpu                       everything
    python bench/gpu --only gemm conv      classes and rows whose name contains one of these
    python bench/gpu --quick               a few rows of each class
    python bench/gpu --tiny                tiny shapes, no figures: do the rows run? (also emulated)
    python bench/gpu --json FILE           also as JSON

A ratio is PyTorch's time over gradstone's: above 1, gradstone is faster. Each library has a process
of its own; they take turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from process import Process
from report import key, table
from rows import Class, Row, classes
from timing import summary

ROUNDS = 2
LONGEST = 60.0  # seconds that a worker may take for one answer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench/gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile too: a minute more")
    parser.add_argument("--torch-device", default="cuda", help="cpu: only to see that rows run")
    parser.add_argument("--without-torch", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each way and turn")
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="rows not begun by then are left"
    )
    parser.add_argument("--ceilings", type=Path, help="JSON of gradstone_ceilings")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def chosen(all_classes: list[Class], options: argparse.Namespace) -> list[tuple[Class, Row]]:
    """A few rows of each class first: if time runs out, each class has some."""
    rows = [(c, row) for c in all_classes for row in c.rows]
    if options.only:
        rows = [(c, r) for c, r in rows if any(w in f"{c.name}/{r.name}" for w in options.only)]
    first = [(c, row) for c, row in rows if row.quick]
    return first if options.quick else first + [(c, row) for c, row in rows if not row.quick]


def measure_row(name: str, row: Row, workers: dict[str, Process], options, end: float) -> dict:
    """The times of every way, both libraries in turn."""
    ways = [("ours", way) for way in row.ours] + [("theirs", way) for way in row.theirs]
    parts: dict[str, list[dict]] = {key(*way): [] for way in ways}
    over: dict[str, dict[str, Any]] = {}
    for _ in range(1 if options.tiny else ROUNDS):
        for side, way in ways:
            k, worker = key(side, way), workers[side]
            if k in over:
                continue
            request = {"row": name, "side": side, "way": way, "seconds": options.seconds}
            longest = 4 * LONGEST if way == "compile" else LONGEST
            answer = worker.ask(request, max(5.0, min(longest, end - time.monotonic())))
            if "samples" in answer:
                parts[k].append(answer)
            else:
                over[k] = {w: answer[w] for w in ("missing", "error", "refused") if w in answer}
    for k, answers in parts.items():
        if answers and k not in over:
            over[k] = summary(answers) | {"note": answers[0].get("note", "")}
    return {key(*way): over[key(*way)] for way in ways}


def measure_errors(name: str, row: Row, workers: dict[str, Process]) -> dict[str, float]:
    found = {}
    for side, worker in workers.items():
        answer = worker.ask({"row": name, "error": True}, LONGEST)
        if "value" in answer:
            found[side] = answer["value"]
    return found


def ceilings_of(options: argparse.Namespace, results: dict[str, dict], rows) -> dict[str, Any]:
    """The program's figures, and of the tensor cores the fastest product of either library."""
    found = json.loads(options.ceilings.read_text()) if options.ceilings else {}
    for c, row in rows:
        if not row.peak or not c.name.startswith("gemm") or c.name == "gemm-3xtf32":
            continue
        for time_ in results.get(f"{c.name}/{row.name}", {}).values():
            if time_.get("median"):
                rate = row.flops / time_["median"] / 1e12
                found[row.peak] = max(found.get(row.peak, 0.0), rate)
    return found


def as_json(rows, results, errors, means, settings, ceilings) -> dict[str, Any]:
    out = []
    for c, row in rows:
        name = f"{c.name}/{row.name}"
        if name in results:
            out.append({
                "class": c.name, "case": row.name, "flops": row.flops, "bytes": row.bytes,
                "pairs": row.pairs, "times": results[name], "errors": errors.get(name),
            })  # fmt: skip
    return {"settings": settings, "ceilings": ceilings, "means": means, "rows": out}


def main() -> int:
    options = arguments()
    end = time.monotonic() + 60 * options.minutes
    all_classes = classes(options.tiny)
    rows = chosen(all_classes, options)
    words = ["--tiny"] if options.tiny else []
    more = [*words, "--torch-device", options.torch_device]
    more += ["--compile"] if options.compile else []
    results: dict[str, dict] = {}
    errors: dict[str, dict] = {}
    with tempfile.TemporaryFile() as said:
        workers = {
            "ours": Process("gradstone", words, said),
            "theirs": Process("torch", more, said),
        }
        if options.without_torch:
            workers["theirs"].refusal = "PyTorch was not asked for"
        for worker in workers.values():
            if not worker.refusal:
                worker.start(120)
            print(f"{worker.library}: {worker.refusal or worker.settings}")
        if workers["theirs"].refusal:
            print("no PyTorch: gradstone's own figures alone")
        for i, (c, row) in enumerate(rows):
            if time.monotonic() > end - 5:
                print(f"time is up: {len(rows) - i} of {len(rows)} rows were not reached")
                break
            name = f"{c.name}/{row.name}"
            results[name] = measure_row(name, row, workers, options, end)
            if row.error:
                errors[name] = measure_errors(name, row, workers)
        for worker in workers.values():
            worker.stop()
        said.seek(0)
        sys.stderr.write(said.read().decode(errors="replace")[-4000:])
    figures = not options.tiny and options.torch_device == "cuda"
    ceilings = ceilings_of(options, results, rows) if figures else {}
    names = {id(row) for _, row in rows}
    for c in all_classes:
        c.rows = [row for row in c.rows if id(row) in names]
    shown = [c for c in all_classes if c.rows]
    lines, means = table(shown, results, errors, ceilings, figures)
    print("\n".join(lines))
    if figures:
        print("\nceilings: " + ", ".join(f"{k} {v}" for k, v in ceilings.items()))
        for m in means:
            goal = f"goal {m['goal']:.2f}" if m["goal"] else ""
            print(f"  {m['class']:16} {m['ours']:8} {m['theirs']:16} {m['mean']:6.2f} {goal}")
    settings = {w.library: w.settings or {"missing": w.refusal} for w in workers.values()}
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        found = as_json(rows, results, errors, means, settings, ceilings)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    failed = [t for times in results.values() for t in times.values() if "error" in t]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
