"""What ``gradstone bench`` times, written once for every library with PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Call = Callable[[], object]


def _under_no_grad(T: Any, function: Call) -> Call:
    def call() -> object:
        with T.no_grad():
            return function()

    return call


def matmul(T: Any) -> Call:
    a, b = T.randn(512, 512), T.randn(512, 512)
    return lambda: a @ b


def convolution(T: Any) -> Call:
    layer, x = T.nn.Conv2d(32, 32, 3, padding=1), T.randn(32, 32, 28, 28)
    return _under_no_grad(T, lambda: layer(x))


def softmax(T: Any) -> Call:
    x = T.randn(512, 1024)
    return lambda: T.softmax(x, 1)


def addition(T: Any) -> Call:
    a, b = T.randn(1_000_000), T.randn(1_000_000)
    return lambda: a + b


def small_addition(T: Any) -> Call:
    a, b = T.randn(2, 2), T.randn(2, 2)
    return lambda: a + b


def attention(T: Any) -> Call:
    q, k, v = (T.randn(4, 8, 128, 32) for _ in range(3))
    return lambda: T.nn.functional.scaled_dot_product_attention(q, k, v)


def _step(T: Any, model: Any, output: Callable[[], Any], target: Any) -> Call:
    """A training step: forward, cross entropy, backward, Adam."""
    optimizer = T.optim.Adam(model.parameters(), lr=1e-3)
    criterion = T.nn.CrossEntropyLoss()

    def step() -> object:
        optimizer.zero_grad()
        loss = criterion(output(), target)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def mlp_step(T: Any) -> Call:
    nn = T.nn
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    x, y = T.randn(64, 64), T.randint(0, 10, (64,))
    return _step(T, model, lambda: model(x), y)


def cnn_step(T: Any) -> Call:
    nn = T.nn
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10),
    )  # fmt: skip
    x, y = T.randn(32, 1, 28, 28), T.randint(0, 10, (32,))
    return _step(T, model, lambda: model(x), y)


def lstm_step(T: Any) -> Call:
    model, x, y = T.nn.LSTM(32, 64), T.randn(32, 16, 32), T.randint(0, 64, (16,))
    return _step(T, model, lambda: model(x)[0][-1], y)


def transformer_step(T: Any) -> Call:
    model = T.nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
    x, y = T.randn(8, 32, 64), T.randint(0, 64, (8,))
    return _step(T, model, lambda: model(x)[:, -1], y)


CASES: dict[str, Callable[[Any], Call]] = {
    "matmul 512": matmul,
    "conv2d 3x3, 32 channels": convolution,
    "softmax 512x1024": softmax,
    "x + y, 1e6 numbers": addition,
    "x + y, 2x2": small_addition,
    "attention 4x8x128x32": attention,
    "MLP step": mlp_step,
    "CNN step": cnn_step,
    "LSTM step": lstm_step,
    "Transformer step": transformer_step,
}
