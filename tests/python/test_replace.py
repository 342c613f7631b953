"""Files that are written over: the old one stays until the new one is whole."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

import gradstone as gs
from gradstone import audio
from gradstone._replace import write_file
from gradstone.text import Vocab
from gradstone.training import History
from gradstone.vision.io import write_png

posix = pytest.mark.skipif(os.name != "posix", reason="resource limits are POSIX's")

WRITERS = {
    "gs": lambda path: gs.save(gs.zeros(10_000), path),
    "json": lambda path: Vocab([str(i) for i in range(10_000)]).save(path),
    "wav": lambda path: audio.write_wav(path, gs.zeros(10_000), 8000),
    "png": lambda path: write_png(gs.randint(0, 256, (3, 100, 100)).to(gs.uint8), path),
    "history": lambda path: long_history().save(path),
    "csv": lambda path: long_history().to_csv(path),
}


def long_history():
    history = History()
    history.epochs = [{"epoch": i, "loss": 0.5} for i in range(2000)]
    return history


@posix
@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_leaves_the_old_file(tmp_path, kind):
    import resource

    if kind == "png":
        pytest.importorskip("PIL")
    path = tmp_path / "file"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError):
            WRITERS[kind](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@posix
def test_a_process_that_is_killed_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x.gs"
    program = (
        "import sys, gradstone as gs\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    gs.save({'n': n, 'x': gs.full((300_000,), float(n))}, sys.argv[1])\n"
        "    print(n, flush=True)\n"
    )
    for wait in (0.0, 0.003, 0.01):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.readline()
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        found = gs.load(path)
        assert found["x"].min().item() == found["x"].max().item() == found["n"] >= 2


def test_permissions_stay_and_new_files_have_the_usual_ones(tmp_path):
    old, new, usual = tmp_path / "old", tmp_path / "new", tmp_path / "usual"
    old.write_bytes(b"")
    old.chmod(0o640)
    usual.write_bytes(b"")
    write_file(old, b"1")
    write_file(new, b"1")
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert new.stat().st_mode == usual.stat().st_mode


def test_what_a_link_names_is_replaced(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data/file")
    for content in (b"first", b"second"):
        write_file(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "data" / "file").read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["data", "link"]


@posix
def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_file(pipe, b"12345")
    reader.join(10)
    assert found == [b"12345"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder.*nowhere"):
        write_file(tmp_path / "nowhere" / "x", b"")
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path, b"")
    write_file(tmp_path / ("ü" * 125), b"a name as long as names may be")
    assert len(os.listdir(tmp_path)) == 1


def test_a_file_system_that_cannot_sync_folders(tmp_path, monkeypatch):
    whole = os.fsync

    def files_only(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not of a folder")
        whole(handle)

    monkeypatch.setattr(os, "fsync", files_only)
    write_file(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
