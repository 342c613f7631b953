"""Writes tests/training/pins/*.json: the first ten losses of each network, computed by PyTorch.

pip install torch==2.13.0 numpy
python tests/training/make_pins.py
"""

from __future__ import annotations

import json
from pathlib import Path

import networks
import torch

PINS = Path(__file__).resolve().parent / "pins"


def main() -> None:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    PINS.mkdir(exist_ok=True)
    for name in networks.NAMES:
        pin = {
            "torch": torch.__version__.split("+")[0],
            "float32": networks.losses(name, torch, torch.float32),
            "float64": networks.losses(name, torch, torch.float64),
        }
        (PINS / f"{name}.json").write_text(json.dumps(pin, indent=1) + "\n", encoding="utf-8")
        print(name, *(f"{loss:.5f}" for loss in pin["float64"]))


if __name__ == "__main__":
    main()
