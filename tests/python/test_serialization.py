"""Files: everything comes back, and nothing foreign, damaged or changed is read."""

from __future__ import annotations

import enum
import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim


def round_trip(value, **options):
    file = io.BytesIO()
    gs.save(value, file)
    file.seek(0)
    return gs.load(file, **options)


DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_every_dtype_and_shape(name, shape):
    size = int(np.prod(shape))
    x = gs.arange(size).reshape(shape).to(getattr(gs, name))
    y = round_trip(x)
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert y.tolist() == x.tolist()


def test_structures():
    value = OrderedDict(
        a=[1, 2.5, None, True, "ü", (1, (2,)), float("inf")],
        b={1: "int key", (1, 2): "tuple key", None: 0},
        c={gs.float32, gs.int64},
        d=gs.device("cpu"),
        e=b"\0\xff",
        f=np.float32(1.5),
        g=gs.zeros(2, 3).shape,
        h=2**70,
    )
    back = round_trip(value)
    assert type(back) is OrderedDict
    assert list(back) == list(value)
    for key in "abcdegh":
        assert back[key] == value[key]
        assert type(back[key]) is type(value[key])
    assert back["f"] == 1.5
    assert np.isnan(round_trip(float("nan")))


def test_checkpoint_of_a_training():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = optim.Adam(net.parameters())
    net(gs.randn(8, 3)).sum().backward()
    optimizer.step()
    back = round_trip({"model": net.state_dict(), "optim": optimizer.state_dict(), "epoch": 3})
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    other.load_state_dict(back["model"])
    optim.Adam(other.parameters()).load_state_dict(back["optim"])
    x = gs.randn(5, 3)
    assert gs.equal(net.eval()(x), other.eval()(x))
    assert back["epoch"] == 3


def test_shared_memory_stays_shared():
    base = gs.arange(10.0)
    back = round_trip({"all": base, "part": base[2:5], "again": base, "rows": base.reshape(2, 5).T})
    back["part"].fill_(-1)
    assert back["all"][2:5].tolist() == [-1, -1, -1]
    assert back["again"].data_ptr() == back["all"].data_ptr()
    assert back["rows"].tolist() == back["all"].reshape(2, 5).T.tolist()


def test_views_alone_are_stored_small():
    big = gs.zeros(100_000)
    file = io.BytesIO()
    gs.save({"x": big[5:8], "t": gs.arange(6).reshape(2, 3).T, "e": gs.ones(1).expand(4)}, file)
    assert len(file.getvalue()) < 2000
    file.seek(0)
    back = gs.load(file)
    assert back["x"].shape == (3,)
    assert back["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert back["e"].tolist() == [1, 1, 1, 1]


def test_parameters_and_leaves():
    back = round_trip([nn.Parameter(gs.ones(2)), gs.ones(1, requires_grad=True), gs.ones(1)])
    assert isinstance(back[0], nn.Parameter)
    assert [t.requires_grad for t in back] == [True, True, False]


def test_map_location():
    assert round_trip(gs.ones(1), map_location="cpu").device.type == "cpu"
    assert round_trip(gs.ones(1), map_location={"cpu": "cpu"}).item() == 1
    assert round_trip(gs.ones(1), map_location=lambda t, place: t + 1).item() == 2


def test_what_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "x.gs"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match=r"Linear at a\.0.*state_dict"):
        gs.save({"a": [nn.Linear(1, 1)]}, path)
    with pytest.raises(TypeError, match="function"):
        gs.save(lambda: 0, path)
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        gs.save(loop, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.gs"]


def test_a_path_is_replaced_at_once(tmp_path, monkeypatch):
    path = tmp_path / "x.gs"
    gs.save(gs.ones(3), path)
    assert os.listdir(tmp_path) == ["x.gs"]

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        gs.save(gs.zeros(3), path)
    assert os.listdir(tmp_path) == ["x.gs"]
    assert gs.load(path).tolist() == [1, 1, 1]


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "x.gs"
    gs.save({"w": gs.arange(100.0), "n": 3}, path)
    return path


def test_every_truncation_is_noticed(saved):
    data = saved.read_bytes()
    for length in [0, 1, 7, 8, 9, 50, len(data) // 2, len(data) - 1]:
        saved.write_bytes(data[:length])
        with pytest.raises(RuntimeError, match=r"\[load\]"):
            gs.load(saved)


def test_every_changed_byte_is_noticed(saved):
    data = saved.read_bytes()
    for where in range(0, len(data), 7):
        changed = bytearray(data)
        changed[where] ^= 1
        saved.write_bytes(bytes(changed))
        with pytest.raises(RuntimeError, match=r"\[load\]"):
            gs.load(saved)
    with pytest.raises(RuntimeError):
        gs.load(io.BytesIO(data + b"more"))


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_foreign_files_are_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in range(6):
        with pytest.raises(RuntimeError, match=r"\[load\]"):
            gs.load(io.BytesIO(pickle.dumps(Bomb(), protocol)))
    with pytest.raises(RuntimeError, match="pickle"):
        gs.load(io.BytesIO(pickle.dumps(Bomb())))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    archive.seek(0)
    with pytest.raises(RuntimeError, match="could run code"):
        gs.load(archive)
    with pytest.raises(RuntimeError, match=r"\[load\]"):
        gs.load(io.BytesIO(b"hello, this is text and long enough"))
    assert os.listdir(tmp_path) == []


def test_it_is_a_safetensors_file(saved):
    from safetensors.numpy import load_file, save_file

    np.testing.assert_array_equal(load_file(saved)["w"], np.arange(100.0))
    save_file({"w": np.zeros(2)}, saved)
    with pytest.raises(RuntimeError, match=r"gradstone\.save did not write"):
        gs.load(saved)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        gs.load(tmp_path / "none")


def test_headers_of_every_length():
    # The length of the header comes first, and some lengths look like the beginning of a pickle.
    for length in range(1, 400):
        state = {"x" * length: gs.zeros(1)}
        file = io.BytesIO()
        gs.save(state, file)
        file.seek(0)
        assert list(gs.load(file)) == list(state)


def test_expanded_tensors_are_stored_once():
    x = gs.arange(3.0).expand(1_000_000, 1_000_000, 3)
    file = io.BytesIO()
    gs.save({"x": x, "y": gs.tensor(7).expand(4)}, file)
    assert file.tell() < 2000
    file.seek(0)
    back = gs.load(file)
    assert back["x"].shape == x.shape
    assert back["x"].stride() == x.stride()
    assert back["x"][5, 7].tolist() == [0, 1, 2]
    assert back["y"].tolist() == [7] * 4


def test_text_of_an_enumeration():
    class Colour(str, enum.Enum):  # noqa: UP042
        RED = "red"

    assert round_trip({Colour.RED: Colour.RED}) == {"red": "red"}
