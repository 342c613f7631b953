"""The examples of text and sound run from beginning to end on a little of the real data, and fail
with one clear line where there is none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradstone as gs

ROOT = Path(__file__).resolve().parents[2]
DATA = (
    Path(os.environ.get("GRADSTONE_SEED_PROGRAMS", ROOT.parent / "shared" / "seed_programs")).parent
    / "data"
)

# program, options that make it short, the last line, the checkpoint and the picture
RUNS = [
    (
        "spoken_digits",
        "--model lstm --epochs 1 --limit 60",
        r"test accuracy: [\d.]+ % \(lstm\)",
        "spoken_digits_lstm",
    ),
    (
        "spoken_digits",
        "--model cnn --epochs 1 --limit 60",
        r"test accuracy: [\d.]+ % \(cnn\)",
        "spoken_digits_cnn",
    ),
    (
        "char_gpt",
        "--steps 12 --epochs 2 --features 32 --layers 1 --block 32 --limit 20000 --length 20",
        r"validation loss: [\d.]+",
        "char_gpt",
    ),
    (
        "names_rnn",
        "--epochs 1 --limit 1000",
        r"test accuracy: [\d.]+ % \(mean over languages [\d.]+ %\)",
        "names_rnn",
    ),
    (
        "sentiment",
        "--model gru --epochs 1 --limit 200",
        r"test accuracy: [\d.]+ % \(gru\)",
        "sentiment_gru",
    ),
    (
        "sentiment",
        "--model attention --epochs 1 --limit 200",
        r"test accuracy: [\d.]+ % \(attention\)",
        "sentiment_attention",
    ),
    (
        "translation",
        "--epochs 1 --limit 300 --features 32",
        r"test: BLEU [\d.]+, perplexity [\d.]+, [\d.]+ % of the sentences word for word",
        "translation",
    ),
    (
        "word_vectors",
        "--epochs 2 --limit 2000 --features 16",
        r"a true neighbour scores higher than a drawn word in [\d.]+ % of the held-out pairs",
        "word_vectors",
    ),
]


def start(name, *options):
    paths = [str(Path(gs.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", "--threads", "1", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")
@pytest.mark.parametrize(("name", "options", "last", "saved"), RUNS, ids=[run[3] for run in RUNS])
def test_runs(name, options, last, saved, tmp_path):
    done = start(name, "--data", DATA, "--output", tmp_path / "out", *options.split())
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(last, done.stdout.splitlines()[-1]), done.stdout
    checkpoint = gs.load(tmp_path / "out" / f"{saved}.gs")
    values = checkpoint["model"].values() if "model" in checkpoint else [checkpoint["vectors"]]
    assert all(bool(gs.isfinite(value).all()) for value in values)
    picture = tmp_path / "out" / f"{saved}.png"
    if "no picture: matplotlib" not in done.stdout:
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("name", sorted({run[0] for run in RUNS}))
def test_missing_data_is_one_line(name, tmp_path):
    done = start(name, "--data", tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(rf"{name}: \[\w+\] Dataset not found: .*\n", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
