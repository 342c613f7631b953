"""Data sets, samplers, and the loader: in this process, gathered, and in workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import OrderedDict, namedtuple
from types import MappingProxyType

import numpy as np
import pytest

import gradstone as gs
from gradstone.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)


class Squares(Dataset):
    """Not gathered: item by item."""

    def __init__(self, n: int = 10) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i):
        return gs.full((2,), float(i * i)), i


def flat(loader, position=1):
    return [x for batch in loader for x in batch[position].tolist()]


def test_tensor_dataset_and_its_checks():
    x, y = gs.arange(6.0).reshape(3, 2), gs.tensor([7, 8, 9])
    data = TensorDataset(x, y)
    assert len(data) == 3
    assert data[1][0].tolist() == [2, 3]
    with pytest.raises(ValueError, match="Size mismatch"):
        TensorDataset(x, gs.zeros(2))


def test_subset_concat_and_split():
    data = Squares(10)
    assert Subset(data, [3, 1])[0][1] == 3
    both = ConcatDataset([data, Squares(5)])
    assert len(both) == 15
    assert both[12][1] == 2
    assert both[-1][1] == 4
    assert len(data + data) == 20
    a, b = random_split(data, [7, 3], generator=gs.Generator().manual_seed(1))
    assert sorted([*a.indices, *b.indices]) == list(range(10))
    assert [len(p) for p in random_split(data, [0.5, 0.25, 0.25])] == [6, 2, 2]
    with pytest.raises(ValueError, match="Sum of input lengths"):
        random_split(data, [5, 4])


def test_samplers():
    g = gs.Generator().manual_seed(5)
    first = list(RandomSampler(range(20), generator=g))
    g.manual_seed(5)
    assert first == list(RandomSampler(range(20), generator=g))
    assert sorted(first) == list(range(20))
    assert len(list(RandomSampler(range(3), replacement=True, num_samples=50))) == 50
    assert len(list(RandomSampler(range(3), num_samples=7))) == 7
    assert sorted(SubsetRandomSampler([4, 7])) == [4, 7]
    drawn = list(WeightedRandomSampler([0, 1, 3], 4000))
    assert set(drawn) == {1, 2}
    assert abs(drawn.count(2) / 4000 - 0.75) < 0.05
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError):
        BatchSampler(range(5), 0, False)


def test_collate():
    Pair = namedtuple("Pair", "a b")
    batch = [{"x": gs.ones(2), "n": 1, "f": 0.5, "s": "a", "p": Pair(1, [2, 3])}] * 2
    out = default_collate(batch)
    assert out["x"].shape == (2, 2)
    assert out["n"].dtype == gs.int64
    assert out["f"].dtype == gs.float64
    assert out["s"] == ["a", "a"]
    assert out["p"].a.tolist() == [1, 1]
    assert [t.tolist() for t in out["p"].b] == [[2, 2], [3, 3]]
    assert default_collate([np.zeros(3, np.float32)] * 2).shape == (2, 3)
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="found"):
        default_collate([object()])


@pytest.mark.parametrize("data", [Squares(10), TensorDataset(gs.zeros(10, 2), gs.arange(10))])
def test_loader_order_and_sizes(data):
    loader = DataLoader(data, batch_size=4)
    assert len(loader) == 3
    assert [len(b[1]) for b in loader] == [4, 4, 2]
    assert flat(loader) == list(range(10))
    assert all(isinstance(b, list) for b in loader)
    short = DataLoader(data, batch_size=4, drop_last=True)
    assert len(short) == 2
    assert [len(b[1]) for b in short] == [4, 4]
    mixed = flat(DataLoader(data, batch_size=3, shuffle=True))
    assert sorted(mixed) == list(range(10))
    assert mixed != list(range(10))


def test_gathered_batches_equal_those_of_items():
    x, y = gs.randn(23, 3), gs.arange(23)

    class Slow(TensorDataset):
        def __getitem__(self, i):
            return super().__getitem__(i)

    for options in ({}, {"shuffle": True}, {"sampler": [5, 3, 22, 1]}, {"drop_last": True}):
        pair = []
        for kind in (TensorDataset, Slow):
            g = gs.Generator().manual_seed(2)
            loader = DataLoader(kind(x, y), batch_size=4, generator=g, **options)
            assert loader._gathers() == (kind is TensorDataset)
            pair.append(list(loader))
        assert len(pair[0]) == len(pair[1])
        for a, b in zip(*pair):
            assert all(gs.equal(s, t) for s, t in zip(a, b))
    inner = DataLoader(Subset(TensorDataset(x, y), [4, 9, 2]), batch_size=2)
    assert inner._gathers()
    assert flat(inner) == [4, 9, 2]


def test_gathered_batches_do_not_alias_the_data():
    x = gs.zeros(4)
    for (batch,) in DataLoader(TensorDataset(x), batch_size=2):
        batch.fill_(1)
    assert x.tolist() == [0, 0, 0, 0]


def test_seeded_orders():
    gs.manual_seed(0)
    loader = DataLoader(Squares(20), shuffle=True)
    first, second = flat(loader), flat(loader)
    assert first != second
    gs.manual_seed(0)
    assert flat(loader) == first


def test_batch_size_none_and_batch_sampler():
    assert [i for _, i in DataLoader(Squares(3), batch_size=None)] == [0, 1, 2]
    assert flat(DataLoader(Squares(), batch_sampler=[[3, 1], [2]])) == [3, 1, 2]
    assert list(DataLoader(range(4), batch_size=2, collate_fn=sum)) == [1, 5]


class Count(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, 10, step))


def test_iterable_datasets():
    assert [b.tolist() for b in DataLoader(Count(), batch_size=4)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    batches = list(DataLoader(Count(), batch_size=2, num_workers=2))
    assert sorted(x for b in batches for x in b.tolist()) == list(range(10))
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Count(), shuffle=True)


# ------------------------------------------------------------------------------------------ workers


def test_workers_give_the_same_batches_in_order():
    want = [b[0].tolist() for b in DataLoader(Squares(25), batch_size=3)]
    for workers in (1, 3):
        loader = DataLoader(Squares(25), batch_size=3, num_workers=workers)
        assert [b[0].tolist() for b in loader] == want
        assert [b[0].tolist() for b in loader] == want


class Slow(Squares):
    def __getitem__(self, i):
        time.sleep(0.05 if i % 2 == 0 else 0)
        return i


def test_order_holds_when_workers_differ_in_speed():
    loader = DataLoader(Slow(8), batch_size=1, num_workers=2)
    assert [b.item() for b in loader] == list(range(8))


class Broken(Squares):
    def __getitem__(self, i):
        if i == 5:
            raise KeyError("no item five")
        return i


def test_a_workers_exception_comes_with_its_traceback():
    seen = []
    with pytest.raises(KeyError) as error:
        for batch in DataLoader(Broken(), num_workers=2):
            seen.append(batch.item())
    assert seen == [0, 1, 2, 3, 4]
    text = str(error.value)
    assert "Caught KeyError in DataLoader worker process" in text
    assert "no item five" in text
    assert "__getitem__" in text


class Dying(Squares):
    def __getitem__(self, i):
        if i == 3:
            os._exit(7)
        return i


def test_a_workers_death_is_noticed():
    with pytest.raises(RuntimeError, match=r"exit code 7.*exited unexpectedly"):
        list(DataLoader(Dying(), num_workers=2))


class Seeds(Squares):
    def __getitem__(self, i):
        info = get_worker_info()
        return gs.tensor([info.id, info.num_workers, info.seed]), gs.rand(1), np.random.rand()


def test_worker_seeds_and_info():
    assert get_worker_info() is None

    def run():
        g = gs.Generator().manual_seed(4)
        return list(DataLoader(Seeds(6), num_workers=2, generator=g))

    a, b = run(), run()
    assert [x[0].tolist() for x in a] == [x[0].tolist() for x in b]
    assert all(gs.equal(x[1], y[1]) and gs.equal(x[2], y[2]) for x, y in zip(a, b))
    assert {x[0][0, 0].item() for x in a} == {0, 1}
    assert a[0][1].item() != a[1][1].item()


def test_worker_init_fn_and_its_failure():
    def init(worker):
        os.environ["WORKER_MARK"] = f"w{worker}"

    class Mark(Squares):
        def __getitem__(self, i):
            return os.environ["WORKER_MARK"]

    marks = [b[0] for b in DataLoader(Mark(4), num_workers=2, worker_init_fn=init)]
    assert marks == ["w0", "w1", "w0", "w1"]

    def bad(worker):
        raise ValueError("cannot start")

    with pytest.raises(ValueError, match="cannot start"):
        list(DataLoader(Squares(), num_workers=1, worker_init_fn=bad))


def test_workers_end_when_the_loop_does():
    loader = iter(DataLoader(Squares(100), num_workers=2))
    next(loader)
    workers = children()
    assert len(workers) == 2
    loader.close()
    assert children() == []
    list(DataLoader(Squares(10), num_workers=2))
    assert children() == []


def children() -> list[int]:
    path = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    if not os.path.exists(path):
        pytest.skip("this kernel lists no children")
    return [int(pid) for pid in open(path).read().split()]


def test_timeout():
    class Stuck(Squares):
        def __getitem__(self, i):
            time.sleep(60)

    with pytest.raises(RuntimeError, match="timed out after 0.2 seconds"):
        list(DataLoader(Stuck(), num_workers=1, timeout=0.2))


def test_bfloat16_and_strided_tensors_cross():
    class Mixed(Squares):
        def __getitem__(self, i):
            return gs.full((2,), float(i), dtype=gs.bfloat16), gs.arange(6).reshape(2, 3).T

    (batch,) = DataLoader(Mixed(2), batch_size=2, num_workers=1)
    assert batch[0].dtype == gs.bfloat16
    assert batch[0].tolist() == [[0, 0], [1, 1]]
    assert batch[1][1].tolist() == [[0, 3], [1, 4], [2, 5]]
    batch[1].add_(1)


PROGRAM = """
import time
import gradstone as gs
from gradstone.utils.data import DataLoader, Dataset
class D(Dataset):
    def __len__(self): return 1000
    def __getitem__(self, i):
        time.sleep(0.01)
        return i
print("go", flush=True)
for b in DataLoader(D(), num_workers=2):
    pass
"""


def test_ctrl_c_ends_the_loop_and_the_workers():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "go\n"
    time.sleep(0.7)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_bad_arguments():
    with pytest.raises(ValueError, match="num_workers to be at least 0"):
        DataLoader(Squares(), num_workers=-1)
    with pytest.raises(ValueError, match="mutually exclusive with shuffle"):
        DataLoader(Squares(), sampler=[1], shuffle=True)
    with pytest.raises(ValueError, match="batch_size"):
        DataLoader(Squares(), batch_size=0)
    with pytest.raises(ValueError, match="drop_last"):
        DataLoader(Squares(), batch_size=None, drop_last=True)
    with pytest.raises(ValueError, match="batch_sampler"):
        DataLoader(Squares(), batch_sampler=[[1]], shuffle=True)
    with pytest.raises(ValueError, match="prefetch_factor"):
        DataLoader(Squares(), prefetch_factor=2)
    with pytest.raises(IndexError):
        list(DataLoader(TensorDataset(gs.zeros(3)), sampler=[7]))


def test_collation_keeps_the_class_of_a_mapping():
    items = [OrderedDict(x=1), OrderedDict(x=2)]
    batch = default_collate(items)
    assert type(batch) is OrderedDict and batch["x"].tolist() == [1, 2]
    assert items[0]["x"] == 1
    fixed = default_collate([MappingProxyType({"x": 1})])
    assert fixed["x"].tolist() == [1]
    converted = default_convert(OrderedDict(x=np.float32(2)))
    assert type(converted) is OrderedDict
    assert converted["x"].dtype == gs.float32 and converted["x"].item() == 2


def test_what_a_pass_was_made_from_cannot_be_set():
    loader = DataLoader([1, 2, 3], 2)
    for name in ("batch_size", "sampler", "batch_sampler", "drop_last", "dataset"):
        with pytest.raises(ValueError, match=f"{name} cannot be set"):
            setattr(loader, name, None)
    loader.collate_fn = sum
    assert list(loader) == [3, 3]


def test_start_methods_are_checked():
    with pytest.raises(ValueError, match="num_workers > 0"):
        DataLoader([1], multiprocessing_context="fork")
    with pytest.raises(ValueError, match="to be one of .*'fork'.*, got 'thread'"):
        DataLoader([1], num_workers=1, multiprocessing_context="thread")


def test_loaders_and_chains_have_what_pytorchs_have():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

        def __len__(self):
            return 3

    assert len(Stream() + Stream()) == 6
    assert DataLoader[int] is not None
