"""The examples and the README's program run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mnist_cnn_learns_saves_and_draws(tmp_path):
    text = run(
        ROOT / "examples" / "mnist_cnn.py", "--epochs", 1, "--output", tmp_path, cwd=tmp_path
    )
    last = text.strip().splitlines()[-1]
    match = re.fullmatch(r"test accuracy: (\d\d\.\d\d) %", last)
    assert match, last
    assert float(match.group(1)) > 93
    assert "loaded it back: the same accuracy" in text
    assert (tmp_path / "mnist_cnn.gs").stat().st_size > 100_000
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib (the 'plot' extra)")
    assert (tmp_path / "mnist_cnn.png").read_bytes().startswith(b"\x89PNG")


def test_mnist_cnn_says_when_there_is_no_data(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "mnist_cnn.py"), "--data", str(tmp_path / "none")],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "none" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_readme_program_runs(tmp_path):
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )
    program = next(b for b in blocks if "optimizer.step()" in b)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    loss, accuracy = map(float, run("program.py", cwd=tmp_path).split())
    assert loss < 0.3
    assert accuracy > 0.9


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_no_epochs_are_refused(path, tmp_path):
    done = subprocess.run(
        [sys.executable, str(path), "--epochs", "0"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.endswith("error: --epochs: expected 1 or more, got 0\n"), done.stderr
