"""LSTM: a whole sequence beside cuDNN's, and a loop over cells."""

from __future__ import annotations

from typing import Any

from libraries import Library
from rows import Class, Row

# steps, batch, inputs, hidden, layers, dtype
SEQUENCES = [(128, 1, 256, 512, 1, "float32"), (128, 16, 256, 512, 1, "float32"),
             (128, 64, 512, 1024, 1, "bfloat16"), (64, 128, 512, 1024, 2, "bfloat16")]  # fmt: skip
LOOPS = [(100, 32, 256, 256, "float32"), (100, 1, 256, 512, "float32")]


def sequence(shape, train: bool):
    def make(lib: Library) -> list[Any]:
        steps, batch, inputs, hidden, layers, dtype = shape
        lib.float32_products("exact")
        lstm = lib.T.nn.LSTM(inputs, hidden, layers).to(lib.device).to(lib.dtype(dtype))
        if lib.is_torch and lib.device == "cuda":
            lstm.flatten_parameters()

        def one() -> Any:
            x = lib.randn(steps, batch, inputs, dtype=dtype, grad=train)

            def forward() -> Any:
                with lib.T.no_grad():
                    return lstm(x)[0]

            g = lib.randn(steps, batch, hidden, dtype=dtype)

            def step() -> Any:
                for leaf in (x, *lstm.parameters()):
                    leaf.grad = None
                y = lstm(x)[0]
                y.backward(g)
                return y

            return step if train else forward

        return [one() for _ in range(2)]

    return make


def loop(shape, graphed: bool):
    """The cell called for every step of the sequence."""

    def make(lib: Library) -> list[Any]:
        steps, batch, inputs, hidden, dtype = shape
        cell = lib.T.nn.LSTMCell(inputs, hidden).to(lib.device).to(lib.dtype(dtype))
        x = lib.randn(steps, batch, inputs, dtype=dtype)
        h, c = (lib.randn(batch, hidden, dtype=dtype) for _ in range(2))
        parts = [x[i] for i in range(steps)]

        def run() -> Any:
            with lib.T.no_grad():
                state = h, c
                for part in parts:
                    state = cell(part, state)
                return state[0]

        return lib.graphed(run) if graphed else run

    return make


def classes(tiny: bool) -> list[Class]:
    sequences = [(3, 2, 8, 8, 1, "float32"), (3, 2, 8, 8, 2, "bfloat16")] if tiny else SEQUENCES
    loops = [(3, 2, 8, 8, "float32")] if tiny else LOOPS

    def sequence_row(shape, train: bool) -> Row:
        t, b, i, h, layers, dtype = shape
        goal = 1.0 if b <= 16 else 0.85
        flops = 8.0 * t * b * h * (i + h + (layers - 1) * 2 * h) * (3 if train else 1)
        name = f"{dtype} {t}x{b}x{i} hidden {h}x{layers}" + (" training" if train else "")
        make = sequence(shape, train)
        return Row(name, {"": make}, {"nn.LSTM": make}, [("", "nn.LSTM", goal)], flops,
                   device=not train, quick=shape == sequences[1])  # fmt: skip

    def loop_row(shape) -> Row:
        t, b, i, h, dtype = shape
        ways = {"eager": loop(shape, False), "graph": loop(shape, True)}
        pairs = [("graph", "eager", 15.0), ("eager", "eager", None), ("graph", "graph", None)]
        return Row(f"{dtype} {t} steps, {b}x{i} hidden {h}", ways, ways, pairs, device=False,
                   flops=8.0 * t * b * h * (i + h), quick=shape == loops[0])  # fmt: skip

    return [
        Class("lstm", "LSTM, whole sequence, against nn.LSTM (cuDNN)", "persistent kernels",
              [sequence_row(s, train) for s in sequences for train in (False, True)]),
        Class("lstm-loop", "LSTM, a loop over cells", "four launches and 40 us a step",
              [loop_row(s) for s in loops]),
    ]  # fmt: skip
