"""The stages that look whether results are right: conformance, kernel tests, operation table,
compute-sanitizer."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from commands import TIMED_OUT, Answer, call_all, program
from machine import CUDA_FOLDERS
from run import ROOT, Run, Stage

TABLE = ("test_op_table.py", "test_op_derivatives.py", "test_cuda.py")


# ------------------------------------------------------------------------------------ conformance


def vectors_name(run: Run) -> str:
    """h100-80gb-hbm3, of the device's name."""
    words = re.sub(r"[^a-z0-9]+", "-", run.about["device"].lower().replace("nvidia", ""))
    return words.strip("-") or "unknown"


def conformance(run: Run, seconds: float, results: Path | None) -> Stage:
    """The device's answers, written down, beside the emulator's of the same inputs."""
    stage = Stage("conformance")
    emulator = run.build / "gradstone_conformance_emu"
    device = emulator if run.emulated else run.build / "gradstone_conformance"
    if not device.exists() or not emulator.exists():
        return Stage("conformance", False, summary="was not built")
    vectors = run.build / "vectors.txt"
    write = [device, "write", vectors, run.about["commit"]]
    wrote = run.call(write, seconds / 3)
    if not wrote.ok:
        run.say("  " + wrote.end(4))
        good, stage.data["ended"] = one_by_one(run, write, seconds / 3)
        wrote = run.call([*write, *good], seconds / 6) if good else wrote
        if not wrote.ok:
            return Stage("conformance", False, summary="the device gave no answers")
    run.say("  " + wrote.text.strip())
    compared = run.call([emulator, "compare", vectors], seconds / 2)
    run.say("\n".join("  " + line for line in compared.text.rstrip().splitlines()))
    if results and not run.emulated:
        (results / f"{vectors_name(run)}-vectors.txt").write_text(vectors.read_text())
    stage.ok = compared.ok and not stage.data.get("ended")
    found = re.search(r"(\d+) cases, (\d+) differ", compared.text)
    stage.summary = found[0] if found else "no comparison"
    return stage


def one_by_one(run: Run, write: list, seconds: float) -> tuple[list[str], list[str]]:
    """The cases that answer, and those that end in a fault or not at all."""
    end, good, bad = time.monotonic() + seconds, [], []
    listed = run.call([write[0], "list"], 10)
    for name in listed.text.split() if listed.ok else []:
        answer = run.call([*write, name], min(5.0, end - time.monotonic()))
        (good if answer.ok else bad).append(name)
        if not answer.ok:
            run.say(f"  {name}: {answer.end(3)}")
    return good, bad


# ----------------------------------------------------------------------------------- kernel tests


def kernel_tests(run: Run, pattern: str = "*") -> list[str]:
    told = run.call(
        [run.build / "gradstone_cuda_tests", "--gtest_list_tests", f"--gtest_filter={pattern}"], 60
    )
    names, suite = [], ""
    for line in told.text.splitlines():
        if re.match(r"\S+\.$", line):
            suite = line
        elif re.match(r"  \S", line) and suite:
            names.append(suite + line.split()[0])
    return names if told.ok else []


def show_failures(run: Run, answers: list[Answer], names: list[str], most: int = 8) -> None:
    failed = [(n, a) for n, a in zip(names, answers) if not a.ok]
    for name, answer in failed[:most]:
        run.say(f"  FAILED {name}: {answer.end(12)}")
    for name, answer in failed[most:]:
        run.say(f"  FAILED {name} (code {answer.code})")


def kernels(run: Run, seconds: float) -> Stage:
    """Each test in a process of its own: a fault ends the process it happens in and no other."""
    binary = run.build / "gradstone_cuda_tests"
    if not binary.exists():
        return Stage("kernels", False, summary="was not built")
    names = kernel_tests(run)
    if not names:
        return Stage("kernels", False, summary="no tests were listed")
    end = time.monotonic() + seconds

    def one(name: str) -> Answer:
        left = min(45.0, end - time.monotonic())
        return run.call([binary, f"--gtest_filter={name}"], left)

    answers = call_all(min(8, run.jobs), [lambda name=name: one(name) for name in names])
    late = sum(a.code == TIMED_OUT and a.seconds == 0 for a in answers)
    passed = sum(a.ok for a in answers)
    reached = [(n, a) for n, a in zip(names, answers) if a.seconds]
    show_failures(run, [a for _, a in reached], [n for n, _ in reached])
    summary = f"{passed} of {len(names)} passed" + (f", {late} not reached" if late else "")
    failed = [n for n, a in zip(names, answers) if not a.ok and a.seconds]
    run.test_seconds = {n: a.seconds for n, a in zip(names, answers) if a.ok}
    data = {"tests": len(names), "passed": passed, "failed": failed, "not reached": late}
    return Stage("kernels", not failed and not late, summary=summary, data=data)


# -------------------------------------------------------------------------------- operation table


def read_events(path: Path) -> list[dict]:
    if not path.exists():
        return []
    out = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            out.append(json.loads(line))
        except ValueError:
            continue  # cut off in the middle of a line
    return out


def shard(run: Run, number: int, count: int, end: float, files: list[Path], more: list[str]):
    """One part of the tests. What ends its process (a fault, a hang) costs the test it was in; the
    rest go on in the next process."""
    path = run.build / f"table-{number}.jsonl"
    path.unlink(missing_ok=True)
    env = run.python_path(ROOT / "tools/gpu", ROOT / "tests")
    env |= {"GRADSTONE_SHARD": f"{number}/{count}", "GRADSTONE_SHARD_FILE": str(path)}
    device = ["--device", "cuda", "-p", "shard", "-p", "no:cacheprovider", "-q", "--no-header"]
    answer = None
    for _ in range(20):
        begun = sum(e["event"] == "begin" for e in read_events(path))
        left = end - time.monotonic()
        if left <= 1:
            break
        answer = run.call(
            run.python("-m", "pytest", *device, *more, *files), left, env=env, cwd=ROOT
        )
        events = read_events(path)
        if any(e["event"] == "finished" for e in events):
            break
        if sum(e["event"] == "begin" for e in events) == begun:
            break  # it does not even start
    return read_events(path), answer


def table(run: Run, seconds: float, more: list[str]) -> Stage:
    if not (run.site / "gradstone").exists():
        return Stage("table", False, summary="there is no module to import")
    if not run.call(run.python("-c", "import pytest"), 30).ok:
        return Stage("table", None, summary="pytest is not installed here")
    files = [ROOT / "tests/python" / name for name in TABLE]
    end, count = time.monotonic() + seconds, max(1, min(10, run.jobs - 2))
    calls = [lambda i=i: shard(run, i, count, end, files, more) for i in range(count)]
    parts = call_all(count, calls)
    seen = {"passed": 0, "skipped": 0, "failed": [], "lost": [], "total": 0}
    for events, answer in parts:
        count_events(events, seen)
        if not any(e["event"] == "total" for e in events) and answer is not None:
            run.say("  a part did not start: " + answer.end())
            seen["lost"].append("a whole part")
    for failure in seen["failed"][:8]:
        run.say(f"  FAILED {failure['test']}\n" + indent(failure.get("text", ""), 12))
    for failure in seen["failed"][8:60]:
        run.say(f"  FAILED {failure['test']}: {last_line(failure.get('text', ''))}")
    for test in seen["lost"][:20]:
        run.say(f"  its process ended in {test}")
    done = seen["passed"] + seen["skipped"] + len(seen["failed"]) + len(seen["lost"])
    summary = f"{seen['passed']} passed, {len(seen['failed'])} failed, {seen['skipped']} skipped"
    summary += f", {len(seen['lost'])} ended their process" if seen["lost"] else ""
    missed = max(0, seen["total"] - done)
    summary += f", {missed} of {seen['total']} not reached" if missed else ""
    ok = not seen["failed"] and not seen["lost"] and not missed and seen["passed"] > 0
    seen["failed"] = [failure["test"] for failure in seen["failed"]]
    return Stage("table", ok, summary=summary, data=seen)


def count_events(events: list[dict], seen: dict) -> None:
    totals = [e["count"] for e in events if e["event"] == "total"]
    seen["total"] += totals[0] if totals else 0
    begun: dict[str, bool] = {}
    for e in events:
        if e["event"] == "begin":
            begun[e["test"]] = False
        elif e["event"] == "end":
            begun[e["test"]] = True
            if e["outcome"] == "failed":
                seen["failed"].append(e)
            else:
                seen[e["outcome"]] += 1
    seen["lost"] += [test for test, ended in begun.items() if not ended]


def indent(text: str, lines: int) -> str:
    return "\n".join("      " + line[:200] for line in text.splitlines()[-lines:])


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("E ")]
    return lines[0][:160] if lines else ""


# ------------------------------------------------------------------------------ compute-sanitizer


def sanitizer(run: Run, seconds: float) -> Stage:
    """memcheck and racecheck over the conformance cases and as many kernel tests as there is time
    for, the shortest first. Memory is not kept for reuse meanwhile, so that the end of every block
    is known."""
    tool = program("compute-sanitizer", *CUDA_FOLDERS)
    if run.emulated or not tool:
        return Stage("sanitizer", None, summary="compute-sanitizer is not installed here")
    binary, end = run.build / "gradstone_cuda_tests", time.monotonic() + seconds
    work = [
        [run.build / "gradstone_conformance", "write", run.build / "sanitized.txt", "sanitized"]
    ]
    if binary.exists():
        took = run.test_seconds
        names = sorted(kernel_tests(run), key=lambda name: took.get(name, 60.0))
        work += [[binary, f"--gtest_filter={name}"] for name in names]
    calls = []
    for command in work:
        for check in ("memcheck", "racecheck"):
            calls.append(lambda c=command, check=check: sanitized(run, tool, check, c, end))
    answers = call_all(min(6, run.jobs), calls)
    reached = [a for a in answers if not (a.code == TIMED_OUT)]
    failed = [a for a in reached if not a.ok]
    for answer in failed[:6]:
        run.say("  " + answer.end(20))
    summary = f"{len(reached) - len(failed)} of {len(answers)} runs clean"
    summary += f", {len(failed)} with errors" if failed else ""
    summary += f", {len(answers) - len(reached)} not through in time"
    data = {
        "failed": [" ".join(a.command[1:]) for a in failed],
        "reached": len(reached),
    }
    return Stage("sanitizer", not failed and bool(reached), summary=summary, data=data)


def sanitized(run: Run, tool: Path, check: str, command: list, end: float) -> Answer:
    options = ["--tool", check, "--error-exitcode", "9", "--print-limit", "5"]
    left = min(40.0, end - time.monotonic())
    env = {"GRADSTONE_CUDA_CACHE": "0"}
    return run.call([tool, *options, *command], left, env=env)
