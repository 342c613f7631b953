"""The rest of a pass over a loader: its order and random numbers, from some batch on.

A pass of a ``DataLoader`` is decided by the state of the random numbers at its start. So that state
is what a checkpoint keeps, with the number of batches done; here the order is drawn again and the
batches that are done are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

from gradstone import _C
from gradstone.utils.data import DataLoader
from gradstone.utils.data.ahead import Batches
from gradstone.utils.data.draws import Draws
from gradstone.utils.data.fetch import ItemFetch
from gradstone.utils.data.pin import pinned_batches


def rest_of_pass(loader: Any, done: int) -> Iterator[Any]:
    """The batches behind the first `done` (> 0) of a pass that begins with the random numbers as
    they are now.

    Order and seeds are drawn before this returns. The batches before are not loaded, with two
    exceptions: worker processes, whose own random numbers depend on what they did before, and
    loaders whose order is nobody's to skip (an ``IterableDataset``, or an iterable that is no
    ``DataLoader``). There they are loaded and dropped.
    """
    here = type(loader) is DataLoader and not loader._iterable
    if here and loader._gathers():
        pinned = loader.pin_memory and _C._cuda_device_count() > 0
        rest = _gathered(loader, done, pinned)
        return pinned_batches(rest) if pinned else rest
    if here and not loader.num_workers:
        rest = _item_by_item(loader, done)
        return pinned_batches(rest) if loader.pin_memory and _C._cuda_device_count() > 0 else rest
    batches = iter(loader)
    deque(islice(batches, done), maxlen=0)
    return batches


def _gathered(loader: DataLoader, done: int, pinned: bool) -> Iterator[Any]:
    """As the loader's own pass over a data set that gathers, in the same order of draws."""
    draws, order = Draws(loader._seed()), loader._whole_order()
    if order is not None:
        batches = Batches(loader.dataset, draws, islice(loader._parts(order), done, None), pinned)
        assert loader.batch_size is not None
        batches._position = done * loader.batch_size
        return batches.ahead()
    assert loader.batch_sampler is not None
    lists = iter(loader.batch_sampler)
    position = sum(len(index) for index in islice(lists, done))
    vectors = (_C.tensor_from_data(list(index), _C.int64, "cpu") for index in lists)
    batches = Batches(loader.dataset, draws, vectors, pinned)
    batches._position = position
    return batches.one_by_one()


def _item_by_item(loader: DataLoader, done: int) -> Iterator[Any]:
    """As the loader's own pass in this process."""
    fetch = loader._fetch()
    assert isinstance(fetch, ItemFetch)
    fetch.begin(loader._seed())
    indices = loader._indices()
    assert indices is not None
    batched = loader._batched
    position = sum(len(index) if batched else 1 for index in islice(indices, done))

    def rest(position: int) -> Iterator[Any]:
        for index in indices:
            yield fetch(index, position)
            position += len(index) if batched else 1

    return rest(position)
