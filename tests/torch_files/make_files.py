"""Writes the files of this folder: python tests/torch_files/make_files.py, with PyTorch.

What they hold is in ``contents``, which test_torch_files.py compares with.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")


def contents():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    weights = OrderedDict((name, torch.arange(5).to(getattr(torch, name))) for name in DTYPES)
    weights["bool"] = torch.tensor([True, False, True])
    weights["turned"] = base.t()
    weights["part"] = base[1:3, ::2]
    weights["scalar"] = torch.tensor(2.5)
    weights["empty"] = torch.empty(0, 3)
    weights["parameter"] = torch.nn.Parameter(torch.full((2, 2), 0.25))
    layer = torch.nn.Linear(3, 2)
    torch.nn.init.constant_(layer.weight, 0.5)
    torch.nn.init.zeros_(layer.bias)
    return {
        "model": weights,
        "layer": layer.state_dict(),  # carries _metadata
        "epoch": 3,
        "losses": [0.5, 0.25],
        "shape": torch.Size([2, 3]),
        "note": ("ein Wört", None, True, b"bytes"),
    }


def kinds():
    """What checkpoints hold beside tensors; a schedule's milestones are a Counter."""
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4, 4])
    return {
        "schedule": schedule.state_dict(),
        "names": {"a", "b"},
        "device": torch.device("cuda", 1),
        "dtype": torch.bfloat16,
        "best": np.float32(0.75),
        "array": np.arange(3),
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.save(contents(), HERE / "checkpoint.pt")
    torch.save(contents(), HERE / "checkpoint_old.pt", _use_new_zipfile_serialization=False)
    torch.save(contents()["layer"], HERE / "linear.pt")
    torch.save(kinds(), HERE / "kinds.pt")
    torch.save(kinds(), HERE / "kinds_old.pt", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), HERE / "module.pt")
