"""Files of torch.save: tests/torch_files/make_files.py wrote them with PyTorch."""

import collections
import io
import pickle
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn
from gradstone.models import load_pretrained
from gradstone.utils.plain_pickle import UnsafePickleError

FILES = Path(__file__).parents[1] / "torch_files"
BOTH = pytest.mark.parametrize("name", ["checkpoint.pt", "checkpoint_old.pt"])
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")


@BOTH
def test_values_and_dtypes(name):
    found = gs.load(FILES / name)
    assert list(found) == ["model", "layer", "epoch", "losses", "shape", "note"]
    weights = found["model"]
    for dtype in DTYPES:
        assert weights[dtype].dtype == getattr(gs, dtype)
        assert weights[dtype].tolist() == [0, 1, 2, 3, 4]
    assert weights["bool"].tolist() == [True, False, True]
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(weights["turned"].numpy(), base.T)
    np.testing.assert_array_equal(weights["part"].numpy(), base[1:3, ::2])
    assert weights["scalar"].item() == 2.5 and weights["scalar"].shape == ()
    assert weights["empty"].shape == (0, 3)
    assert weights["parameter"].tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert (found["epoch"], found["losses"], found["shape"]) == (3, [0.5, 0.25], (2, 3))
    assert found["note"] == ("ein Wört", None, True, b"bytes")
    layer = nn.Linear(3, 2)
    layer.load_state_dict(found["layer"])
    assert layer.weight.tolist() == [[0.5] * 3] * 2


@pytest.mark.parametrize("name", ["kinds.pt", "kinds_old.pt"])
def test_what_else_checkpoints_hold(name):
    found = gs.load(FILES / name)
    assert found["schedule"]["milestones"] == Counter({2: 1, 4: 2})
    assert found["names"] == {"a", "b"}
    assert found["device"] == gs.device("cuda:1") and found["dtype"] is gs.bfloat16
    assert found["best"] == np.float32(0.75) and type(found["best"]) is np.float32
    assert found["array"].tolist() == [0, 1, 2]
    optimizer = gs.optim.SGD([nn.Parameter(gs.ones(1))], lr=0.1)
    schedule = gs.optim.lr_scheduler.MultiStepLR(optimizer, [9])
    schedule.load_state_dict(found["schedule"])
    for _ in range(4):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.1 * 0.1**3])


@pytest.mark.parametrize("part", [b"c__builtin__\nset\n", b"ccollections\nCounter\n"])
def test_sets_and_counters_hold_plain_items(part):
    item = b"c__builtin__\nset\n"
    held = b"}(" + item + b"K\x01u" if b"Counter" in part else b"](" + item + b"e"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x/data.pkl", b"\x80\x02" + part + held + b"\x85R.")
    with pytest.raises(RuntimeError, match=r"(expected, not a|no number:) Name"):
        gs.load(io.BytesIO(archive.getvalue()))


@BOTH
def test_shared_memory_stays_shared(name):
    weights = gs.load(FILES / name)["model"]
    weights["turned"][0, 1] = 99.0  # base[1, 0]
    assert weights["part"][0, 0].item() == 99.0


def test_file_objects_and_map_location():
    places = []

    def keep(tensor, device):
        places.append(device)

    found = gs.load(io.BytesIO((FILES / "checkpoint.pt").read_bytes()), map_location=keep)
    assert set(places) == {"cpu"} and found["epoch"] == 3


def test_load_pretrained():
    layer = nn.Linear(3, 2)
    load_pretrained(layer, FILES / "linear.pt")
    assert layer.weight.tolist() == [[0.5] * 3] * 2 and layer.bias.tolist() == [0, 0]


def test_a_module_is_refused():
    with pytest.raises(UnsafePickleError, match=r"names torch\.nn\.modules\.linear\.Linear"):
        gs.load(FILES / "module.pt")


class Hostile:
    def __reduce__(self):
        return (print, ("this must not be printed",))


def archive(payload, storages=None):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", payload)
        for key, data in (storages or {}).items():
            made.writestr(f"archive/data/{key}", data)
    return file.getvalue()


@pytest.mark.parametrize("protocol", range(5))
def test_code_is_not_run(protocol, capsys):
    with pytest.raises(UnsafePickleError, match="could run code"):
        gs.load(io.BytesIO(archive(pickle.dumps({"x": Hostile()}, protocol))))
    assert capsys.readouterr().out == ""


def test_a_tensor_beyond_its_storage_is_refused():
    data = bytearray((FILES / "checkpoint.pt").read_bytes())
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        folder = made.namelist()[0].split("/")[0]
        payload = made.read(f"{folder}/data.pkl")
        storages = {
            n.rsplit("/", 1)[1]: made.read(n) for n in made.namelist() if f"{folder}/data/" in n
        }
    assert gs.load(io.BytesIO(archive(payload, storages)))["epoch"] == 3
    stride = b"K\x01K\x06\x86"  # (1, 6), of the turned tensor
    assert payload.count(stride) == 1
    further = payload.replace(stride, b"K\x01K\x09\x86")
    with pytest.raises(RuntimeError, match="reaches beyond its 24 values"):
        gs.load(io.BytesIO(archive(further, storages)))
    storages["0"] = storages["0"][:-1]
    with pytest.raises(RuntimeError, match="a storage has 19 bytes, 20 were expected"):
        gs.load(io.BytesIO(archive(payload, storages)))


@BOTH
def test_damaged_files(name):
    data = (FILES / name).read_bytes()
    for length in (*range(0, 40, 7), len(data) // 2, len(data) - 10):
        with pytest.raises(RuntimeError):
            gs.load(io.BytesIO(data[:length]))


def test_compressed_archives_are_not_unpacked():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("archive/data.pkl", pickle.dumps(b"\0" * 1_000_000))
    with pytest.raises(RuntimeError, match="compressed"):
        gs.load(io.BytesIO(file.getvalue()))


def test_other_archives():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("readme.txt", "nothing")
    with pytest.raises(RuntimeError, match=r"without data\.pkl"):
        gs.load(io.BytesIO(file.getvalue()))


def doubled(close, levels):
    """A pickle's code for a list (or tuple) that holds the one before it twice, and so on."""
    code = b"]q\0"
    for i in range(levels):
        code += b"(h" + bytes([i]) + b"h" + bytes([i]) + close + b"q" + bytes([i + 1])
    return code


def test_what_is_held_many_times_is_read_once():
    found = gs.load(io.BytesIO(archive(b"\x80\x02" + doubled(b"l", 60) + b".")))
    for _ in range(60):
        assert found[0] is found[1]
        found = found[0]


@pytest.mark.parametrize(
    "code",
    [
        b"}%sK\1s.",  # a dict's key
        b"(%sctorch\nByteStorage\nU\x010U\3cpuK\1tQ.",  # what a storage is
        b"(U\7storagectorch\nByteStorage\n%sU\3cpuK\1tQ.",  # its name
        b"ctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\nByteStorage\nU\x010U\3cpuK\1tQ"
        b"K\0%s%stR.",  # a size
        b"ccollections\nOrderedDict\n(]%sK\1\x86atR.",
        b"cnumpy\ndtype\n(%stR.",
        b"c_codecs\nencode\n(U\1a%stR.",
        b"%s%s\x93.",  # a name
    ],
)
def test_nested_tuples_are_neither_hashed_nor_printed(code):
    nested = b"(" + doubled(b"t", 60).replace(b"]", b")", 1) + b"t0"  # into the memo alone
    payload = b"\x80\x04" + nested + code.replace(b"%s", b"h\x3c")
    with pytest.raises(RuntimeError, match="damaged: "):
        gs.load(io.BytesIO(archive(payload)))


def test_a_device_that_is_not_here():
    with zipfile.ZipFile(FILES / "linear.pt") as made:
        payload = made.read("linear/data.pkl")
        storages = {n.rsplit("/", 1)[1]: made.read(n) for n in made.namelist() if "/data/" in n}
    moved = archive(payload.replace(b"X\3\0\0\0cpu", b"X\3\0\0\0mps"), storages)
    with pytest.raises(
        RuntimeError, match=r"device 'mps', which is not here.*map_location=\"cpu\""
    ):
        gs.load(io.BytesIO(moved))
    assert gs.load(io.BytesIO(moved), map_location="cpu")["bias"].tolist() == [0, 0]


def test_encrypted_archives():
    data = bytearray(archive(pickle.dumps([1])))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + place] |= 1
    with pytest.raises(RuntimeError, match="encrypted"):
        gs.load(io.BytesIO(data))


def test_the_milestones_of_a_schedule():
    code = b"ccollections\nCounter\n(}(K\3K\1K\5K\2utR."
    found = gs.load(io.BytesIO(archive(b"\x80\2" + code)))
    assert (found, found[4]) == (collections.Counter({3: 1, 5: 2}), 0)


def test_tensors_that_are_not_here_or_not_as_they_are_stored():
    with zipfile.ZipFile(FILES / "linear.pt") as made:
        payload = made.read("linear/data.pkl")
        storages = {n.rsplit("/", 1)[1]: made.read(n) for n in made.namelist() if "/data/" in n}
    other = payload.replace(b"torch\nFloatStorage", b"torch\nComplexFloatStorage")
    with pytest.raises(UnsafePickleError, match=r"not here \(torch\.ComplexFloatStorage\)"):
        gs.load(io.BytesIO(archive(other, storages)))
    # The seventh argument of the first tensor: its sign bit.
    end = payload.index(b"tq\x0c")
    turned = payload[:end] + b"}X\3\0\0\0neg\x88s" + payload[end:]
    with pytest.raises(RuntimeError, match="sign turned"):
        gs.load(io.BytesIO(archive(turned, storages)))
