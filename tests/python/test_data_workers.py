"""Workers: what crosses shared memory, how long it lives, and how workers end."""

from __future__ import annotations

import gc
import os
import signal
import time

import numpy as np
import pytest

import gradstone as gs
from gradstone.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info


class Rows(Dataset):
    """Item i is a row of i, of a length that may grow with i."""

    def __init__(self, n: int = 60, growth: int = 0) -> None:
        self.n = n
        self.growth = growth

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i):
        return gs.full((1000 + self.growth * i,), float(i)), np.full(3, i)


class Pid(Rows):
    def __getitem__(self, i):
        return os.getpid()


def open_slots() -> int:
    """Files of slots that this process has open or mapped."""
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("this system lists no open files")
    files = 0
    for name in os.listdir(folder):
        try:
            files += "gradstone-batch" in os.readlink(f"{folder}/{name}")
        except OSError:
            pass
    with open("/proc/self/maps") as maps:
        return files + sum("gradstone-batch" in line for line in maps)


@pytest.fixture(autouse=True)
def nothing_is_left():
    gc.collect()
    assert open_slots() == 0
    yield
    gc.collect()
    assert open_slots() == 0


def test_batches_stay_valid_however_many_are_kept():
    loader = DataLoader(Rows(), batch_size=2, num_workers=2)
    kept = list(loader)
    for number, (rows, small) in enumerate(kept):
        want = [2.0 * number, 2.0 * number + 1]
        assert rows[:, 0].tolist() == rows[:, 999].tolist() == want
        assert small[:, 2].tolist() == want
    del kept, rows, small


def test_parts_of_batches_stay_valid():
    views = [rows[1] for rows, _ in DataLoader(Rows(), batch_size=2, num_workers=1)]
    arrays = [rows.numpy()[0] for rows, _ in DataLoader(Rows(), batch_size=2, num_workers=1)]
    assert [v[5].item() for v in views] == list(range(1, 60, 2))
    assert [a[5] for a in arrays] == list(range(0, 60, 2))


def test_a_batch_may_be_written_and_kept():
    first = None
    for rows, _ in DataLoader(Rows(), batch_size=2, num_workers=1):
        rows.mul_(-1)
        if first is None:
            first = rows
    assert first[:, 7].tolist() == [0.0, -1.0]
    del rows, first


def test_slots_grow_with_the_batches():
    loader = DataLoader(Rows(40, growth=5000), batch_size=None, num_workers=2)
    for i, (row, _) in enumerate(loader):
        assert row.shape == (1000 + 5000 * i,)
        assert row[-1].item() == i
    del row


def test_empty_and_odd_values_cross():
    class Odd(Rows):
        def __getitem__(self, i):
            return {
                "none": None,
                "text": "é" * 70_000,
                "empty": gs.zeros(0, 3),
                "scalar": gs.tensor(i),
            }

    for i, item in enumerate(DataLoader(Odd(5), batch_size=None, num_workers=2)):
        assert item["none"] is None
        assert len(item["text"]) == 70_000
        assert item["empty"].shape == (0, 3)
        assert item["scalar"].item() == i
    del item


def test_large_batches_of_indices_do_not_block():
    class Index(Rows):
        def __getitem__(self, i):
            return str(i) * 3

    batches = list(DataLoader(Index(200_000), batch_size=40_000, num_workers=1))
    assert [len(b) for b in batches] == [40_000] * 5
    assert batches[4][-1] == "199999" * 3


def test_leaving_early_leaves_nothing():
    loader = iter(DataLoader(Rows(1000), batch_size=2, num_workers=2))
    rows, _ = next(loader)
    del loader
    assert rows[1, 3].item() == 1  # still valid without workers
    del rows


def test_a_killed_worker_is_reported_and_leaves_nothing():
    class Killed(Rows):
        def __getitem__(self, i):
            if i == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(i)

    with pytest.raises(RuntimeError, match=r"exit code -9.*exited unexpectedly"):
        for batch in DataLoader(Killed(), batch_size=2, num_workers=2):
            del batch


def test_an_interruption_leaves_nothing():
    class Slow(Rows):
        def __getitem__(self, i):
            time.sleep(5)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            next(iter(DataLoader(Slow(), num_workers=2)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_memory_is_a_clear_error(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(MemoryError, match="no shared memory for the batch"):
        list(DataLoader(Rows(), batch_size=2, num_workers=1))


# --------------------------------------------------------------------------------------- persistent


def test_persistent_workers_stay():
    loader = DataLoader(Pid(8), num_workers=2, persistent_workers=True)
    first = {b.item() for b in loader}
    assert {b.item() for b in loader} == first
    assert len(first) == 2
    fresh = DataLoader(Pid(8), num_workers=2)
    assert not {b.item() for b in fresh} & {b.item() for b in fresh}
    with pytest.raises(ValueError, match="persistent_workers"):
        DataLoader(Pid(8), persistent_workers=True)


def test_persistent_workers_after_a_pass_left_early():
    loader = DataLoader(Rows(), batch_size=4, shuffle=False, num_workers=2, persistent_workers=True)
    for _ in range(3):
        for number, (rows, _) in enumerate(loader):
            assert rows[0, 0].item() == 4 * number
            if number == 3:
                break
    assert [rows[0, 0].item() for rows, _ in loader] == list(range(0, 60, 4))
    del rows


def test_two_passes_at_once_over_persistent_workers():
    loader = DataLoader(Rows(12), batch_size=4, num_workers=1, persistent_workers=True)
    pairs = [(a[0][0, 0].item(), b[0][0, 0].item()) for a in loader for b in loader]
    assert pairs == [(float(i), float(j)) for i in (0, 4, 8) for j in (0, 4, 8)]


def test_persistent_workers_after_an_error():
    class Broken(Rows):
        def __getitem__(self, i):
            if i == 5:
                raise ValueError("five")
            return i

    loader = DataLoader(Broken(8), num_workers=2, persistent_workers=True)
    for _ in range(2):
        seen = []
        with pytest.raises(ValueError, match="five"):
            seen.extend(batch.item() for batch in loader)


def test_streams_begin_anew_in_persistent_workers():
    class Count(IterableDataset):
        def __iter__(self):
            return iter(range(get_worker_info().id, 10, 2))

    loader = DataLoader(Count(), batch_size=2, num_workers=2, persistent_workers=True)
    for _ in range(2):
        assert sorted(x for b in loader for x in b.tolist()) == list(range(10))


def test_a_pass_of_persistent_workers_depends_on_its_seed_alone():
    class Random(Rows):
        def __getitem__(self, i):
            return gs.rand(2), np.random.rand()

    def run(loader):
        return [(a.tolist(), b.tolist()) for a, b in loader]

    one = DataLoader(
        Random(8), num_workers=2, persistent_workers=True, generator=gs.Generator().manual_seed(1)
    )
    two = DataLoader(Random(8), num_workers=2, generator=gs.Generator().manual_seed(1))
    for _ in range(2):
        assert run(one) == run(two)
