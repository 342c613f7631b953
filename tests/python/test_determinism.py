"""The same bits: for any number of threads, and for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
import gradstone.nn.functional as F
from gradstone import _C, nn

THREADS = (1, 2, 3)


def mlp():
    model = nn.Sequential(
        nn.Linear(300, 257),
        nn.ReLU(),
        nn.Linear(257, 129),
        nn.GELU(),
        nn.LayerNorm(129),
        nn.Linear(129, 10),
    )
    return model, gs.randn(513, 300), gs.randint(0, 10, (513,)), lambda y, t: F.cross_entropy(y, t)


def cnn():
    model = nn.Sequential(
        nn.Conv2d(3, 17, 3, padding=1),
        nn.BatchNorm2d(17),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(17, 34, 3, groups=17),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(34 * 36, 10),
    )
    return (
        model,
        gs.randn(33, 3, 28, 28),
        gs.randint(0, 10, (33,)),
        lambda y, t: F.cross_entropy(y, t),
    )


class Last(nn.Module):
    def __init__(self, layer, size):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(size, 7)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


def lstm():
    model = Last(nn.LSTM(65, 96, num_layers=2, batch_first=True, bidirectional=True), 192)
    return model, gs.randn(35, 17, 65), gs.randn(35, 7), lambda y, t: F.mse_loss(y, t)


def transformer():
    model = nn.Sequential(
        nn.TransformerEncoderLayer(64, 4, 256, dropout=0.1, batch_first=True), nn.Linear(64, 5)
    )
    return model, gs.randn(9, 129, 64), gs.randn(9, 129, 5), lambda y, t: F.mse_loss(y, t)


OPTIMIZERS = {
    "sgd": lambda p: gs.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-4),
    "adam": lambda p: gs.optim.Adam(p, lr=1e-3),
}


def train(build, optimizer, threads):
    """Three steps; every number there is afterwards, as bytes."""
    gs.set_num_threads(threads)
    gs.manual_seed(7)
    model, x, target, loss_of = build()
    step = OPTIMIZERS[optimizer](model.parameters())
    seen = []
    for _ in range(3):
        step.zero_grad()
        y = model(x)
        loss = loss_of(y, target)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        step.step()
        seen += [y.detach().clone(), loss.detach().clone(), norm]
    seen += [p.grad for p in model.parameters()]
    names = [f"output {i}" for i in range(len(seen))]
    state = model.state_dict()
    return names + list(state), [t.numpy().tobytes() for t in [*seen, *state.values()]]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("build", [mlp, cnn, lstm, transformer], ids=lambda f: f.__name__)
def test_training_gives_the_same_bits_with_any_number_of_threads(build, optimizer):
    names, one = train(build, optimizer, 1)
    for threads in THREADS[1:]:
        _, other = train(build, optimizer, threads)
        different = [name for name, a, b in zip(names, one, other) if a != b]
        assert not different, f"with {threads} threads: {different[:5]} of {len(names)}"


LARGE = {
    "sum": lambda: gs.randn(1_000_003).sum(),
    "sum of rows": lambda: gs.randn(1003, 517).sum(0),
    "mean of columns": lambda: gs.randn(1003, 517).mean(1),
    "var": lambda: gs.randn(300, 3001).var(1),
    "norm": lambda: gs.randn(700_001).norm(),
    "cumsum": lambda: gs.randn(129, 4001).cumsum(1),
    "matmul": lambda: gs.randn(259, 515) @ gs.randn(515, 263),
    "matmul, long": lambda: gs.randn(7, 20_011) @ gs.randn(20_011, 9),
    "bmm": lambda: gs.bmm(gs.randn(17, 65, 129), gs.randn(17, 129, 66)),
    "softmax": lambda: gs.softmax(gs.randn(1001, 333), 1),
    "softmax over the first axis": lambda: gs.softmax(gs.randn(1001, 333), 0),
    "logsumexp": lambda: gs.logsumexp(gs.randn(333, 3333), 1),
    "embedding backward": lambda: embedding_gradient(),
    "index_add": lambda: gs.zeros(50, 64).index_add(
        0, gs.randint(0, 50, (9000,)), gs.randn(9000, 64)
    ),
    "scatter_add": lambda: gs.zeros(50).scatter_add(
        0, gs.randint(0, 50, (200_000,)), gs.randn(200_000)
    ),
    "sort": lambda: gs.randn(65, 5003).sort(1)[0],
    "randn": lambda: gs.randn(1_000_003),
    "uniform": lambda: gs.rand(1_000_003),
    "randperm": lambda: gs.randperm(100_003),
    "dropout": lambda: F.dropout(gs.randn(700_001), 0.3),
    "exp": lambda: gs.exp(gs.randn(700_001)),
    "max_pool2d": lambda: F.max_pool2d(gs.randn(16, 33, 56, 56), 2),
    "prod": lambda: (1 + 1e-4 * gs.randn(300_001)).prod(),
}


def embedding_gradient():
    weight = gs.randn(97, 65, requires_grad=True)
    F.embedding(gs.randint(0, 97, (9001,)), weight).square().sum().backward()
    return weight.grad


@pytest.mark.parametrize("name", LARGE)
def test_large_operations_give_the_same_bits_with_any_number_of_threads(name):
    seen = []
    for threads in THREADS:
        gs.set_num_threads(threads)
        gs.manual_seed(3)
        seen.append(LARGE[name]().detach().numpy().tobytes())
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_each_instruction_set_gives_the_same_bits_with_any_number_of_threads(isa):
    order = ["baseline", "avx2", "avx512"]
    if order.index(isa) > order.index(_C.best_isa()):
        pytest.skip(f"this machine has no {isa}")
    _C.set_isa(isa)
    for build in (mlp, cnn):
        one, three = (train(build, "sgd", threads)[1] for threads in (1, 3))
        assert one == three


def test_random_numbers_do_not_depend_on_the_instruction_set():
    seen = []
    for isa in ("baseline", _C.best_isa()):
        _C.set_isa(isa)
        gs.manual_seed(11)
        seen.append(
            [
                gs.rand(1003),
                gs.randperm(101),
                gs.randint(-5, 9, (333,)),
                F.dropout(gs.ones(777), 0.4),
            ]
        )
    for a, b in zip(*seen):
        assert np.array_equal(a.numpy(), b.numpy())


def test_the_seed_decides():
    def draw():
        return [
            gs.rand(5),
            gs.randn(7),
            gs.randint(0, 100, (9,)),
            gs.randperm(11),
            gs.randn(3, dtype=gs.float64),
            F.dropout(gs.ones(65), 0.5),
        ]

    gs.manual_seed(1)
    first, second = draw(), draw()
    gs.manual_seed(1)
    again = draw()
    gs.manual_seed(2)
    other = draw()
    for a, b, c, d in zip(first, second, again, other):
        assert np.array_equal(a.numpy(), c.numpy()), "the same seed gave other numbers"
        assert not np.array_equal(a.numpy(), b.numpy()), "the stream does not advance"
        assert not np.array_equal(a.numpy(), d.numpy()), "another seed gave the same numbers"


def test_seed_and_offset_name_a_stream():
    """A random fill depends on (seed, offset, position) alone, not on what was drawn before."""
    for name, args in (
        ("_uniform_", (0.0, 1.0)),
        ("_normal_", (0.0, 1.0)),
        ("_bernoulli_", (0.5,)),
        ("_random_integers_", (0, 100)),
    ):
        fill = getattr(_C, name)
        a = fill(gs.zeros(65), *args, seed=9, offset=4)
        gs.rand(3)
        b = fill(gs.zeros(65), *args, seed=9, offset=4)
        c = fill(gs.zeros(65), *args, seed=9, offset=5)
        longer = fill(gs.zeros(130), *args, seed=9, offset=4)
        assert np.array_equal(a.numpy(), b.numpy())
        assert not np.array_equal(a.numpy(), c.numpy())
        assert np.array_equal(a.numpy(), longer[:65].numpy()), (
            f"{name}: an element depends on the size of the tensor"
        )


def test_dropout_backward_uses_the_mask_of_forward():
    x = gs.randn(5001, requires_grad=True)
    y = F.dropout(x, 0.4)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy() != 0, y.detach().numpy() != 0)
