"""The rest of a pass has the bits that the whole pass has there."""

from __future__ import annotations

import pytest

import gradstone as gs
from gradstone.training import seed_everything
from gradstone.training.loop import rest_of_pass
from gradstone.utils.data import DataLoader, RandomSampler
from training.loaders import COUNT, LOADERS, SIZE, Noisy


def first_numbers(batches):
    return [[part.tolist() for part in batch] for batch in batches]


@pytest.mark.parametrize("done", [1, 3, 7])
@pytest.mark.parametrize("kind", LOADERS)
def test_the_rest_of_a_pass_is_the_rest_of_the_whole_pass(kind, done):
    seed_everything(3)
    loader = LOADERS[kind]()
    whole = first_numbers(loader)
    seed_everything(3)
    loader = LOADERS[kind]()
    if kind in ("item by item", "own batches, item by item", "stream"):
        # Items that are not loaded draw nothing: the caller puts the random numbers where they
        # were. The order alone is compared, by the labels.
        rest = [labels for _, labels in first_numbers(rest_of_pass(loader, done))]
        assert rest == [labels for _, labels in whole][done:]
    else:
        assert first_numbers(rest_of_pass(loader, done)) == whole[done:]


def test_batches_that_are_done_are_not_loaded():
    loaded = []

    class Watched(Noisy):
        def __getitem__(self, i):
            loaded.append(i)
            return super().__getitem__(i)

    rest = rest_of_pass(DataLoader(Watched(), SIZE, shuffle=True), 6)
    assert len(list(rest)) == 1
    assert len(loaded) == COUNT - 6 * SIZE


def test_from_the_first_batch_and_behind_the_last():
    for kind in ("gathered", "own batches", "item by item", "workers", "stream"):
        seed_everything(3)
        whole = first_numbers(LOADERS[kind]())
        seed_everything(3)
        assert first_numbers(LOADERS[kind]().iter_from(0)) == whole
        assert list(LOADERS[kind]().iter_from(99)) == []


def test_a_pass_is_drawn_when_it_begins():
    for kind, first in (("gathered", 0), ("gathered", 2), ("item by item", 2)):
        seed_everything(3)
        wanted = [labels for _, labels in first_numbers(LOADERS[kind]().iter_from(first))]
        seed_everything(3)
        batches = LOADERS[kind]().iter_from(first)
        gs.manual_seed(8)
        assert [labels for _, labels in first_numbers(batches)] == wanted


def test_single_items():
    seed_everything(3)
    whole = [label for _, label in DataLoader(Noisy(), None, shuffle=True)]
    seed_everything(3)
    rest = [label for _, label in DataLoader(Noisy(), None, shuffle=True).iter_from(41)]
    assert rest == whole[41:]


def test_a_subclass_with_an_order_of_its_own():
    class Twice(DataLoader):
        def __iter__(self):
            for batch in super().__iter__():
                yield batch
                yield batch

    loader = Twice(list(range(6)), 2)
    assert [b.tolist() for b in rest_of_pass(loader, 3)] == [[2, 3], [4, 5], [4, 5]]


def test_where_no_pass_can_begin():
    loader = DataLoader(list(range(6)), sampler=RandomSampler(range(6)))
    with pytest.raises(ValueError, match=r"iter_from\] expected batch to be at least 0, got -1"):
        loader.iter_from(-1)
    with pytest.raises(TypeError, match="expected batch to be an int, got 1.5"):
        loader.iter_from(1.5)
