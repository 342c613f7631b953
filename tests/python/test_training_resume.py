"""A fit that was interrupted and resumed ends with the same bits as one that was not."""

from __future__ import annotations

import hashlib
import random
import signal

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Callback, EarlyStopping, Trainer, seed_everything
from gradstone.utils.data import DataLoader
from training.loaders import LOADERS, Noisy, tensors


def network():
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
    )


class Mean:
    """A metric without a state_dict: its attributes are its state."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.total, self.count = gs.zeros(()), 0

    def update(self, output, target):
        self.total = self.total + output.mean()
        self.count += 1

    def compute(self):
        return self.total / max(self.count, 1)


class Draws(Callback):
    """Draws at the start of each epoch, as somebody's curriculum may."""

    def epoch_start(self, trainer):
        self.drawn = gs.rand(3), random.random(), np.random.rand()


class Interrupts(Callback):
    """Ctrl-C during the given batch of the given epoch."""

    def __init__(self, epoch, batch):
        self.at = epoch, batch

    def after_backward(self, trainer):
        if (trainer.epoch, trainer.batch + 1) == self.at:
            signal.raise_signal(signal.SIGINT)


def trainer_for(folder, callbacks=(), **options):
    seed_everything(1)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    if options.pop("plateau", False):
        options["scheduler"] = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    elif options.get("scheduler_step") == "batch":
        options["scheduler"] = optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
    return Trainer(
        model, optimizer, nn.CrossEntropyLoss(), {"mean": Mean()}, callbacks=[Draws(), *callbacks],
        checkpoint_dir=folder, progress=False, **options,
    )  # fmt: skip


def bits(trainer):
    """A digest of everything that the run left, times aside."""
    sha = hashlib.sha256()

    def add(value):
        if isinstance(value, gs.Tensor):
            sha.update(value.numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                if key not in ("seconds", "samples_per_second", "length"):
                    sha.update(str(key).encode())
                    add(value[key])
        elif isinstance(value, (list, tuple)):
            for part in value:
                add(part)
        else:
            sha.update(repr(value).encode())

    state = trainer.state_dict()
    add({name: part for name, part in state.items() if name != "callbacks"})
    return sha.hexdigest()


def validation():
    return DataLoader(Noisy(), 16)


def uninterrupted(folder, kind, epochs=3, **options):
    trainer = trainer_for(folder, **options)
    trainer.fit(LOADERS[kind](), epochs, validation())
    assert not trainer.history.interrupted
    return bits(trainer), trainer.history


@pytest.mark.parametrize("kind", LOADERS)
def test_interrupted_inside_an_epoch(kind, tmp_path):
    wanted, history = uninterrupted(tmp_path / "whole", kind)
    trainer = trainer_for(tmp_path / "parts", [Interrupts(2, 3)])
    stopped = trainer.fit(LOADERS[kind](), 3, validation())
    assert stopped.interrupted
    assert stopped.stopped == "interrupted"
    assert len(stopped) == 1
    assert (trainer.epoch, trainer.batch) == (2, 3)
    gs.rand(7), random.random(), np.random.rand()  # whatever came between
    again = trainer_for(tmp_path / "parts")
    resumed = again.fit(LOADERS[kind](), 3, validation(), resume=True)
    assert not resumed.interrupted
    assert resumed["loss"] == history["loss"]
    assert resumed["val_loss"] == history["val_loss"]
    assert bits(again) == wanted


@pytest.mark.parametrize("at", [(1, 1), (1, 7), (2, 7), (3, 1), (3, 7)])
def test_interrupted_at_the_edges_of_an_epoch(at, tmp_path):
    wanted, _ = uninterrupted(tmp_path / "whole", "item by item")
    trainer_for(tmp_path / "parts", [Interrupts(*at)]).fit(
        LOADERS["item by item"](), 3, validation()
    )
    again = trainer_for(tmp_path / "parts")
    again.fit(LOADERS["item by item"](), 3, validation(), resume=True)
    assert bits(again) == wanted


def test_interrupted_in_the_validation(tmp_path):
    wanted, _ = uninterrupted(tmp_path / "whole", "item by item")

    class Interrupted(Callback):
        def validation_start(self, trainer):
            if trainer.epoch == 2:
                signal.raise_signal(signal.SIGINT)

    trainer = trainer_for(tmp_path / "parts", [Interrupted()])
    history = trainer.fit(LOADERS["item by item"](), 3, validation())
    assert history.interrupted
    assert len(history) == 1
    assert trainer.model.training
    again = trainer_for(tmp_path / "parts")
    again.fit(LOADERS["item by item"](), 3, validation(), resume=True)
    assert bits(again) == wanted


class Mix:
    """As MixUp: random numbers of its own."""

    def __init__(self):
        self.random = np.random.default_rng(3)

    def __call__(self, x, y):
        return x * self.random.uniform(0.5, 1.5), y


OPTIONS = {
    "accumulation": {"accumulate": 3, "clip_norm": 0.5},
    "float16": {"precision": "fp16", "clip_norm": 0.5},
    "bfloat16": {"precision": "bf16"},
    "a rate by batches": {"scheduler_step": "batch", "clip_value": 0.1},
    "a plateau": {"plateau": True},
    "penalties": {"l1": 1e-3, "l2": 1e-3},
    "averaged weights": {"ema": 0.9},
    "mixing": {"mix": Mix},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_part_is_kept(name, tmp_path):
    def make(folder, *callbacks):
        options = {k: v() if v is Mix else v for k, v in OPTIONS[name].items()}
        return trainer_for(tmp_path / folder, callbacks, **options)

    whole, parts, again = make("whole"), make("parts", Interrupts(2, 4)), make("parts")
    for trainer, resume in ((whole, False), (parts, False), (again, True)):
        seed_everything(1)
        trainer.fit(LOADERS["gathered"](), 2, validation(), resume=resume)
    assert parts.history.interrupted
    assert bits(again) == bits(whole)
    if name == "float16":
        # Were a gradient infinite at the end, a scaler that began anew would look the same.
        assert again.compute.scaler.state_dict()["_growth_tracker"] == 14


def test_the_state_of_callbacks_is_kept(tmp_path):
    class Counts(Callback):
        def __init__(self):
            self.steps = 0

        def step_end(self, trainer):
            self.steps += 1

        def state_dict(self):
            return {"steps": self.steps}

        def load_state_dict(self, state):
            self.steps = state["steps"]

    first = [Counts(), EarlyStopping("loss", patience=10), Interrupts(2, 3)]
    trainer_for(tmp_path, first).fit(LOADERS["gathered"](), 3)
    second = [EarlyStopping("loss", patience=10), Counts()]  # in another order
    trainer_for(tmp_path, second).fit(LOADERS["gathered"](), 3, resume=True)
    assert second[1].steps == 21
    assert second[0].best_epoch > 0


def test_max_time_pauses_and_a_resumed_fit_goes_on(tmp_path):
    wanted, _ = uninterrupted(tmp_path / "whole", "gathered")
    trainer = trainer_for(tmp_path / "parts", max_time=1e-6)
    history = trainer.fit(LOADERS["gathered"](), 3, validation())
    assert history.stopped == "max_time"
    assert not history.interrupted
    assert (trainer.epoch, trainer.batch) == (1, 1)
    again = trainer_for(tmp_path / "parts")
    again.fit(LOADERS["gathered"](), 3, validation(), resume=True)
    assert bits(again) == wanted


def test_a_finished_fit_is_not_gone_on_with(tmp_path):
    trainer = trainer_for(tmp_path)
    trainer.fit(LOADERS["gathered"](), 2)
    before = bits(trainer)
    again = trainer_for(tmp_path)
    history = again.fit(LOADERS["gathered"](), 2, resume=True)
    assert len(history) == 2
    assert bits(again) == before
    longer = trainer_for(tmp_path)
    assert len(longer.fit(LOADERS["gathered"](), 3, resume=True)) == 3
    assert bits(longer) == uninterrupted_without_validation(tmp_path / "whole")


def uninterrupted_without_validation(folder):
    trainer = trainer_for(folder)
    trainer.fit(LOADERS["gathered"](), 3)
    return bits(trainer)


def test_what_cannot_be_resumed_is_refused(tmp_path):
    loader = LOADERS["gathered"]()
    with pytest.raises(ValueError, match="checkpoint_dir"):
        trainer_for(None).fit(loader, 1, resume=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        trainer_for(tmp_path).fit(loader, 1, resume=tmp_path / "none.gs")
    assert len(trainer_for(tmp_path).fit(loader, 1, resume=True)) == 1  # the first run of many
    gs.save({"weights": gs.ones(2)}, tmp_path / "other.gs")
    with pytest.raises(RuntimeError, match="no checkpoint of a Trainer"):
        trainer_for(tmp_path).fit(loader, 1, resume=tmp_path / "other.gs")
    with pytest.raises(ValueError, match="scheduler"):
        trainer_for(tmp_path, plateau=True).fit(loader, 2, resume=True)
    with pytest.raises(ValueError, match="GradScaler"):
        trainer_for(tmp_path, precision="fp16").fit(loader, 2, resume=True)
    trainer_for(tmp_path, [Interrupts(1, 3)]).fit(loader, 2)
    with pytest.raises(ValueError, match="epoch of 7 batches, the loader now gives 13"):
        trainer_for(tmp_path).fit(DataLoader(tensors(), 4, shuffle=True), 2, resume=True)
    with pytest.raises(
        ValueError, match="hold 1 random generators, those of the checkpoint held 0"
    ):
        trainer_for(tmp_path).fit(LOADERS["own generator"](), 2, resume=True)


def test_ctrl_c_means_afterwards_what_it_meant_before(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    for callbacks in ([], [Interrupts(1, 2)]):
        trainer_for(tmp_path, callbacks).fit(LOADERS["gathered"](), 1)
        assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_no_signal_is_touched(tmp_path):
    import threading

    found = []

    def work():
        trainer = trainer_for(None, [lambda t: found.append(signal.getsignal(signal.SIGINT))])
        found.append(len(trainer.fit(LOADERS["gathered"](), 1)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before, 1]
