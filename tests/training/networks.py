"""The four networks whose first losses are pinned, written once for PyTorch and gradstone alike.

Weights, data and labels are simple formulas, so nothing but the losses needs to be stored."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

STEPS = 10
NAMES = ("mlp", "cnn", "lstm", "transformer")


def values(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def fill(model: Any, torch: ModuleType) -> None:
    """Deterministic weights of the size that default initialisation would give."""
    with torch.no_grad():
        for i, (name, p) in enumerate(sorted(model.named_parameters(), key=lambda item: item[0])):
            shape = tuple(p.shape)
            scale = 1.0 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
            start = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            p.copy_(torch.tensor(start + scale * values(1000 + i, *shape), dtype=p.dtype))


def build(name: str, torch: ModuleType) -> Any:
    nn = torch.nn

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(17, 8)
            self.lstm = nn.LSTM(8, 12, num_layers=2, batch_first=True, bidirectional=True)
            self.head = nn.Linear(24, 5)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.embedding(x))[0][:, -1])

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(17, 16)
            layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
            self.norm_first = nn.LayerNorm(16)
            self.encoder = layer
            self.head = nn.Linear(16, 5)

        def forward(self, x: Any) -> Any:
            return self.head(self.encoder(self.norm_first(self.embedding(x))).mean(1))

    if name == "mlp":
        model = nn.Sequential(
            nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16), nn.GELU(), nn.Linear(16, 5)
        )
    elif name == "cnn":
        model = nn.Sequential()
        model.add_module("conv1", nn.Conv2d(2, 6, 3, padding=1))
        model.add_module("norm1", nn.BatchNorm2d(6))
        model.add_module("relu1", nn.ReLU())
        model.add_module("pool1", nn.MaxPool2d(2))
        model.add_module("conv2", nn.Conv2d(6, 12, 3, stride=2, groups=2))
        model.add_module("relu2", nn.ReLU())
        model.add_module("pool2", nn.AdaptiveAvgPool2d(2))
        model.add_module("flatten", nn.Flatten())
        model.add_module("head", nn.Linear(48, 5))
    elif name == "lstm":
        model = Last()
    else:
        model = Encoder()
    return model


def batch(name: str, step: int, torch: ModuleType, dtype: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(77 + step)
    labels = torch.tensor(rng.integers(0, 5, 16))
    if name == "mlp":
        return torch.tensor(rng.standard_normal((16, 20)), dtype=dtype), labels
    if name == "cnn":
        return torch.tensor(rng.standard_normal((16, 2, 12, 12)), dtype=dtype), labels
    return torch.tensor(rng.integers(0, 17, (16, 9))), labels


def optimizer_of(name: str, model: Any, torch: ModuleType) -> Any:
    if name == "mlp":
        return torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True
        )
    if name == "cnn":
        return torch.optim.Adam(model.parameters(), lr=0.01)
    if name == "lstm":
        return torch.optim.RMSprop(model.parameters(), lr=0.005, momentum=0.5)
    return torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.05)


def losses(name: str, torch: ModuleType, dtype: Any) -> list[float]:
    """Ten steps on three batches: the loss before each. The LSTM's gradients are clipped."""
    model = build(name, torch).to(dtype)
    fill(model, torch)
    model.train()
    optimizer = optimizer_of(name, model, torch)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1 if name == "transformer" else 0.0)
    seen = []
    for step in range(STEPS):
        x, labels = batch(name, step % 3, torch, dtype)
        optimizer.zero_grad()
        loss = loss_of(model(x), labels)
        loss.backward()
        if name == "lstm":
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        seen.append(float(loss.item()))
    return seen
