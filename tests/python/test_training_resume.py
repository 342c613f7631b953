"""A fit that was interrupted and resumed ends with the same bits as one that was not."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Callback, EarlyStopping, Trainer, seed_everything
from gradstone.training.position import rest_of_pass
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


# ------------------------------------------------------------------------------ whole processes

PROGRAM = """
import sys
import numpy as np
import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Callback, Trainer, seed_everything
from gradstone.utils.data import DataLoader, Dataset

class Noisy(Dataset):
    def __len__(self):
        return 60
    def __getitem__(self, i):
        return gs.from_numpy(np.random.normal(i / 60, 0.3, 6).astype(np.float32)), i % 3

class Says(Callback):
    def batch_end(self, trainer):
        print("batch", trainer.step, flush=True)
        if wait and trainer.step in wait:
            sys.stdin.readline()  # until the signal is sent

folder = sys.argv[1]
wait = [int(n) for n in sys.argv[2:]]
gs.set_num_threads(1)
seed_everything(0)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
optimizer = optim.Adam(model.parameters(), lr=0.01)
scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler,
                  scheduler_step="batch", callbacks=[Says()], checkpoint_dir=folder,
                  checkpoint_every=4, progress=False)
try:
    history = trainer.fit(DataLoader(Noisy(), 6, shuffle=True), 3, DataLoader(Noisy(), 20),
                          resume=True)
except KeyboardInterrupt:
    sys.exit(77)
print("interrupted" if history.interrupted else "done", history["loss"] if len(history) else [])
gs.save(trainer.weights(), folder + "/result.gs")
"""


def start(folder, *wait):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder), *map(str, wait)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def read_until(process, line):
    for got in process.stdout:
        if got.strip() == line:
            return
    raise AssertionError(f"the program ended before it said {line!r}: {process.stderr.read()}")


def finish(folder):
    process = start(folder)
    text, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return text.splitlines()[-1], text.splitlines()[0]


def result(folder: Path):
    model = gs.load(folder / "result.gs")["model"]
    return b"".join(value.numpy().tobytes() for value in model.values())


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    last, _ = finish(folder)
    assert last.startswith("done")
    return last, result(folder)


def test_ctrl_c_ends_the_batch_and_resumes(tmp_path, whole_run):
    process = start(tmp_path, 13)
    read_until(process, "batch 13")
    process.send_signal(signal.SIGINT)
    process.stdin.write("\n")
    text, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert text.splitlines()[-1].startswith("interrupted")
    state = gs.load(tmp_path / "last.gs")
    # The callback waited in batch 14, after 13 steps.
    assert state["position"]["epochs"] == 1
    assert state["position"]["batches"] == 4
    last, first = finish(tmp_path)
    assert first == "batch 14"
    assert (last, result(tmp_path)) == whole_run


def test_a_second_ctrl_c_raises_at_once(tmp_path):
    process = start(tmp_path, 2, 3)
    read_until(process, "batch 2")
    process.send_signal(signal.SIGINT)
    # The batch cannot end before it reads a line: the second signal finds it waiting.
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 77, process.stderr.read()


def test_kill_9_resumes_from_the_last_checkpoint(tmp_path, whole_run):
    for at in (6, 17):
        process = start(tmp_path, at)
        read_until(process, f"batch {at}")
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    (tmp_path / ".last.gs.torn.tmp").write_bytes(b"half a file")
    last, first = finish(tmp_path)
    assert first == "batch 14"  # the last multiple of four in the epoch, 10 + 4, had been written
    assert (last, result(tmp_path)) == whole_run
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.gs", "last.gs", "result.gs"]


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
