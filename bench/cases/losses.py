"""Losses."""

from . import both, on_input, training


def cross_entropy(n, classes):
    def of(train):
        def make(T):
            x, t = T.randn(n, classes), T.randint(0, classes, (n,))
            if not train:
                return lambda: T.nn.functional.cross_entropy(x, t)
            x.requires_grad_()
            return training(lambda: T.nn.functional.cross_entropy(x, t), [x])

        return make

    return both(f"cross_entropy/{n}x{classes}", of, nbytes=4.0 * n * classes)


CASES = [
    *cross_entropy(4096, 1000),
    *cross_entropy(2048, 65),
    *cross_entropy(32, 10),
    *both(
        "mse_loss/1e6",
        lambda train: on_input(
            (1_000_000,), lambda T, x: T.nn.functional.mse_loss(x, x.detach()), train
        ),
        nbytes=8e6,
    ),
]
