"""LSTM, GRU and plain RNN over whole sequences."""

from . import both, of_module

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def sequence(kind, steps, batch, inputs, hidden, layers):
    sizes = [inputs] + [hidden] * (layers - 1)
    flops = sum(2.0 * steps * batch * GATES[kind] * hidden * (size + hidden) for size in sizes)

    def of(train):
        return of_module(
            lambda T: getattr(T.nn, kind)(inputs, hidden, layers), (steps, batch, inputs), train
        )

    return both(f"{kind.lower()}/{steps}x{batch}x{inputs}x{hidden}x{layers}", of, flops)


CASES = [
    *sequence("LSTM", 100, 32, 128, 256, 2),
    *sequence("LSTM", 50, 64, 64, 128, 1),
    *sequence("LSTM", 100, 1, 128, 256, 1),
    *sequence("GRU", 100, 32, 128, 256, 2),
    *sequence("RNN", 100, 32, 128, 256, 1),
]
