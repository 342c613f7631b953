"""The command line: what it prints, exit codes, and one line for a mistake of the user's."""

import importlib
import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import cli
from gradstone.cli import digits, info

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT / "examples" / "data" / "mnist10k"


def call(capsys, *arguments):
    """(exit code, stdout, stderr) of the command line in this process."""
    try:
        code = cli.main([str(a) for a in arguments])
    except SystemExit as stop:
        code = stop.code
    out = capsys.readouterr()
    return code, out.out, out.err


def succeed(capsys, *arguments):
    code, out, err = call(capsys, *arguments)
    assert (code, err) == (0, ""), err
    return out


def refuse(capsys, *arguments):
    """The one line that a mistake gets."""
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert err.count("\n") == 1, err
    assert "error: " in err
    return err


def python(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([sys.executable, *map(str, arguments)], **options)


# ----------------------------------------------------------------------------------- the whole


def test_as_a_module():
    done = python("-m", "gradstone", "--version")
    assert (done.returncode, done.stdout) == (0, f"gradstone {gs.__version__}\n")
    done = python("-m", "gradstone", "summary", "no_such_module:Net")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_the_script_that_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["gradstone"].partition(":")
    assert getattr(importlib.import_module(module), name) is cli.main


@pytest.mark.parametrize("command", ["info", "demo", "bench", "summary"])
def test_help_has_examples(capsys, command):
    for arguments in ([command, "--help"], ["--help"]):
        code, out, _ = call(capsys, *arguments)
        assert code == 0
        assert f"  gradstone {command}" in out.split("examples:")[1]


def test_mistakes_get_one_line(capsys):
    assert "COMMAND" in refuse(capsys)
    assert "'trian'" in refuse(capsys, "trian")
    assert "gradstone demo --help" in refuse(capsys, "demo", "--epochs", "0")
    assert "at least 1, got '0'" in refuse(capsys, "demo", "--epochs", "0")
    assert "above 0, got 'nan'" in refuse(capsys, "bench", "--seconds", "nan")


def test_ctrl_c(capsys, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "gather", interrupt)
    code, _, err = call(capsys, "info")
    assert code == 130
    assert "interrupted" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["demo", "--threads", "99999"], "expected at most 4096, got '99999'"),
        (["demo", "--seed", "-1"], "a whole number of at least 0, got '-1'"),
        (["bench", "--threads", "0"], "a whole number of at least 1, got '0'"),
    ],
)
def test_numbers_that_cannot_be(capsys, arguments, text):
    assert text in refuse(capsys, *arguments)


@pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
def test_a_full_disk_and_no_output_at_all(tmp_path):
    (tmp_path / "net.py").write_text("from gradstone import nn\nmodel = nn.Linear(4, 2)\n")
    command = [sys.executable, "-m", "gradstone", "summary", "net.py:model", "--input", "1,4"]
    options = {"stderr": subprocess.PIPE, "text": True, "timeout": 60, "cwd": tmp_path}
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, **options)
    assert done.returncode == 1
    assert "gradstone summary: error: OSError: [Errno 28]" in done.stderr
    assert "Traceback" not in done.stderr
    closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], **options)
    assert (closed.returncode, closed.stderr) == (0, "")
    huge = subprocess.run([*command[:-1], "99999999999,4"], stdout=subprocess.PIPE, **options)
    assert huge.returncode == 1
    assert huge.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
def test_a_reader_that_leaves():
    read, write = os.pipe()
    os.close(read)
    done = python("-m", "gradstone", "info", capture_output=False, stdout=write, stderr=-1)
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == ""


# ----------------------------------------------------------------------------------------- info


def test_info_says_what_a_report_needs(capsys):
    text = succeed(capsys, "info")
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in text.splitlines())
    assert facts["gradstone"] == gs.__version__
    assert facts["instruction set"] == gs._C.isa()
    assert int(facts["threads"]) == gs.get_num_threads()
    assert facts["Python"] == platform.python_version()
    assert facts["platform"] == platform.platform()
    assert facts["numpy"] == np.__version__
    assert facts["CUDA"]
    assert "torch" in facts


def test_info_as_json(capsys, monkeypatch):
    monkeypatch.setenv("GRADSTONE_EXAMPLE", "yes")
    facts = json.loads(succeed(capsys, "info", "--json"))
    assert facts["gradstone"] == gs.__version__
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["settings"]["GRADSTONE_EXAMPLE"] == "yes"
    assert facts["folder"] == str(Path(gs.__file__).parent)


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_commit_is_that_of_the_repository_which_has_the_package(tmp_path):
    try:
        git(tmp_path, "init", "-q")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (tmp_path / "other").write_text("")
    git(tmp_path, "add", "other")
    git(tmp_path, "commit", "-qm", "the package is not in it")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert not (info.commit(package) or "").startswith(head[:12])
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "-qm", "now it is")
    assert info.commit(package) == git(tmp_path, "rev-parse", "--short=12", "HEAD")
    (package / "__init__.py").write_text("changed = True")
    assert info.commit(package).endswith("+changes")


# ----------------------------------------------------------------------------------------- demo


def test_digits_are_what_their_labels_say():
    images, labels = digits.make_digits(200, seed=3)
    assert (images.shape, images.dtype) == ((200, 1, 16, 16), gs.float32)
    assert set(labels.tolist()) == set(range(10))
    again, _ = digits.make_digits(200, seed=3)
    assert gs.equal(images, again)
    other, _ = digits.make_digits(200, seed=4)
    assert not gs.equal(images, other)
    # An eight has every segment on, a one the fewest: brighter by far.
    light = [images[labels == d].sum().item() / (labels == d).sum().item() for d in (1, 8)]
    assert light[1] > light[0] + 10


def accuracies(text):
    return [float(v) for v in re.findall(r"test accuracy\D+([\d.]+) %", text)]


def test_the_demo_learns(capsys):
    text = succeed(capsys, "demo", "--epochs", "2", "--threads", "1")
    values = accuracies(text)
    assert len(values) == 4
    assert values[0] < 30
    assert values[-1] == values[-2] > 90
    assert re.search(r"epoch 2/2 .* loss [\d.]+ .* images/s", text)
    assert re.search(r"read as \d, \d, \d, \d; they are \d, \d, \d, \d", text)
    assert max(map(len, text.splitlines())) <= 80
    assert accuracies(succeed(capsys, "demo", "--epochs", "2")) == values  # the same seed


def test_the_demo_on_files(capsys):
    text = succeed(capsys, "demo", "--epochs", "1", "--data", MNIST)
    assert "10,000 images of 28 x 28" in text
    assert accuracies(text)[-1] > 90


def test_the_demo_without_files(capsys, tmp_path):
    line = refuse(capsys, "demo", "--data", tmp_path / "nowhere")
    assert "nowhere" in line


# ---------------------------------------------------------------------------------------- bench


def test_bench_alone(capsys):
    options = ["--only", "2x2", "MLP", "--rounds", "1", "--seconds", "0.001", "--no-torch"]
    text = succeed(capsys, "bench", *options, "--threads", "1")
    head, columns, *rows = text.splitlines()
    assert head.startswith(f"gradstone {gs.__version__}; threads: 1; ")
    assert columns.split() == ["case", "gradstone"]
    assert [re.split("  +", row)[0] for row in rows] == ["x + y, 2x2", "MLP step"]
    assert all(re.search(r"\d (s|ms|us|ns)$", row) for row in rows)


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """A `torch` that is gradstone under another name, and slow at adding small tensors."""
    (tmp_path / "torch.py").write_text(
        "import sys, time, gradstone\n"
        "from gradstone import *\n"
        "from gradstone import nn, optim, no_grad\n"
        "__version__ = '0.0'\n"
        "def randn(*shape):\n"
        "    return Slow() if shape == (2, 2) else gradstone.randn(*shape)\n"
        "class Slow:\n"
        "    def __add__(self, other):\n"
        "        time.sleep(0.01)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def test_bench_beside_a_peer(capsys, peer):
    options = ["--only", "2x2", "--rounds", "3", "--seconds", "0.02", "--threads", "1"]
    text = succeed(capsys, "bench", *options)
    assert "torch 0.0" in text.splitlines()[0]
    row = next(line for line in text.splitlines() if line.startswith("x + y, 2x2"))
    assert float(row.split()[-1]) > 1000  # 10 ms against well under 10 us
    assert "geometric mean" in text
    facts = json.loads(succeed(capsys, "bench", *options, "--json"))
    times = facts["seconds"]["x + y, 2x2"]
    assert times["torch"] > 0.01 > 1000 * times["gradstone"]
    assert facts["versions"] == {"gradstone": gs.__version__, "torch": "0.0"}


def test_bench_says_when_a_library_fails(capsys, peer, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('broken on purpose')")
    assert "torch: ImportError: broken on purpose" in refuse(capsys, "bench", "--only", "2x2")


def test_bench_of_nothing(capsys):
    line = refuse(capsys, "bench", "--only", "matmull")
    assert "no case contains matmull; there are matmul 512" in line


# -------------------------------------------------------------------------------------- summary

MODELS = """
import gradstone as gs
from gradstone import nn

class Net(nn.Module):
    def __init__(self, features=3):
        super().__init__()
        self.fc = nn.Linear(features, 2)
    def forward(self, x):
        return self.fc(x)

class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
    def forward(self, index, weight):
        return self.embed(index) * weight

class factories:
    @staticmethod
    def small():
        return Net()

ready = Net()
number = 3

def broken():
    raise ValueError("first line\\nsecond line")
"""


@pytest.fixture
def models(tmp_path, monkeypatch):
    (tmp_path / "mymodels.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("mymodels", None)


@pytest.mark.parametrize("spec", ["mymodels:Net", "mymodels.py:factories.small", "mymodels:ready"])
def test_summary_of_a_model(capsys, models, spec):
    text = succeed(capsys, "summary", spec, "--input", "4,3")
    assert re.search(r"Linear \(fc\)  \(4, 2\) +8 +yes +24 +32 B", text)
    assert "Parameters: 8 (8 trainable, 0 not)" in text
    assert "Multiply-adds: 24" in text


def test_summary_with_several_inputs_and_as_json(capsys, models):
    arguments = ["mymodels:Words", "--input", "2,5:int64", "--input", "2,5,4", "--json"]
    facts = json.loads(succeed(capsys, "summary", *arguments))
    assert facts["total_parameters"] == 40
    assert [row["path"] for row in facts["rows"]] == ["", "embed"]
    assert facts["input_bytes"] == 10 * 8 + 40 * 4
    text = succeed(capsys, "summary", "mymodels:Net", "--depth", "0")
    assert "Linear" not in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["mymodels"], "expected MODULE:CALLABLE"),
        (["mymodles:Net"], "cannot import 'mymodles': ModuleNotFoundError"),
        (["none.py:Net"], "there is no file 'none.py'"),
        (["mymodels:Nett"], "'mymodels' has no 'Nett'"),
        (["mymodels:number"], "is no model, and cannot be called: int"),
        (["mymodels:dict"], "has no 'dict'"),
        (["mymodels:gs.zeros"], "gs.zeros() "),
        (["mymodels:broken"], "broken() failed: ValueError: first line"),
        (["mymodels:Net", "--input", "1,x"], "'1,x'"),
        (["mymodels:Net", "--input", "1,3:int65"], "no dtype 'int65'"),
        (["mymodels:Net", "--input", "1,4"], "while layer 'fc' (Linear) was called"),
        (["mymodels:Net", "--depth", "-1"], "at least 0, got -1"),
    ],
)
def test_summary_refuses_in_one_line(capsys, models, arguments, message):
    assert message in refuse(capsys, "summary", *arguments)


def test_summary_shows_a_traceback_when_asked(capsys, models):
    with pytest.raises(ValueError, match="first line"):
        cli.main(["summary", "mymodels:broken", "--traceback"])
