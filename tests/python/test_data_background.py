"""Batches written in the background: the same as without, and nothing hangs on the thread."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import gradstone as gs
from gradstone import _C
from gradstone.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    ahead,
)
from gradstone.vision import datasets
from gradstone.vision import transforms as T

SIZE = 8  # items of a batch
N = 61
X = gs.from_numpy(np.random.default_rng(0).standard_normal((N, 3, 128, 128)).astype(np.float32))
Y = gs.arange(N)

pytestmark = pytest.mark.skipif(_C.available_cpus() < 2, reason="one CPU: all in the foreground")


@pytest.fixture(autouse=True)
def in_the_background(monkeypatch):
    """Whatever the loop leaves idle."""
    gs.set_num_threads(2)
    monkeypatch.setattr(ahead, "_pays", lambda *times: True)
    monkeypatch.setattr(ahead, "_late", lambda *times: False)


@pytest.fixture
def begun(monkeypatch):
    """Whether each batch that was begun had something for the background."""
    seen: list[bool] = []

    class Counted(ahead._Begun):
        def __init__(self, *args):
            super().__init__(*args)
            seen.append(bool(self.fill))

    monkeypatch.setattr(ahead, "_Begun", Counted)
    return seen


class Digits(datasets.MNIST):
    """Images without files."""

    def __init__(self, *augment) -> None:
        self.transform = T.Compose([*augment, T.ToTensor(), T.Normalize((0.13,), (0.31,))])
        self.target_transform = None
        self._planner = datasets.Planner()
        pixels = np.random.default_rng(1).integers(0, 256, (N, 256, 256), dtype=np.uint8)
        self.data, self.targets = gs.from_numpy(pixels), gs.arange(N)


def tensors(**options):
    return DataLoader(TensorDataset(X, Y), SIZE, **options)


def correct(batches) -> list[int]:
    """The order of the items, each of which has the right values."""
    order = []
    for x, y in batches:
        order += y.tolist()
        assert (x.numpy() == X.numpy()[y.numpy()]).all()
    return order


AUGMENT = (T.RandomCrop(256, padding=9), T.RandomHorizontalFlip())
MADE = {
    "tensors": lambda: tensors(),
    "shuffled": lambda: tensors(shuffle=True),
    "drop_last": lambda: tensors(shuffle=True, drop_last=True),
    "subset": lambda: DataLoader(
        Subset(TensorDataset(X, Y), list(range(50, 3, -1))), SIZE, shuffle=True
    ),
    "random subset": lambda: tensors(sampler=SubsetRandomSampler(range(40))),
    "weighted": lambda: tensors(sampler=WeightedRandomSampler([1.0 + i for i in range(N)], 50)),
    "images": lambda: DataLoader(Digits(), SIZE, shuffle=True),
    "augmented": lambda: DataLoader(Digits(*AUGMENT), SIZE, shuffle=True),
}


@pytest.mark.parametrize("name", MADE)
def test_same_bits_order_and_draws(name, begun):
    def two_passes(threads):
        gs.set_num_threads(threads)
        gs.manual_seed(5)
        loader, seen = MADE[name](), []
        for _ in range(2):
            for x, y in loader:
                # The loop draws too: the numbers must not depend on when a batch is begun.
                seen.append((x.clone(), y, gs.rand(3)))
        return seen

    with_background = two_passes(2)
    assert sum(begun) >= 2 * (40 // SIZE)
    begun.clear()
    without = two_passes(1)
    assert not any(begun)
    assert len(with_background) == len(without)
    for mine, want in zip(with_background, without):
        for a, b in zip(mine, want):
            assert (a == b).all()


def test_only_loops_that_leave_a_cpu_idle(monkeypatch):
    monkeypatch.undo()
    gs.set_num_threads(2)
    assert ahead._pays(loop=1.0, cpu_loop=0.1, cpu_filling=0.2)
    assert not ahead._pays(loop=1.0, cpu_loop=1.0 * ahead._cpus(), cpu_filling=0.2)
    assert not ahead._pays(loop=0.1, cpu_loop=0.0, cpu_filling=0.2)
    order = []
    for pause in (0, 0.01):
        for x, y in tensors(shuffle=True):
            time.sleep(pause)
            order += correct([(x, y)])
    assert sorted(order) == sorted([*range(N), *range(N)])


def test_small_batches_go_the_ordinary_way(begun):
    data = TensorDataset(gs.rand(40, 5), gs.arange(40))
    assert [y.tolist() for _, y in DataLoader(data, 4)][3] == [12, 13, 14, 15]
    assert begun == [False]  # the first one shows it


def test_a_sampler_of_ones_own_is_not_asked_early(begun):
    class Watching(Sampler):
        asked = 0

        def __iter__(self):
            for i in range(N):
                self.asked = i
                yield i

    sampler = Watching()
    for number, (_, y) in enumerate(DataLoader(TensorDataset(X, Y), SIZE, sampler=sampler)):
        assert sampler.asked == y.tolist()[-1]
        assert y.tolist()[0] == number * SIZE
    batches = BatchSampler(sampler, SIZE, False)
    assert correct(DataLoader(TensorDataset(X, Y), batch_sampler=batches)) == list(range(N))
    assert not begun


def test_a_gather_of_ones_own_reads_written_memory(begun):
    class Doubled(TensorDataset):
        def gather(self, index):
            x, y = super().gather(index)
            return [x * 2, y]

    class Items(TensorDataset):
        def __getitem__(self, i):
            return super().__getitem__(i)

    for kind, factor in ((Doubled, 2), (Items, 1)):
        for x, y in DataLoader(kind(X, Y), SIZE):
            assert (x.numpy() == X.numpy()[y.numpy()] * factor).all()
    assert not any(begun)


def test_batches_may_be_kept_and_written():
    kept = []
    for x, y in tensors():
        kept.append((x, y))
        x.mul_(1)
    assert correct(kept) == list(range(N))


def test_leaving_early_and_collection():
    for _ in range(30):
        for _, y in tensors():
            if SIZE in y.tolist():  # the third batch is being written
                break
        iterator = iter(tensors())
        next(iterator)
        next(iterator)
        del iterator
        with pytest.raises(ZeroDivisionError):
            for _, y in tensors():
                1 / (SIZE - y[0].item())
    iterator = iter(tensors())
    next(iterator)
    cycle = [iterator]
    cycle.append(cycle)
    next(iterator)
    del iterator, cycle
    gc.collect()
    assert correct(tensors()) == list(range(N))


def test_memory_is_given_back():
    def leave_early_and_late():
        for _ in range(5):
            for _, y in tensors():
                if SIZE in y.tolist():
                    break
            list(tensors(drop_last=True))

    gc.collect()
    before = _C.memory_stats()["in_use"]
    leave_early_and_late()
    gc.collect()
    assert _C.memory_stats()["in_use"] <= before + 10_000


def test_two_loaders_at_once():
    both = list(zip(tensors(), tensors(shuffle=True)))
    assert correct(a for a, _ in both) == list(range(N))
    assert sorted(correct(b for _, b in both)) == list(range(N))


def test_loaders_in_threads():
    results: list[list[int]] = []
    augmented: list[list[float]] = []

    def run():
        for _ in range(5):
            results.append(correct(tensors()))
            generator = gs.Generator().manual_seed(3)
            loader = DataLoader(Digits(*AUGMENT), SIZE, shuffle=True, generator=generator)
            augmented.append([x.double().sum().item() for x, _ in loader])

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert results == [list(range(N))] * 15
    assert augmented == [augmented[0]] * 15


def test_an_error_comes_at_the_turn_of_its_batch():
    data = TensorDataset(X, Y)
    iterator = iter(DataLoader(data, SIZE, sampler=SubsetRandomSampler(range(N))))
    assert correct([next(iterator), next(iterator)])
    data.tensors = (X[:1], Y)  # the batch that has begun is whole, the next one cannot be made
    assert correct([next(iterator)])
    with pytest.raises(IndexError):
        next(iterator)

    class Late(Dataset):
        def __len__(self):
            return N

        def gather(self, index):
            if 30 in index.tolist():
                raise KeyError("thirty")
            return [gs.index_select(X, 0, index)]

        def gather_later(self, index, fill):
            self.gather(index)
            return [fill.select(X, index)]

    seen = 0
    with pytest.raises(KeyError, match="thirty"):
        for _ in DataLoader(Late(), SIZE):
            seen += 1
    assert seen == 3


def test_modes_are_those_of_the_turn():
    weight = gs.ones(3, requires_grad=True)
    iterator = iter(tensors())
    with gs.inference_mode():
        next(iterator)
        assert next(iterator)[0].is_inference()
    x, _ = next(iterator)
    assert not x.is_inference()
    (x.mean((0, 2, 3)) * weight).sum().backward()
    data = X[:20].clone().requires_grad_()
    with gs.no_grad():
        iterator = iter(DataLoader(TensorDataset(data, X[:20]), SIZE))
        assert not next(iterator)[0].requires_grad
    assert next(iterator)[0].requires_grad


def run_alone(program: str, timeout: float = 60) -> None:
    start = """
        import os, sys, signal, time
        import gradstone as gs
        from gradstone.utils.data import DataLoader, Dataset, TensorDataset, ahead
        ahead._pays, ahead._late = lambda *times: True, lambda *times: False
        gs.set_num_threads(2)
        x, y = gs.rand(256, 3, 128, 128), gs.arange(256)
        def loader():
            return DataLoader(TensorDataset(x, y), 64)
        def check(batch):
            assert (batch[0] == gs.index_select(x, 0, batch[1])).all()
    """
    code = textwrap.dedent(start) + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", code], timeout=timeout, capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr.decode())
    assert done.stderr == b""


def test_the_interpreter_ends_while_a_batch_is_written():
    for end in ("", "sys.exit(0)", "os._exit(0)", "del iterator", "x = None"):
        run_alone(f"iterator = iter(loader()); next(iterator); batch = next(iterator)\n{end}")


def test_fork_while_a_batch_is_written():
    run_alone("""
        for delay in (0, 0, 0.001, 0.002, 0.02):
            iterator = iter(loader())
            check(next(iterator))
            check(next(iterator))
            time.sleep(delay)
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                for batch in iterator:
                    check(batch)
                other = iter(loader())
                check(next(other))
                check(next(other))
                del other
                check(next(iter(loader())))
                os._exit(0)
            for batch in iterator:
                check(batch)
            assert os.waitpid(child, 0)[1] == 0
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """)


def test_workers_beside_a_batch_that_is_written():
    run_alone("""
        class Items(Dataset):
            def __len__(self):
                return 6

            def __getitem__(self, i):
                inner = iter(loader())
                check(next(inner))
                check(next(inner))
                return i

        iterator = iter(loader())
        check(next(iterator))
        check(next(iterator))
        assert [b.tolist() for b in DataLoader(Items(), 3, num_workers=2)] == [[0, 1, 2], [3, 4, 5]]
        for batch in iterator:
            check(batch)
    """)


def test_another_thread_runs_while_the_loader_waits():
    ticks, stop = [0], threading.Event()

    def tick():
        while not stop.is_set():
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        assert correct(tensors()) == list(range(N))
    finally:
        stop.set()
        thread.join()
    assert ticks[0]
