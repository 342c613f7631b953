"""Declared errors of every row: the exception, its message, and inputs left as they were."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gradstone import _C
from op_specs import ALL
from op_specs.run import all_tensors, function, in_dtype, numbers, tensors

CASES = [pytest.param(row, i, id=f"{row.name}-{i}") for row in ALL for i in range(len(row.errors))]


@pytest.mark.parametrize(("row", "i"), CASES)
def test_declared_error(row, i):
    error = row.errors[i]
    args = tensors(in_dtype(list(error.sample.args), error.dtype))
    kwargs = tensors({k: in_dtype(v, error.dtype) for k, v in error.sample.kwargs.items()})
    given = all_tensors([args, kwargs])
    before = [(t._version, numbers(t).copy()) for t in given]
    with pytest.raises(error.kind) as caught:
        function(row.name)(*args, **kwargs)
    message = str(caught.value)
    assert re.search(error.message, message), f"{message!r} does not match {error.message!r}"
    assert re.match(r"\[[\w.]+\] .*\.$", message, re.DOTALL), (
        f"{message!r}: not '[operation] sentence.'"
    )
    assert "gs::" not in message and ".cpp" not in message, "an error that talks about C++"
    for t, (version, values) in zip(given, before):
        assert t._version == version, "the version of an input was advanced"
        assert np.array_equal(numbers(t), values, equal_nan=True), "an input was written"


def test_no_memory_is_held_after_errors():
    """A refused call frees what it had begun."""
    if not hasattr(_C, "memory_stats"):
        pytest.skip("this build does not tell")
    for row in ALL:
        before = _C.memory_stats()["in_use"]
        for _ in range(3):
            for error in row.errors:
                args = tensors(in_dtype(list(error.sample.args), error.dtype))
                kwargs = tensors(
                    {k: in_dtype(v, error.dtype) for k, v in error.sample.kwargs.items()}
                )
                with pytest.raises(error.kind):
                    function(row.name)(*args, **kwargs)
                del args, kwargs
        assert _C.memory_stats()["in_use"] <= before + 4096, row.name
