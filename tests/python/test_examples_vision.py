"""The examples with tables and pictures run, learn what a few seconds allow, and draw.

The data is read from ../shared/data beside the repository, or from `data` beside the folder that
GRADSTONE_SEED_PROGRAMS names.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn

ROOT = Path(__file__).resolve().parents[2]
DATA = (
    Path(os.environ.get("GRADSTONE_SEED_PROGRAMS", ROOT.parent / "shared" / "seed_programs")).parent
    / "data"
)


def need(name: str) -> Path:
    """The folder of a data set; the test is skipped where it is not."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}")
    return folder


def example(name: str, tmp_path: Path, *arguments: object) -> tuple[list[str], str]:
    """Runs it on one thread; the numbers in its last line, and all that it printed."""
    done = subprocess.run(
        [
            sys.executable, str(ROOT / "examples" / f"{name}.py"),
            "--threads", "1", "--output", str(tmp_path / "out"), *map(str, arguments),
        ],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert "no picture: matplotlib is not installed" in done.stdout
    else:
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    last = done.stdout.strip().splitlines()[-1]
    return re.findall(r"-?\d+\.?\d*", last), done.stdout


def test_linear_regression_meets_the_closed_form(tmp_path):
    numbers, text = example("linear_regression", tmp_path, "--data", need("tabular"))
    score, exact = map(float, numbers[1:])  # the first is the 2 of R2
    assert score == pytest.approx(exact, abs=2e-3)
    assert 0.3 < exact < 0.7
    rows = re.findall(r"^ +(\w+) +(-?\d+\.\d\d) +(-?\d+\.\d\d)$", text, re.M)
    assert len(rows) == 11
    for name, mine, best in rows:
        assert float(mine) == pytest.approx(float(best), abs=0.05), name


def test_logistic_regression_tells_the_classes_apart(tmp_path):
    numbers, _ = example("logistic_regression", tmp_path, "--data", need("tabular"))
    cancer, area, iris, wine = map(float, numbers)
    assert cancer > 92
    assert 0.98 < area <= 1
    assert iris > 88
    assert wine > 88


def test_recommender_comes_near_the_noise(tmp_path):
    numbers, _ = example("recommender", tmp_path)
    score, floor, mean = map(float, numbers)
    assert floor == pytest.approx(0.3, abs=0.02)
    assert floor < score < 0.36
    assert mean > 0.9


def test_recommender_is_no_better_than_the_mean_without_training(tmp_path):
    numbers, _ = example("recommender", tmp_path, "--epochs", 1, "--lr", 0)
    score, _, mean = map(float, numbers)
    assert score == pytest.approx(mean, rel=0.02)


def test_mlp_learns_the_digits_of_the_repository(tmp_path):
    numbers, _ = example("mlp_digits", tmp_path, "--epochs", 3, "--limit", 4000)
    assert float(numbers[-1]) > 85


def test_vae_raises_its_bound(tmp_path):
    numbers, _ = example("vae", tmp_path, "--epochs", 3, "--limit", 1000)
    bound, reconstruction, divergence = map(float, numbers)
    assert bound == pytest.approx(reconstruction - divergence, abs=0.02)
    assert -260 < bound < -60  # coins for pixels give -784 log 2 = -543
    assert divergence > 1


def functions_of(name: str):
    """The example as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_area_below_roc_is_the_chance_that_a_positive_scores_higher():
    random = np.random.default_rng(0)
    scores = random.integers(0, 20, 100).astype(float)  # many are equal
    positive = random.random(100) < 0.3
    _, _, area = functions_of("logistic_regression").roc(scores, positive)
    difference = scores[positive][:, None] - scores[~positive]
    chance = (difference > 0).mean() + 0.5 * (difference == 0).mean()
    assert area == pytest.approx(chance, abs=1e-12)


def test_frechet_distance_of_normal_distributions():
    distance = functions_of("dcgan").frechet_distance
    features = nn.Sequential(nn.Flatten(), nn.Identity())  # the last layer is left out
    x = gs.randn(500, 1, 1, 3)
    # Moved by one in each of three dimensions; three times as wide in each.
    assert distance(features, x, x + 1) == pytest.approx(3, abs=1e-4)
    deviations = x.double().numpy().reshape(500, 3).var(0, ddof=1).sum()
    mean = 2 * x.double().mean(0).flatten()
    wide = mean.square().sum().item() + 4 * deviations
    assert distance(features, x, 3 * x) == pytest.approx(wide, rel=1e-4)


def test_dcgan_paints_and_is_judged(tmp_path):
    numbers, text = example(
        "dcgan", tmp_path, "--epochs", 3, "--limit", 700, "--batch-size", 16
    )  # fmt: skip
    sure, real, classes, _, distance, real_distance, noise_distance = map(float, numbers)
    assert 0 <= sure <= 100
    assert real > 20
    assert 0 < real_distance < distance < noise_distance
    counts = re.search(r"classes of the samples: ([\d ]+)", text)
    assert counts
    numbers = [int(n) for n in counts[1].split()]
    assert sum(numbers) == 2000
    assert classes == sum(n >= 20 for n in numbers)  # a hundredth of the samples


def test_fashion_cnn_learns(tmp_path):
    folder = need("fashion-mnist")
    numbers, _ = example(
        "fashion_cnn", tmp_path, "--data", folder, "--epochs", 2, "--limit", 1000
    )  # fmt: skip
    assert float(numbers[-1]) > 55


def toy_pictures(path: Path) -> None:
    """A tar as of CIFAR-10's: ten classes that are ten colours, 20 and 10 pictures of each."""
    image = pytest.importorskip("PIL.Image", reason="JPEG files need Pillow")
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (10, 1, 1, 3))
    with tarfile.open(path, "w:xz") as tar:
        for part, number in (("train", 20), ("test", 10)):
            for k in range(10 * number):
                noise = random.normal(0, 20, (32, 32, 3))
                pixels = (colours[k % 10] + noise).clip(0, 255).astype(np.uint8)
                file = io.BytesIO()
                image.fromarray(pixels).save(file, "JPEG")
                info = tarfile.TarInfo(f"{part}/class{k % 10}/{k // 10:04d}.jpg")
                info.size = file.tell()
                file.seek(0)
                tar.addfile(info, file)


def test_cifar_resnet_learns_colours_and_keeps_the_pictures(tmp_path):
    toy_pictures(tmp_path / "cifar10-toy.tar.xz")
    arguments = ("--data", tmp_path, "--width", 4, "--batch-size", 10, "--epochs", 5)
    numbers, text = example("cifar_resnet", tmp_path, *arguments)
    assert "200 training and 100 test pictures" in text
    assert float(numbers[-1]) > 60
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("cifar10-toy*.npy")}
    assert len(kept) == 2
    again, _ = example("cifar_resnet", tmp_path, *arguments)
    assert again == numbers
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("linear_regression", "diabetes_data_raw"),
        ("logistic_regression", "breast_cancer.csv"),
        ("mlp_digits", "train-images"),
        ("fashion_cnn", "train-images"),
        ("cifar_resnet", "no cifar10"),
        ("vae", "train-images"),
        ("dcgan", "images-idx3"),
    ],
)
def test_says_when_there_is_no_data(name, missing, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--data", str(tmp_path / "none")],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert missing in done.stderr
    assert "none" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_gallery_says_what_the_logs_say():
    page = (ROOT / "docs" / "GALLERY.md").read_text(encoding="utf-8")
    folder = ROOT / "docs" / "gallery"
    logs = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.log")}
    assert logs
    for name, text in logs.items():
        assert f"`{text.strip().splitlines()[-1]}`" in page, name
        assert f"](gallery/{name}.log)" in page
        assert f"](gallery/{name}.png)" in page
    for link in re.findall(r"\]\(gallery/([^)]+)\)", page):
        assert (folder / link).stat().st_size < 100_000, link


@pytest.mark.parametrize("name", ["mlp_digits", "vae", "dcgan", "saliency", "distill_prune"])
def test_says_which_file_is_damaged(name, tmp_path):
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(b"damaged")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--data", str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(rf"{name}: .*train-images-idx3-ubyte is not an IDX file\.\n", done.stderr)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as POSIX has it")
def test_an_interrupted_run_says_so_and_saves_nothing(tmp_path):
    program = [sys.executable, str(ROOT / "examples" / "mlp_digits.py")]
    run = subprocess.Popen(
        [*program, "--epochs", "1000", "--limit", "500", "--output", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert run.stdout is not None
        while "epoch 2/" not in (line := run.stdout.readline()):
            assert line, "it ended before its second epoch"
        run.send_signal(signal.SIGINT)
        text = run.communicate(timeout=60)[0]
    finally:
        run.kill()
    assert run.returncode == 1
    assert re.search(r"^mlp_digits: interrupted after \d+ epochs: nothing is saved$", text, re.M)
    assert "Traceback" not in text and "trained" not in text
    assert not (tmp_path / "out").exists()
