"""A newcomer's mistakes: each error says what was called, what was expected and what came."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
import gradstone.nn.functional as F
from gradstone import nn, optim
from gradstone.optim import lr_scheduler
from gradstone.utils.data import DataLoader, TensorDataset

NET = nn.Linear(2, 1)
SGD = optim.SGD(NET.parameters(), lr=0.1)


class NoLength:
    def __getitem__(self, i):
        return i


@pytest.mark.parametrize(
    ("mistake", "error", "text"),
    [
        (lambda: nn.Linear("3", 2), TypeError, r"[Linear] expected in_features to be an int"),
        (lambda: nn.Linear(3, -2), ValueError, r"[Linear] expected out_features to be at least 0"),
        (lambda: NET(gs.ones(4, 5)), ValueError, r"[linear] expected input of shape (..., 2)"),
        (lambda: nn.Conv2d(1.5, 8, 3), TypeError, r"[Conv2d] expected in_channels to be an int"),
        (lambda: nn.Conv2d(1, 8, "3"), TypeError, r"[Conv2d] expected kernel_size"),
        (lambda: nn.Conv2d(1, 8, (3, 3, 3)), ValueError, r"an int or 2 ints, got (3, 3, 3)"),
        (lambda: nn.Conv2d(1, 8, 3, padding="sane"), ValueError, r"[Conv2d] padding must be"),
        (lambda: nn.BatchNorm2d(3)(gs.ones(2, 3)), ValueError, r"[BatchNorm2d] expected 4D input"),
        (lambda: nn.GroupNorm(0, 3), ValueError, r"[GroupNorm] expected num_groups"),
        (lambda: nn.LSTM(3, 4)(gs.ones(2, 5, 2)), ValueError, r"(..., 3), got (2, 5, 2)"),
        (lambda: nn.LSTM(3, 4)(gs.ones(2, 5, 3), gs.ones(1)), TypeError, r"a pair (h, c)"),
        (lambda: nn.MultiheadAttention(5, 2), ValueError, r"got 5 and 2"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, r"[Sequential] expected a module for '0'"),
        (lambda: nn.Sequential(nn.ReLU), TypeError, r"make one with ReLU(...)"),
        (lambda: nn.Dropout("a"), TypeError, r"[dropout] expected p to be a number"),
        (lambda: F.pad(gs.ones(2), 1), TypeError, r"[pad] expected pad to be a sequence"),
        (lambda: F.hinge_embedding_loss(gs.ones(1), gs.ones(1), reduction="avg"), ValueError,
         r"[hinge_embedding_loss] expected reduction"),
        (lambda: gs.ones(2, dtype="float32"), TypeError, r"[ones] expected dtype"),
        (lambda: gs.rand(2, dtype=np.float32), TypeError, r"[rand] expected dtype"),
        (lambda: gs.arange("a"), TypeError, r"[arange] expected end to be a number"),
        (lambda: gs.linspace(0, 1, 3.5), TypeError, r"[linspace] expected steps to be an int"),
        (lambda: gs.randint(0, 10, 5), TypeError, r"got (0, 10, 5)"),
        (lambda: gs.manual_seed("a"), TypeError, r"[manual_seed] expected seed"),
        (lambda: DataLoader(3), TypeError, r"[DataLoader] expected a data set"),
        (lambda: DataLoader(NoLength()), TypeError, r"NoLength has no __len__"),
        (lambda: DataLoader([1], num_workers="2"), TypeError, r"[DataLoader] expected num_workers"),
        (lambda: DataLoader([1], batch_size="2"), ValueError, r"batch_size='2'"),
        (lambda: TensorDataset(np.ones(2)), TypeError, r"[TensorDataset] expected tensors"),
        (lambda: optim.SGD(NET, lr=0.1), TypeError, r"[SGD] expected params"),
        (lambda: optim.SGD(NET.parameters, lr=0.1), TypeError, r"model.parameters()"),
        (lambda: optim.SGD(NET.parameters(), lr="0.1"), TypeError, r"learning rate to be a number"),
        (lambda: optim.Adam(NET.parameters(), betas=0.9), TypeError, r"a pair of numbers"),
        (lambda: optim.SGD([{"param": []}]), ValueError, r"with the key 'params'"),
        (lambda: SGD.load_state_dict({}), ValueError, r"with the key 'state'"),
        (lambda: lr_scheduler.StepLR(NET, 3), TypeError, r"Linear is not an Optimizer"),
        (lambda: lr_scheduler.StepLR(SGD, 0), ValueError, r"[StepLR] expected step_size"),
        (lambda: lr_scheduler.CosineAnnealingLR(SGD, 0), ValueError, r"expected T_max"),
        (lambda: nn.utils.clip_grad_norm_(NET, 1.0), TypeError, r"got Linear"),
        (lambda: gs.save("net.gs", NET.state_dict()), TypeError, r"it is save(obj, path)"),
        (lambda: gs.save({}, None), TypeError, r"[save] expected a path or a file to write to"),
        (lambda: gs.load(None), TypeError, r"[load] expected a path or a file to read, got None"),
    ],
)  # fmt: skip
def test_the_error_names_the_mistake(mistake, error, text):
    with pytest.raises(error) as caught:
        mistake()
    assert text in str(caught.value)


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.HuberLoss()])
def test_a_target_that_broadcasts_is_warned_of(loss):
    with pytest.warns(UserWarning, match=r"\(4, 1\) and target of shape \(4,\)"):
        loss(gs.ones(4, 1), gs.ones(4))
