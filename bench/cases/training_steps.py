"""Whole training steps of the networks that people train: forward, loss, backward, optimizer."""

from . import Case


def step_of(T, model, optimizer, inputs, targets):
    criterion = T.nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp(T):
    T.manual_seed(0)
    nn = T.nn
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return step_of(
        T,
        model,
        T.optim.SGD(model.parameters(), lr=0.01),
        T.randn(32, 784),
        T.randint(0, 10, (32,)),
    )


def cnn(batch):
    def make(T):
        T.manual_seed(0)
        nn = T.nn
        model = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10),
        )  # fmt: skip
        inputs, targets = T.randn(batch, 1, 28, 28), T.randint(0, 10, (batch,))
        return step_of(T, model, T.optim.Adam(model.parameters()), inputs, targets)

    return make


def lenet(T):
    T.manual_seed(0)
    nn = T.nn
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    inputs, targets = T.randn(32, 1, 32, 32), T.randint(0, 10, (32,))
    return step_of(T, model, T.optim.SGD(model.parameters(), lr=0.01), inputs, targets)


def lstm_classifier(T):
    T.manual_seed(0)

    class Classifier(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = T.nn.LSTM(128, 256, 2, batch_first=True)
            self.head = T.nn.Linear(256, 10)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1, :])

    model = Classifier()
    return step_of(
        T, model, T.optim.Adam(model.parameters()), T.randn(32, 50, 128), T.randint(0, 10, (32,))
    )


def resnet18(T):
    T.manual_seed(0)
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
    model = nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = T.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return step_of(T, model, optimizer, T.randn(32, 3, 32, 32), T.randint(0, 10, (32,)))


def gpt(T):
    T.manual_seed(0)
    nn = T.nn
    width, heads, length, batch, vocabulary = 256, 8, 128, 16, 65

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

    model = Model()
    index = T.randint(0, vocabulary, (batch, length))
    targets = T.randint(0, vocabulary, (batch * length,))
    return step_of(T, model, T.optim.AdamW(model.parameters(), lr=1e-3), index, targets)


CASES = [
    Case("train/mlp-784-128-10-b32-sgd", mlp, samples=32),
    Case("train/cnn-b32-adam", cnn(32), samples=32),
    Case("train/cnn-b128-adam", cnn(128), samples=128),
    Case("train/lenet5-b32-sgd", lenet, samples=32),
    Case("train/lstm-128-256x2-t50-b32-adam", lstm_classifier, samples=32),
    Case("train/resnet18-3x32x32-b32-sgd", resnet18, samples=32),
    Case("train/gpt-4x256-t128-b16-adamw", gpt, samples=16 * 128),
]
