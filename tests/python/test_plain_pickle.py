"""Pickles of plain data are read; everything else is refused and nothing of it is run."""

from __future__ import annotations

import collections
import os
import pickle
import struct

import numpy as np
import pytest

from gradstone.utils.plain_pickle import (
    UnsafePickleError,
    loads_plain,
    read_plain_pickle,
)

PLAIN = {
    "none": None,
    "yes": [True, False],
    "numbers": [0, -1, 255, 65535, 2**31, -(2**70), 1.5, float("inf")],
    "text": ["", "häuser", "x" * 300],
    "bytes": [b"", b"\x00\xff", b"y" * 300],
    "nested": ({"a": (1,)}, (1, 2), (1, 2, 3), (1, 2, 3, 4), [[]], {}),
}
PLAIN["again"] = PLAIN["numbers"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read(protocol):
    assert loads_plain(pickle.dumps(PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("dtype", ["u1", "<i4", ">i2", "f4", "?", "f8"])
def test_arrays_are_read(protocol, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for given in (array, np.asfortranarray(array), array[:0]):
        got = loads_plain(pickle.dumps({"x": given}, protocol))["x"]
        assert got.dtype == given.dtype.newbyteorder("=")
        np.testing.assert_array_equal(got, given)


def python2_batch(pixels: np.ndarray, labels: list[int]) -> bytes:
    """A file as Python 2 wrote CIFAR's: byte strings for text and values."""
    raw = pixels.tobytes()
    rows, columns = pixels.shape
    listed = b"".join(b"K" + bytes([n]) for n in labels)
    return (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03"
        b"cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01M"
        + struct.pack("<H", rows)
        + b"M"
        + struct.pack("<H", columns)
        + b"\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<I", len(raw))
        + raw
        + b"tbU\x06labelsq\x08]q\x09("
        + listed
        + b"eU\x0bbatch_labelq\x0aU\x04testu."
    )


def test_a_file_of_python_2():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    data = python2_batch(pixels, [3, 1, 4, 1])
    assert pickle.loads(data, encoding="latin1")["labels"] == [3, 1, 4, 1]  # as it is meant
    got = loads_plain(data)
    np.testing.assert_array_equal(got["data"], pixels)
    assert (got["labels"], got["batch_label"]) == ([3, 1, 4, 1], "test")


class Hostile:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


class Plain:
    pass


HOSTILE = {
    "a command": (Hostile(os.system, "touch {}"), r"posix\.system"),
    "code": (Hostile(eval, "open({!r}, 'w')"), "eval"),
    "a file": (Hostile(open, "{}", "w"), r"(io\.open|_io)"),
    "in an array": (np.array([Hostile(eval, "open({!r}, 'w')")], object), "dtype 'O8'"),
    "in a dict": ({"data": [Hostile(exec, "open({!r}, 'w')")]}, "exec"),
    "a class": (Plain(), "(Plain|copy_?reg)"),
    "a subclass": (collections.OrderedDict(a=1), "OrderedDict"),
    "numpy's own functions": (Hostile(np.fromfile, "{}"), "fromfile"),
    "a set": ({1, 2}, "(set|EMPTY_SET)"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused(name, protocol, tmp_path):
    value, named = HOSTILE[name]
    mark = str(tmp_path / "touched")
    data = pickle.dumps(value, protocol).replace(b"{!r}", repr(mark).encode())
    with pytest.raises(UnsafePickleError, match=f"(?s){named}.*not read"):
        loads_plain(data, "data_batch_1")
    assert not os.path.exists(mark)


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # by hand
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # NEWOBJ of a known class
        b"\x80\x02\x82\x01.",  # a code of the extension registry
        b"\x80\x02U\x01aQ.",  # a persistent id
    ],
)
def test_other_ways_to_code_are_refused(data):
    with pytest.raises(UnsafePickleError, match="not read"):
        loads_plain(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\x80\x02]q\x00(K\x01",  # no end
        b"\x80\x02e.",  # no mark
        b"\x80\x02h\x07.",  # nothing remembered
        b"\x80\x02cnumpy\nndarray\n.",  # a name alone
        b"\x80\x02]q\x00h\x00a.",  # a list in itself
        b"\x80\x02}]K\x01s.",  # a list as a key
        b"\x80\x02K\x01}b.",  # a number with a state
        b"\x80\x02cnumpy\nndarray\n}R.",  # called with no tuple
        python2_batch(np.zeros((2, 3072), np.uint8), [1])[:3000],
        python2_batch(np.zeros((2, 3072), np.uint8), [1]).replace(b"M\x00\x0c", b"M\x01\x0c"),
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",  # deep
    ],
)
def test_damaged_pickles_are_said_to_be(data):
    with pytest.raises(RuntimeError, match="damaged"):
        loads_plain(data)


def test_the_file_is_named(tmp_path):
    path = tmp_path / "data_batch_3"
    path.write_bytes(pickle.dumps(Plain))
    with pytest.raises(UnsafePickleError, match="data_batch_3 names .*Plain"):
        read_plain_pickle(path)
