"""Batches in memory that a worker and the main process share.

A slot is an anonymous file that is opened before the fork: it has no name that could be left
behind, and its memory goes with the last process that has it, however that process ends. It grows
when a batch needs it. What the main process hands out lies in the slot itself; the slot is used
again once nothing refers to that memory any more.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradstone import _C
from gradstone._C import Tensor

_ALIGNMENT = 64
_PAGE = mmap.PAGESIZE


class Written(NamedTuple):
    """Where a value lies in a slot: the file's size, the pickle, and the list of its buffers."""

    size: int
    head: int
    head_length: int
    spans_length: int


class Slot:
    """One anonymous file, mapped on each side when first used."""

    def __init__(self) -> None:
        self._file = os.memfd_create("gradstone-batch")
        self._map: mmap.mmap | None = None

    def _mapped(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._file, size)  # arrays on the old mapping keep it
        return self._map

    def write(self, value: Any) -> Written:
        """Puts `value` there. OSError when there is no memory for it."""
        buffers: list[pickle.PickleBuffer] = []
        file = io.BytesIO()
        _Pickler(file, 5, buffer_callback=buffers.append).dump(value)
        views = [b.raw() for b in buffers]
        spans, end = [], 0
        for view in views:
            spans.append((end, view.nbytes))
            end = -(-(end + view.nbytes) // _ALIGNMENT) * _ALIGNMENT
        head, index = file.getvalue(), pickle.dumps(spans)
        size = -(-(end + len(head) + len(index)) // _PAGE) * _PAGE
        if self._map is None or len(self._map) < size:
            # Asked for here: a page that cannot be had is an error now and no signal later.
            os.posix_fallocate(self._file, 0, size)
        memory = self._mapped(size)
        for view, (start, length) in zip(views, spans):
            memory[start : start + length] = view
        memory[end : end + len(head)] = head
        memory[end + len(head) : end + len(head) + len(index)] = index
        return Written(size, end, len(head), len(index))

    def read(self, at: Written, on_release: Callable[[], None] | None) -> Any:
        """The value. Its arrays lie in the slot, and on_release is called when the last is gone;
        without on_release they are copies."""
        memory = self._mapped(at.size)
        middle, end = at.head + at.head_length, at.head + at.head_length + at.spans_length
        spans = pickle.loads(memory[middle:end])
        whole = np.frombuffer(memory, dtype=np.uint8)
        buffers = [whole[start : start + length] for start, length in spans]
        if on_release is None:
            buffers = [b.copy() for b in buffers]
        else:
            weakref.finalize(whole, on_release).atexit = False
        return pickle.loads(memory[at.head : middle], buffers=buffers)

    def close(self) -> None:
        """No more batches; arrays that are still held stay as they are."""
        os.close(self._file)
        self._map = None


class _Pickler(pickle.Pickler):
    """Tensors travel as NumPy arrays, whose memory pickle hands out instead of copying."""

    def reducer_override(self, obj: Any) -> Any:
        """How an object is taken apart; NotImplemented leaves it to the object."""
        if type(obj) is not Tensor:
            return NotImplemented
        array = obj.detach().cpu().contiguous().numpy()
        bits = obj.dtype is _C.bfloat16
        return _rebuild, (array.view(np.uint16) if bits else array, bits, obj.requires_grad)


def _rebuild(array: np.ndarray, bits: bool, requires_grad: bool) -> Tensor:
    if bits:
        import ml_dtypes

        array = array.view(ml_dtypes.bfloat16)
    return _C.from_numpy(array).requires_grad_(requires_grad)
