"""The random generator, threads, instruction sets, memory, and the default dtype."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from gradstone import _C
from native import arange, tensor


def test_generator():
    g = _C.Generator()
    assert g.manual_seed(5) is g and g.initial_seed() == 5
    assert g._next() == (5, 0) and g._next() == (5, 1) and g.offset == 2
    state = g.get_state()
    g._next()
    g.set_state(state)
    assert g.offset == 2
    assert pickle.loads(pickle.dumps(g)).offset == 2
    g.manual_seed(-1)
    g.manual_seed(2**64 + 3)
    assert g.initial_seed() == 3
    assert g.seed() == g.initial_seed()
    for bad in [arange(3), None, 3]:
        with pytest.raises(TypeError):
            g.set_state(bad)
    for bad in [1.5, "a", None]:
        with pytest.raises(TypeError):
            g.manual_seed(bad)
    _C.default_generator.manual_seed(7)
    a = _C._randperm(10).tolist()
    _C.default_generator.manual_seed(7)
    assert _C._randperm(10).tolist() == a and sorted(a) == list(range(10))


def test_config():
    threads = _C.num_threads()
    _C.set_num_threads(2)
    assert _C.num_threads() == 2
    _C.set_num_threads(threads)
    for bad in (0, -1, 10**9):
        with pytest.raises(ValueError):
            _C.set_num_threads(bad)
    isa = _C.isa()
    assert isa in ("baseline", "avx2", "avx512")
    _C.set_isa("baseline")
    assert _C.isa() == "baseline"
    _C.set_isa(isa)
    with pytest.raises(ValueError):
        _C.set_isa("mmx")
    with pytest.raises(ValueError):
        _C.set_memory_limit(-1)
    with pytest.raises(TypeError):
        _C.set_default_dtype(_C.int64)
    _C.set_default_dtype(_C.float64)
    try:
        assert tensor([1.0]).dtype is _C.float64 and _C.get_default_dtype() is _C.float64
    finally:
        _C.set_default_dtype(_C.float32)
    assert _C.promote_types(_C.int64, _C.float16) is _C.float16 and not _C.can_cast(
        _C.float32, _C.int8
    )
    stats = _C.memory_stats()
    assert (
        set(stats) == {"in_use", "peak", "cached", "allocations"}
        and stats["peak"] >= stats["in_use"] > 0
    )


def test_memory_errors_say_what_was_asked_for():
    _C.empty_cache()
    _C.set_memory_limit(_C.memory_stats()["in_use"] + 2**28)
    try:
        with pytest.raises(MemoryError, match=r"\d"):
            _C._empty((2**28,))
    finally:
        _C.set_memory_limit(0)
    with pytest.raises((ValueError, MemoryError)):
        _C._empty((2**40, 2**40))


def test_repr_function():
    with pytest.raises(TypeError):
        _C._set_repr(3)
    code = (
        "from gradstone import _C; x = _C.tensor_from_data([1, 2]); "
        "_C._set_repr(lambda t: f'T{t.tolist()}'); print(repr(x), str(x), f'{x}')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "T[1, 2] T[1, 2] T[1, 2]"
