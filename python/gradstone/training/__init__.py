"""Training in one call: fit, watch, stop, resume. Beside the loop written by hand, not above it.

    from gradstone.training import Accuracy, EarlyStopping, Trainer

    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), metrics={"accuracy": Accuracy()})
    history = trainer.fit(train_loader, epochs=10, validation=test_loader)
    history.plot("curves.png")

Every name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Where each name is defined.
_MODULES = {
    "callbacks": ("Callback", "EarlyStopping"),
    "checkpoint": ("Checkpoint",),
    "ema": ("EMA",),
    "history": ("History",),
    "logging": ("CSVLogger", "TensorBoardLogger"),
    "lr_finder": ("LearningRateFinder", "find_lr"),
    "metrics": (
        "Accuracy",
        "ConfusionMatrix",
        "F1",
        "MeanAbsoluteError",
        "MeanSquaredError",
        "Perplexity",
        "Precision",
        "R2Score",
        "Recall",
        "RootMeanSquaredError",
        "TopKAccuracy",
    ),
    "mixing": ("CutMix", "MixUp"),
    "profiler": ("profile_step",),
    "progress": ("Progress",),
    "random_state": ("seed_everything",),
    "trainer": ("Trainer",),
    "weighting": ("WeightedLoss", "class_weights"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_WHERE)

if TYPE_CHECKING:
    from gradstone.training.callbacks import Callback, EarlyStopping
    from gradstone.training.checkpoint import Checkpoint
    from gradstone.training.history import History
    from gradstone.training.progress import Progress
    from gradstone.training.random_state import seed_everything
    from gradstone.training.trainer import Trainer


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *_MODULES})
