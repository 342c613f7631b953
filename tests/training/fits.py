"""A small task, a network for it, and a call of fit."""

from __future__ import annotations

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Trainer
from gradstone.utils.data import DataLoader, TensorDataset


def data(count=50, dtype=np.float32):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 6)).astype(dtype)
    return TensorDataset(gs.from_numpy(x), gs.from_numpy((x.sum(1) > 0).astype(np.int64)))


def loader(size=8, **options):
    return DataLoader(data(), size, shuffle=True, **options)


def network():
    gs.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 2))


def fit(model, epochs=2, lr=0.05, loss=None, batches=None, validation=None, **options):
    optimizer = options.pop("optimizer", None) or optim.SGD(model.parameters(), lr, momentum=0.9)
    if "schedule" in options:
        options["scheduler"] = options.pop("schedule")(optimizer)
    trainer = Trainer(model, optimizer, loss or nn.CrossEntropyLoss(), progress=False, **options)
    gs.manual_seed(2)
    trainer.fit(loader() if batches is None else batches, epochs, validation)
    return trainer


class Right:
    """Accuracy, as simple as can be."""

    def reset(self):
        self.right = self.count = 0

    def update(self, output, target):
        assert not output.requires_grad
        self.right = self.right + (output.argmax(1) == target).sum()
        self.count += len(target)

    def compute(self):
        return self.right / self.count
