"""`make gpu` without a GPU: its programs run on the emulator, and what may go wrong on a machine
that nobody has seen (faults, hangs, things that are missing) ends a stage and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import gradstone as gs

ROOT = Path(__file__).parents[2]
needs_device = pytest.mark.skipif(not gs.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def folder(request, monkeypatch):
    """tools/gpu or bench/gpu as programs see it: their modules by their own names."""

    def enter(name: str) -> None:
        before = set(sys.modules)
        monkeypatch.syspath_prepend(str(ROOT / name))
        names = {path.stem for path in (ROOT / name).glob("*.py")}
        request.addfinalizer(
            lambda: [sys.modules.pop(n) for n in set(sys.modules) - before if n in names]
        )

    return enter


def environment() -> dict[str, str]:
    """For a child that imports the gradstone of this process."""
    return {**os.environ, "PYTHONPATH": str(Path(gs.__file__).parents[1])}


# ---------------------------------------------------------------------------------------- bench/gpu


def bench(tmp_path: Path, *words: str) -> tuple[subprocess.CompletedProcess, dict]:
    out = tmp_path / "bench.json"
    ran = subprocess.run(
        [sys.executable, ROOT / "bench/gpu", "--tiny", "--json", out, *words],
        env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    return ran, json.loads(out.read_text()) if out.exists() else {}


@needs_device
def test_every_row_runs_or_says_what_is_missing(tmp_path):
    ran, found = bench(tmp_path, "--without-torch")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert len(found["rows"]) > 60
    ways = [(row, k, t) for row in found["rows"] for k, t in row["times"].items()]
    ours = [t for _, k, t in ways if k.startswith("ours")]
    assert sum("median" in t for t in ours) > 50
    for row, k, t in ways:
        assert "median" in t or t["missing"], (row["case"], k)
    assert "PyTorch was not asked for" in ran.stdout
    assert not [line for line in ran.stdout.splitlines() if "±" in line or "GB/s" in line]


@needs_device
def test_rows_of_pytorch_run_on_the_cpu(tmp_path):
    pytest.importorskip("torch")
    ran, found = bench(tmp_path, "--torch-device", "cpu")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    theirs = [t for r in found["rows"] for k, t in r["times"].items() if k.startswith("theirs")]
    assert sum("median" in t for t in theirs) > 60


def test_without_a_gpu_the_table_fails_and_says_why(tmp_path):
    if gs.cuda.is_available():
        pytest.skip("there is a CUDA device")
    ran, _ = bench(tmp_path, "--only", "elements/add")
    assert ran.returncode == 1
    assert "CUDA device" in ran.stdout


class FakeLibrary:
    """A device whose calls take the seconds that they say."""

    tiny = False

    def __init__(self) -> None:
        self.clock, self.order, self.waited = 0.0, [], 0

    def events(self):
        return None

    def busy(self, seconds):
        self.waited += 1

    def interval(self, events, work):
        begin = self.clock
        work()
        return self.clock - begin

    def call(self, name, seconds):
        def run():
            self.clock += seconds
            self.order.append(name)

        return run


def test_times_are_medians_of_calls_in_turn(folder):
    folder("bench/gpu")
    from timing import measure, summary

    lib = FakeLibrary()
    calls = [lib.call("a", 1e-3), lib.call("b", 3e-3)]
    found = measure(lib, calls, 0.0, device=True)
    assert found["calls"] == 1 and lib.waited == len(found["samples"]) >= 5
    assert lib.order[3:8] == ["a", "b", "a", "b", "a"]
    assert summary([found])["low"] == pytest.approx(1e-3)
    many = measure(lib, [lib.call("c", 1e-5)], 0.0, device=True)
    assert many["calls"] == 31 and many["samples"][0] == pytest.approx(1e-5)
    waited = lib.waited
    assert measure(lib, [lib.call("d", 0.9e-3)], 0.0, device=False)["calls"] == 6
    assert lib.waited == waited, "a loop is measured with its host"
    turns = [{"samples": [1.0, 2.0, 9.0], "host": 0.5}, {"samples": [2.0, 3.0], "host": 0.7}]
    assert summary(turns)["median"] == 2.0 and summary(turns)["host"] == 0.6


def test_the_table_compares_the_pairs_of_a_row(folder):
    folder("bench/gpu")
    from report import table
    from rows import Class, Row

    def took(seconds):
        return {"median": seconds, "spread": 0.01, "host": 0.0}

    way = {"fast": None, "slow": None, "unfused": None}
    pairs = [("", "best", 0.9), ("", "unfused", 4.0)]
    rows = [
        Row("one", {"": None}, way, pairs, flops=1e12, peak="bf16"),
        Row("two", {"": None}, way, pairs),
    ]
    results = {
        "c/one": {
            "ours:": took(2e-3), "theirs:fast": took(1e-3), "theirs:slow": took(5e-3),
            "theirs:unfused": took(12e-3),
        },
        "c/two": {"ours:": {"missing": "no such thing"}, "theirs:fast": took(1.0)},
    }  # fmt: skip
    lines, means = table([Class("c", "title", "", rows)], results, {}, {"bf16": 1000.0}, True)
    text = "\n".join(lines)
    assert [m["mean"] for m in means] == [pytest.approx(0.5), pytest.approx(6.0)]
    assert "missed   500.0 TFLOP/s (50 %)" in text and "reached" in text
    assert "no such thing" in text and "not there" in text and "not run" in text
    hidden, none = table([Class("c", "title", "", rows)], results, {}, {}, False)
    assert not none and "ms" not in "\n".join(hidden)


WORKER = """
import json, sys, time, os
print(json.dumps({"settings": {"version": "0"}}), flush=True)
for line in sys.stdin:
    row = json.loads(line)["row"]
    if row == "dies":
        os._exit(5)
    if row == "hangs":
        time.sleep(100)
    print(json.dumps({"lost": True, "error": row} if row == "lost" else {"row": row}), flush=True)
"""


def test_a_worker_that_dies_or_hangs_is_replaced(folder, tmp_path):
    folder("bench/gpu")
    from process import Process

    (tmp_path / "worker.py").write_text(WORKER)
    worker = Process("gradstone", [], subprocess.DEVNULL)
    worker.command = [sys.executable, str(tmp_path / "worker.py")]
    assert worker.ask({"row": "first"}, 30) == {"row": "first"}
    assert "code 5" in worker.ask({"row": "dies"}, 30)["error"]
    assert worker.ask({"row": "second"}, 30) == {"row": "second"}
    begin = time.monotonic()
    assert "no answer" in worker.ask({"row": "hangs"}, 0.5)["error"]
    assert time.monotonic() - begin < 10
    assert worker.ask({"row": "lost"}, 30)["error"] == "lost" and worker.process is None
    assert worker.ask({"row": "third"}, 30) == {"row": "third"}
    worker.stop()
    missing = Process("torch", [], subprocess.DEVNULL)
    missing.refusal = "not installed"
    assert missing.ask({"row": "first"}, 1) == {"missing": "not installed", "refused": True}


# ---------------------------------------------------------------------------------------- tools/gpu


def a_run(tmp_path: Path, seconds: float = 60.0):
    from commands import Log
    from run import Run

    run = Run(
        build=tmp_path / "build", emulated=True, quick=True, jobs=2,
        deadline=time.monotonic() + seconds, log=Log(tmp_path / "log.txt"),
    )  # fmt: skip
    (run.site / "gradstone").mkdir(parents=True)
    run.about["device"] = "NVIDIA H100 80GB HBM3"
    return run


def test_commands_end_in_time_with_their_children(folder, tmp_path):
    folder("tools/gpu")
    from commands import TIMED_OUT, Log, call

    log = Log(tmp_path / "log.txt")
    sleep = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    code = f"import subprocess, sys; subprocess.run({sleep})"
    begin = time.monotonic()
    assert call([sys.executable, "-c", code], 0.5, log).code == TIMED_OUT
    assert time.monotonic() - begin < 10
    assert call(["no-such-program"], 5, log).code == 127
    said = call([sys.executable, "-c", "print('here')"], 30, log)
    assert said.ok and said.text == "here\n" and "here" in log.path.read_text()


def test_a_stage_that_fails_stops_no_other(folder, tmp_path):
    folder("tools/gpu")
    import importlib.util

    spec = importlib.util.spec_from_file_location("gpu_main", ROOT / "tools/gpu/__main__.py")
    main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main)
    run = a_run(tmp_path)

    def broken(seconds):
        raise ValueError("nobody thought of this")

    found = main.take(run, "bench", broken, 0)
    assert found.ok is False and "nobody thought of this" in "\n".join(run.printed)
    assert main.take(run, "bench", broken, 1000).summary == "no time was left"
    assert main.take(run, "bench", lambda s: main.Stage("bench", None), 0).ok is None


TESTS = """
import os, pytest

def test_passes(): pass
def test_fails(): assert 1 == 2, "a difference"
def test_ends_its_process(): os._exit(11)
def test_behind_it(): pass
def test_is_skipped(): pytest.skip("not here")
def test_loses_the_device():
    import gradstone
    def gone(): raise RuntimeError("an illegal address")
    gradstone.cuda.synchronize = gone
    assert False, "a fault"
def test_last(): pass
"""
CONFTEST = "def pytest_addoption(parser): parser.addoption('--device', default='cpu')\n"


def test_the_table_goes_on_behind_faults(folder, tmp_path):
    folder("tools/gpu")
    import checks

    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/conftest.py").write_text(CONFTEST)
    (tmp_path / "tests/test_some.py").write_text(TESTS)
    package = tmp_path / "build/site/gradstone"
    run = a_run(tmp_path)
    (package / "__init__.py").write_text(
        "class cuda:\n    @staticmethod\n    def synchronize(): pass\n"
    )
    seen = {"passed": 0, "skipped": 0, "failed": [], "lost": [], "total": 0}
    files = [tmp_path / "tests/test_some.py"]
    for number in range(2):
        more = ["-c", os.devnull, f"--rootdir={tmp_path}"]
        events, answer = checks.shard(run, number, 2, time.monotonic() + 60, files, more)
        assert answer is not None
        checks.count_events(events, seen)
    assert seen["total"] == 7 and seen["passed"] == 3 and seen["skipped"] == 1
    assert [f["test"].split("::")[1] for f in seen["failed"]] == [
        "test_fails", "test_loses_the_device",
    ]  # fmt: skip
    assert "a difference" in seen["failed"][0]["text"]
    assert [test.split("::")[1] for test in seen["lost"]] == ["test_ends_its_process"]


def test_kernel_tests_have_processes_of_their_own(folder, tmp_path):
    folder("tools/gpu")
    import checks

    run = a_run(tmp_path)
    binary = run.build / "gradstone_cuda_tests"
    binary.write_text(
        textwrap.dedent("""\
        #!/bin/sh
        case "$*" in
          *--gtest_list_tests*)
            printf 'Running main()\\nGemm.\\n  Works\\n  Fails\\n  Dies  # GetParam\\n' ;;
          *Gemm.Fails) echo "it is 3"; exit 1 ;;
          *Gemm.Dies) kill -SEGV $$ ;;
        esac
        """)
    )
    binary.chmod(0o755)
    assert checks.kernel_tests(run) == ["Gemm.Works", "Gemm.Fails", "Gemm.Dies"]
    found = checks.kernels(run, 30)
    assert found.ok is False and found.data["failed"] == ["Gemm.Fails", "Gemm.Dies"]
    assert found.summary.startswith("1 of 3 passed") and "it is 3" in "\n".join(run.printed)
    assert checks.vectors_name(run) == "h100-80gb-hbm3"


def test_what_is_missing_is_said(folder, tmp_path):
    folder("tools/gpu")
    import checks

    run = a_run(tmp_path)
    run.emulated = False
    assert checks.conformance(run, 5, tmp_path).summary == "was not built"
    assert checks.kernels(run, 5).summary == "was not built"
    assert checks.sanitizer(run, 5).ok is not True
