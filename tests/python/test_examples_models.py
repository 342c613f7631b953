"""The examples that look into networks and make them smaller run, learn and draw."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def example(name: str, folder: Path, *arguments: object) -> tuple[list[float], str]:
    """Runs it on one thread; the numbers in its last line, and all that it printed."""
    done = subprocess.run(
        [
            sys.executable, str(ROOT / "examples" / f"{name}.py"),
            "--threads", "1", "--output", str(folder / "out"), *map(str, arguments),
        ],
        capture_output=True, text=True, cwd=folder, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert "no picture: matplotlib is not installed" in done.stdout
    else:
        assert (folder / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    last = done.stdout.strip().splitlines()[-1]
    return [float(n) for n in re.findall(r"\d+\.?\d*", last)], done.stdout


def test_saliency_finds_what_matters(tmp_path):
    numbers, text = example(
        "saliency", tmp_path, "--epochs", 2, "--limit", 4000, "--explain", 60, "--steps", 25
    )
    removed, saliency, integrated, cam, random, whole = numbers
    assert removed == 60
    assert whole > 0.75
    assert integrated < random - 0.15
    assert max(saliency, cam) < whole - 0.2
    assert float(re.search(r"test accuracy: (\S+) %", text).group(1)) > 90
    # The axiom of completeness, up to the steps of the integral.
    assert float(re.search(r"of the logits within (\S+)%", text).group(1)) < 2


def test_the_taught_student_and_the_pruned_teacher(tmp_path):
    numbers, text = example(
        "distill_prune", tmp_path, "--epochs", 2, "--limit", 3000, "--few", 500, "--lessons", 25
    )
    teacher, alone, taught, part, pruned, cut = numbers
    assert teacher > 90
    assert taught > alone + 1
    assert part == 95
    assert pruned > cut + 1
    assert pruned > teacher - 3
    assert len(re.findall(r"^\d\d% pruned: \S+ %, trained on \S+ %$", text, re.M)) == 5


@pytest.mark.parametrize("name", ["saliency", "distill_prune"])
def test_they_say_when_there_is_no_data(name, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--data", str(tmp_path / "none")],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "none" in done.stderr
    assert "Traceback" not in done.stderr
