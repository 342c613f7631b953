"""The same networks from the same weights give the losses of PyTorch 2.13, tests/training/pins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from training import networks

PINS = Path(__file__).resolve().parents[1] / "training" / "pins"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", networks.NAMES)
def test_losses_of_the_first_steps(name, dtype):
    pin = json.loads((PINS / f"{name}.json").read_text(encoding="utf-8"))[dtype]
    got = networks.losses(name, gs, getattr(gs, dtype))
    assert len(pin) == networks.STEPS
    rtol = 1e-9 if dtype == "float64" else 1e-4
    worst = np.abs(np.array(got) / pin - 1).max()
    assert worst < rtol, f"relative difference {worst:.2e}\ngot    {got}\npinned {pin}"


@pytest.mark.parametrize("name", networks.NAMES)
def test_pins_are_those_of_a_network_that_learns(name):
    """A pin that did not move would prove nothing about backward and optimizer."""
    pin = json.loads((PINS / f"{name}.json").read_text(encoding="utf-8"))
    assert abs(pin["float64"][-1] - pin["float64"][0]) > 0.05
    assert np.allclose(pin["float32"], pin["float64"], rtol=1e-3)
