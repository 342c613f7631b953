"""Loaders of every kind: gathered and item by item, random numbers from every source."""

from __future__ import annotations

import random

import numpy as np

import gradstone as gs
from gradstone.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
    draws,
)

COUNT, SIZE = 50, 8  # seven batches, the last of two


class Noisy(Dataset):
    """Items that draw from every source of random numbers."""

    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        x = np.full(6, i / COUNT, np.float32) + np.random.normal(0, 0.3, 6).astype(np.float32)
        return gs.from_numpy(x) * random.uniform(0.5, 1.5), i % 3


class Augmented(Dataset):
    """Items with the draws of their place in the pass, as the transforms of gradstone.vision."""

    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        return gs.full((6,), i / COUNT) + gs.rand(6, generator=draws.current()), i % 3


class AugmentedBatches(Dataset):
    """The same for whole batches."""

    def __len__(self):
        return COUNT

    def gather(self, index):
        noise = [gs.rand(6, generator=self._at(k)) for k in range(len(index))]
        return [gs.stack(noise + [gs.zeros(6)])[:-1], index % 3]

    def _at(self, k):
        seed, offset, step = draws.batch_stream()
        place = gs.Generator().manual_seed(seed)
        place.offset = offset + k * step
        return place


class Stream(IterableDataset):
    """Items in an order that Python's random decides."""

    def __iter__(self):
        order = list(range(COUNT))
        random.shuffle(order)
        for i in order:
            yield gs.full((6,), i / COUNT) + gs.randn(6) * 0.1, i % 3


class PythonOrder(Sampler):
    """Somebody's sampler."""

    def __iter__(self):
        order = list(range(COUNT))
        random.shuffle(order)
        return iter(order)

    def __len__(self):
        return COUNT


class OwnNumbers(Sampler):
    """Somebody's sampler with random numbers of its own, which go on from epoch to epoch."""

    def __init__(self):
        self.numpy, self.python = np.random.default_rng(4), random.Random(4)
        self.state = np.random.RandomState(4)

    def __iter__(self):
        order = self.numpy.permutation(COUNT).tolist()
        self.python.shuffle(order)
        return iter(self.state.permutation(order).tolist())

    def __len__(self):
        return COUNT


class Pairs(Sampler):
    """Somebody's batches, of different sizes."""

    def __iter__(self):
        order, at = np.random.permutation(COUNT).tolist(), 0
        while at < COUNT:
            size = 3 + at % 7
            yield order[at : at + size]
            at += size


def tensors():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT, 6)).astype(np.float32)
    return TensorDataset(gs.from_numpy(x), gs.from_numpy((x.sum(1) > 0).astype(np.int64)))


def generator():
    return gs.Generator().manual_seed(5)


LOADERS = {
    "gathered": lambda: DataLoader(tensors(), SIZE, shuffle=True),
    "gathered, in order": lambda: DataLoader(tensors(), SIZE),
    "gathered, drop_last": lambda: DataLoader(tensors(), SIZE, shuffle=True, drop_last=True),
    "own generator": lambda: DataLoader(tensors(), SIZE, shuffle=True, generator=generator()),
    "weighted": lambda: DataLoader(
        tensors(), SIZE, sampler=WeightedRandomSampler([1.0, 2.0] * (COUNT // 2), COUNT)
    ),
    "own sampler": lambda: DataLoader(tensors(), SIZE, sampler=PythonOrder()),
    "own numbers": lambda: DataLoader(tensors(), SIZE, sampler=OwnNumbers()),
    "own batches": lambda: DataLoader(tensors(), batch_sampler=Pairs()),
    "item by item": lambda: DataLoader(Noisy(), SIZE, shuffle=True),
    "own batches, item by item": lambda: DataLoader(Noisy(), batch_sampler=Pairs()),
    "workers": lambda: DataLoader(Noisy(), SIZE, shuffle=True, num_workers=2),
    "persistent workers": lambda: DataLoader(
        Noisy(), SIZE, shuffle=True, num_workers=2, persistent_workers=True
    ),
    "augmented": lambda: DataLoader(Augmented(), SIZE, shuffle=True),
    "augmented batches": lambda: DataLoader(AugmentedBatches(), SIZE, shuffle=True),
    "own batches, augmented": lambda: DataLoader(AugmentedBatches(), batch_sampler=Pairs()),
    "stream": lambda: DataLoader(Stream(), SIZE),
    "list": lambda: [(gs.full((4, 6), k / 7), gs.full((4,), k % 3).long()) for k in range(7)],
}
