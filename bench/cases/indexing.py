"""Gathering and scattering rows and elements."""

from . import Case, training


def embedding(T):
    table, index = T.randn(50_000, 256), T.randint(0, 50_000, (32, 128))
    table.requires_grad_()
    return training(lambda: T.nn.functional.embedding(index, table), [table])


def embedding_forward(T):
    table, index = T.randn(50_000, 256), T.randint(0, 50_000, (32, 128))
    return lambda: T.nn.functional.embedding(index, table)


def gather(T):
    x, index = T.randn(4096, 1000), T.randint(0, 1000, (4096, 100))
    return lambda: x.gather(1, index)


def gather_rows(T):
    x, index = T.randn(1000, 4096), T.randint(0, 1000, (100, 4096))
    return lambda: x.gather(0, index)


def pick_one(T):
    x, index = T.randn(16384, 1000), T.randint(0, 1000, (16384, 1))
    return lambda: x.gather(1, index)


def index_select(dim):
    def make(T):
        x, index = T.randn(4096, 1000), T.randint(0, 1000, (256,))
        return lambda: x.index_select(dim, index)

    return make


def nonzero(T):
    chosen = T.randn(1000, 1000) > 0
    return lambda: chosen.nonzero()


def scatter_add(T):
    x, index, source = T.zeros(4096, 1000), T.randint(0, 1000, (4096, 100)), T.randn(4096, 100)
    return lambda: x.scatter_add(1, index, source)


def mask(T):
    x = T.randn(1000, 1000)
    chosen = x > 0
    return lambda: x[chosen]


def rows(T):
    x, index = T.randn(10_000, 128), T.randint(0, 10_000, (1024,))
    return lambda: x[index]


CASES = [
    Case("embedding/50000x256-32x128", embedding_forward, bytes=8.0 * 4096 * 256),
    Case("embedding/50000x256-32x128/train", embedding),
    Case("gather/4096x1000-100", gather),
    Case("gather/1000x4096-100-0", gather_rows),
    Case("gather/16384x1000-1", pick_one),
    Case("index_select/4096x1000-256-0", index_select(0)),
    Case("index_select/4096x1000-256-1", index_select(1)),
    Case("nonzero/1000x1000", nonzero),
    Case("scatter_add/4096x1000-100", scatter_add),
    Case("mask/1000x1000", mask),
    Case("rows/10000x128-1024", rows, bytes=8.0 * 1024 * 128),
]
