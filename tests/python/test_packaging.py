"""What a person installs: version, dependencies, what the import pulls in, the digits."""

from __future__ import annotations

import gzip
import importlib.metadata
import marshal
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT / "examples" / "data" / "mnist10k"


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirement_name(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_version_is_the_one_of_pyproject(pyproject):
    import gradstone

    version = pyproject["project"]["version"]
    assert gradstone.__version__ == version
    assert importlib.metadata.version("gradstone") == version


def test_base_dependencies_are_exactly_three(pyproject):
    installed = importlib.metadata.requires("gradstone") or []
    base = {requirement_name(line) for line in installed if "extra ==" not in line}
    assert base == {"numpy", "ml-dtypes", "safetensors"}
    assert {requirement_name(line) for line in pyproject["project"]["dependencies"]} == base


def test_every_documented_extra_exists(pyproject):
    expected = {"vision", "onnx", "tensorboard", "progress", "plot", "mpi", "test", "bench", "dev"}
    assert expected <= set(pyproject["project"]["optional-dependencies"])


def test_import_pulls_in_no_optional_package():
    optional = "torch tensorflow matplotlib rich PIL onnx onnxruntime tensorboardX mpi4py"
    program = (
        "import sys, gradstone\n"
        f"print(*(name for name in {optional.split()!r} if name in sys.modules))\n"
    )
    # -I: not this folder's environment variables, not the current folder.
    result = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf (binutils) lists libraries")
def test_the_module_needs_no_library_of_cuda():
    from gradstone import _C

    listing = subprocess.run(["readelf", "-d", _C.__file__], capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", listing)
    assert any(name.startswith("libc.") for name in needed), listing
    assert not [name for name in needed if re.match("lib(cu|nv)", name)]


def installed_bytes(folder: Path) -> int:
    """Bytes of a package, with the bytecode that an installation adds, there or not yet."""
    total = 0
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            total += path.stat().st_size
        if path.suffix == ".py":
            code = compile(path.read_bytes(), str(path), "exec")
            total += 16 + len(marshal.dumps(code))  # a header and the code
    return total


def test_installed_package_is_small():
    import gradstone
    from gradstone import _C

    if _C._cuda_built():
        pytest.skip("the kernels for GPUs come on top: the bound is for a build without them")
    # 15 MB as du counts them: its folders come to a quarter of one.
    assert installed_bytes(Path(gradstone.__file__).parent) < 14_750_000


def test_installed_package_is_marked_as_typed():
    import gradstone

    folder = Path(gradstone.__file__).parent
    assert (folder / "py.typed").is_file()
    assert (folder / "_C.pyi").is_file()


def test_formatter_versions_agree(pyproject):
    pinned = set(pyproject["project"]["optional-dependencies"]["dev"])
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    used = set(re.findall(r"additional_dependencies: \[(.*)\]", hooks))
    assert used, "the pre-commit file has changed its form"
    assert used <= pinned


@pytest.mark.parametrize(("part", "count"), [("train", 10_000), ("t10k", 2_000)])
def test_digits_come_with_the_repository(part, count):
    images = gzip.decompress((MNIST / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((MNIST / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    assert struct.unpack(">4I", images[:16]) == (0x803, count, 28, 28)
    assert len(images) == 16 + count * 28 * 28
    assert struct.unpack(">2I", labels[:8]) == (0x801, count)
    assert len(labels) == 8 + count
    assert set(labels[8:]) == set(range(10))


def test_digits_are_small_and_attributed():
    assert sum(path.stat().st_size for path in MNIST.iterdir()) < 3_000_000
    text = (MNIST / "README.md").read_text(encoding="utf-8")
    for words in ("LeCun", "Cortes", "Burges", "ShareAlike 3.0"):
        assert words in text
