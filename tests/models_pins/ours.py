"""The cases in gradstone."""

from __future__ import annotations

from typing import Any

import gradstone as gs
from gradstone import models
from models_pins.cases import CASES


def build(name: str) -> Any:
    """The case's model, with fresh weights."""
    case = CASES[name]
    options: dict[str, Any] = dict(case.options)
    if case.config:
        kind = models.GPT2Config if case.builder == "GPT2" else models.BertConfig
        options = {"config": kind(**options)}
    return getattr(models, case.builder)(**options)


def arguments(name: str) -> list[Any]:
    """The case's inputs, None for those left out."""
    return [None if x is None else gs.tensor(x) for x in CASES[name].inputs]
