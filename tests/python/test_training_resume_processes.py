"""Programs that Ctrl-C or a kill ends: started again, they end with the bits of a whole run."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import gradstone as gs

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
