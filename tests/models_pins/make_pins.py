"""Writes tests/models_pins/pins/*.json: what PyTorch's layers give for every case.

pip install torch==2.13.0 numpy
PYTHONPATH=tests python -m models_pins.make_pins
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from models_pins import cases, reference

PINS = Path(__file__).resolve().parent / "pins"


def rounded(value: Any) -> Any:
    """Numbers to 13 digits: short files, still far below what the test allows."""
    if isinstance(value, float):
        return float(f"{value:.13g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def main() -> None:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    PINS.mkdir(exist_ok=True)
    for name, case in cases.CASES.items():
        pin = cases.run(reference.build(case), case, torch)
        pin = {"torch": torch.__version__.split("+")[0], **rounded(pin)}
        # One line for each tensor: short files, readable differences.
        lines = json.dumps(pin, indent=0).replace("\n", "")
        lines = lines.replace('],"', '],\n"').replace('},"', '},\n"')
        (PINS / f"{name}.json").write_text(lines + "\n", encoding="utf-8")
        print(name, pin["train"][0]["norm"])


if __name__ == "__main__":
    main()
