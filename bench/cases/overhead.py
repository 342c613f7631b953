"""What a call costs when there is next to nothing to compute."""

from . import Case, training


def add_small(T):
    x, y = T.ones(2, 2), T.ones(2, 2)
    return lambda: x + y


def chain(T):
    x, y = T.ones(2, 2), T.ones(2, 2)
    x.requires_grad_()

    def forward():
        z = x
        for _ in range(5):
            z = z * y
            z = z + y
        return z

    return training(forward, [x])


def linear(train):
    def make(T):
        layer, x = T.nn.Linear(8, 8), T.randn(8, 8)
        if not train:
            return lambda: layer(x)
        return training(lambda: layer(x), list(layer.parameters()))

    return make


def adam(fused):
    def make(T):
        parameters = [T.nn.Parameter(T.randn(8, 8)) for _ in range(10)]
        for p in parameters:
            p.grad = T.randn(8, 8)
        options = {"fused": True} if fused and T.__name__ == "torch" else {}
        optimizer = T.optim.Adam(parameters, **options)
        return optimizer.step

    return make


def item(T):
    x = T.ones(1)
    return lambda: x.item()


def index(T):
    x = T.ones(8, 8)
    return lambda: x[2, 3]


def loader(workers):
    def make(T):
        data = T.utils.data.TensorDataset(T.zeros(60_000, 28, 28), T.zeros(60_000, dtype=T.int64))
        batches = T.utils.data.DataLoader(data, batch_size=32, shuffle=True, num_workers=workers)

        def run():
            for _ in batches:
                pass

        return run

    return make


CASES = [
    Case("overhead/add-2x2", add_small, threads=(1,)),
    Case("overhead/chain-10", chain, threads=(1,)),
    Case("overhead/linear-8x8", linear(False), threads=(1,)),
    Case("overhead/linear-8x8/train", linear(True), threads=(1,)),
    Case("overhead/adam-10", adam(False), threads=(1,)),
    Case("overhead/adam-10-fused", adam(True), threads=(1,)),
    Case("overhead/item", item, threads=(1,)),
    Case("overhead/index", index, threads=(1,)),
    Case("dataloader/60000x28x28-32", loader(0), samples=60_000, threads=(1,)),
    Case("dataloader/60000x28x28-32-workers2", loader(2), samples=60_000, threads=(1,)),
]
