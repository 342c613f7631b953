"""The networks that people train, whole: model, optimizer and batch of each, for any library with
PyTorch's names. `training_steps` and `inference` time them, `same_losses.py` trains them in two
libraries, and `peers/` builds them again in libraries with other names.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Network:
    """`shape` is a batch of normal numbers or, with a `vocabulary`, of indices below it."""

    name: str
    model: Callable[[Any], Any]
    shape: tuple[int, ...]
    optimizer: str
    momentum: float = 0.0
    classes: int = 10
    vocabulary: int = 0

    @property
    def samples(self) -> int:
        """What is classified in a batch: rows, or every index of every row."""
        return math.prod(self.shape) if self.vocabulary else self.shape[0]

    @property
    def training_case(self) -> str:
        return f"train/{self.name}-{self.optimizer}"

    @property
    def inference_case(self) -> str:
        return f"infer/{self.name}"

    def batch(self, T: Any) -> tuple[Any, Any]:
        """Inputs and targets, tensors of library T."""
        if self.vocabulary:
            inputs = T.randint(0, self.vocabulary, self.shape)
        else:
            inputs = T.randn(*self.shape)
        return inputs, T.randint(0, self.classes, (self.samples,))

    def arrays(self, seed: int = 0) -> tuple[Any, Any]:
        """Inputs and targets, NumPy arrays."""
        import numpy as np

        rng = np.random.default_rng(seed)
        if self.vocabulary:
            inputs = rng.integers(0, self.vocabulary, self.shape)
        else:
            inputs = rng.standard_normal(self.shape, dtype=np.float32)
        return inputs, rng.integers(0, self.classes, self.samples)

    def optimizer_of(self, T: Any, parameters: Any) -> Any:
        if self.optimizer == "sgd":
            return T.optim.SGD(parameters, lr=0.01, momentum=self.momentum)
        if self.optimizer == "adam":
            return T.optim.Adam(parameters, lr=1e-3)
        return T.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)


def training_step(T: Any, model: Any, optimizer: Any) -> Callable[[Any, Any], Any]:
    """step(inputs, targets): forward, loss, backward, optimizer."""
    criterion = T.nn.CrossEntropyLoss()

    def step(inputs, targets):
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp(T):
    nn = T.nn
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn(T):
    nn = T.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def lenet(T):
    nn = T.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def lstm_classifier(T):
    class Classifier(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = T.nn.LSTM(128, 256, 2, batch_first=True)
            self.head = T.nn.Linear(256, 10)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1, :])

    return Classifier()


def resnet18(T):
    nn = T.nn

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.down = None
            if stride != 1 or inputs != outputs:
                self.down = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x):
            y = T.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            return T.relu(y + (x if self.down is None else self.down(x)))

    blocks, inputs = [], 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip


def gpt(T):
    nn = T.nn
    width, heads, length, vocabulary = 256, 8, 128, 65

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, _ = x.shape
            q, k, v = (
                self.qkv(self.ln1(x)).view(b, t, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            )
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(b, t, width))
            return x + self.down(nn.functional.gelu(self.up(self.ln2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(4)))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, index):
            x = self.tokens(index) + self.places(T.arange(index.shape[1]))
            return self.head(self.norm(self.blocks(x))).view(-1, vocabulary)

    return Model()


NETWORKS = [
    Network("mlp-784-128-10-b32", mlp, (32, 784), "sgd"),
    Network("cnn-b32", cnn, (32, 1, 28, 28), "adam"),
    Network("cnn-b128", cnn, (128, 1, 28, 28), "adam"),
    Network("lenet5-b32", lenet, (32, 1, 32, 32), "sgd"),
    Network("lstm-128-256x2-t50-b32", lstm_classifier, (32, 50, 128), "adam"),
    Network("resnet18-3x32x32-b32", resnet18, (32, 3, 32, 32), "sgd", momentum=0.9),
    Network("gpt-4x256-t128-b16", gpt, (16, 128), "adamw", classes=65, vocabulary=65),
]
