"""docs/TUTORIAL.md: every block of code runs, in order, and prints what the document shows.

python tests/python/test_tutorial.py     writes what the blocks print now into the document
"""

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

import pytest

import gradstone as gs
from gradstone import _C

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "TUTORIAL.md"
# A block of code, and what it prints where it prints anything.
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)
STEP = re.compile(r"^## (\d+)\. (.+)$", re.M)


def blocks(text):
    """(step, line in the document, code, expected output) of every block; step 0 comes before."""
    for match in BLOCK.finditer(text):
        before = text[: match.start(1)]
        step = max((int(number) for number, _ in STEP.findall(before)), default=0)
        yield step, before.count("\n"), match[1], match[2] or ""


def run(code, line, names):
    """What the code prints; its errors have the document's line numbers."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * line + code, str(DOCUMENT), "exec"), names)
    return "".join(line.rstrip() + "\n" for line in printed.getvalue().splitlines())


def test_there_are_ten_steps_with_code_and_output():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [int(number) for number, _ in STEP.findall(text)] == list(range(1, 11))
    shown = {step for step, _, _, expected in blocks(text) if expected}
    assert shown == set(range(1, 11))
    assert text.count("```python") == len(list(blocks(text)))
    assert text.count("```text") == sum(1 for *_, expected in blocks(text) if expected)


@pytest.mark.parametrize("isa, threads", [("baseline", 1), ("avx2", 2), ("avx512", 2)])
def test_every_block_prints_what_is_shown(tmp_path, monkeypatch, isa, threads):
    order = ["baseline", "avx2", "avx512"]
    if order.index(isa) > order.index(_C.best_isa()):
        pytest.skip(f"this machine has no {isa}")
    _C.set_isa(isa)
    monkeypatch.chdir(tmp_path)
    gs.set_num_threads(threads)
    names = {"__name__": "tutorial"}
    for step, line, code, expected in blocks(DOCUMENT.read_text(encoding="utf-8")):
        assert run(code, line, names) == expected, f"step {step}, line {line + 1}"
    loss, accuracy = names["result"]["loss"], names["result"]["accuracy"]
    assert (loss, accuracy) == pytest.approx((0, 1), abs=0.1)  # what the reader was promised


def update():
    """The document with what its blocks print now."""
    names = {"__name__": "tutorial"}
    text = DOCUMENT.read_text(encoding="utf-8")

    def rewritten(match):
        output = run(match[1], text[: match.start(1)].count("\n"), names)
        shown = f"\n```text\n{output}```\n" if output else ""
        return f"```python\n{match[1]}```\n{shown}"

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        DOCUMENT.write_text(BLOCK.sub(rewritten, text), encoding="utf-8")


if __name__ == "__main__":
    update()
