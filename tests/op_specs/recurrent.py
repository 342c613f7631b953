"""LSTM, GRU and plain RNN: cells and whole sequences, with torch's gate order."""

from __future__ import annotations

import numpy as np

from op_specs.spec import Sample, Spec, bad, integers, normal

WRONG = (ValueError, RuntimeError)
GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell(x, h, c, w_ih, w_hh, b_ih=None, b_hh=None):
    b_ih, b_hh = (0 if b is None else b for b in (b_ih, b_hh))
    i, f, g, o = np.split(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_cell(x, h, w_ih, w_hh, b_ih=None, b_hh=None):
    b_ih, b_hh = (0 if b is None else b for b in (b_ih, b_hh))
    xr, xz, xn = np.split(x @ w_ih.T + b_ih, 3, -1)
    hr, hz, hn = np.split(h @ w_hh.T + b_hh, 3, -1)
    z = sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h


def rnn_cell(x, h, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    b_ih, b_hh = (0 if b is None else b for b in (b_ih, b_hh))
    y = x @ w_ih.T + b_ih + h @ w_hh.T + b_hh
    return np.tanh(y) if nonlinearity == "tanh" else np.maximum(y, 0)


def sequence(cell, x, states, weights, has_biases, num_layers, bidirectional, batch_first):
    """cell(x, states, weights) -> states. Gives (output, h_n, ...)."""
    unbatched = x.ndim == 2
    if unbatched:
        x, states = x[:, None], [s[:, None] for s in states]
    elif batch_first:
        x = np.swapaxes(x, 0, 1)
    directions, per = (2 if bidirectional else 1), (4 if has_biases else 2)
    last = []
    for layer in range(num_layers):
        outputs = []
        for d in range(directions):
            k = layer * directions + d
            w = weights[k * per : (k + 1) * per]
            s = [state[k] for state in states]
            out = [None] * len(x)
            for t in range(len(x)) if d == 0 else reversed(range(len(x))):
                s = cell(x[t], s, w)
                out[t] = s[0]
            outputs.append(np.stack(out))
            last.append(s)
        x = np.concatenate(outputs, -1)
    final = [np.stack([s[i] for s in last]) for i in range(len(states))]
    if unbatched:
        return x[:, 0], *[f[:, 0] for f in final]
    return (np.swapaxes(x, 0, 1) if batch_first else x), *final


def lstm(x, h0, c0, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first):
    cell = lambda x, s, w: list(lstm_cell(x, *s, *w))
    return sequence(cell, x, [h0, c0], weights, has_biases, num_layers, bidirectional, batch_first)


def gru(x, h0, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first):
    cell = lambda x, s, w: [gru_cell(x, *s, *w)]
    return sequence(cell, x, [h0], weights, has_biases, num_layers, bidirectional, batch_first)


def rnn(
    x,
    h0,
    weights,
    nonlinearity,
    has_biases,
    num_layers,
    dropout,
    training,
    bidirectional,
    batch_first,
):
    def cell(x, s, w):
        b = w[2:] if len(w) == 4 else (None, None)
        return [rnn_cell(x, *s, *w[:2], *b, nonlinearity)]

    return sequence(cell, x, [h0], weights, has_biases, num_layers, bidirectional, batch_first)


def weights(kind, features, hidden, layers=1, directions=1, biases=True):
    g, rows = GATES[kind], []
    for layer in range(layers):
        for _ in range(directions):
            n = features if layer == 0 else hidden * directions
            rows += [0.5 * normal(g * hidden, n), 0.5 * normal(g * hidden, hidden)]
            if biases:
                rows += [0.5 * normal(g * hidden), 0.5 * normal(g * hidden)]
    return rows


def layer_sample(
    kind,
    steps,
    batch,
    features,
    hidden,
    layers=1,
    bidirectional=False,
    batch_first=False,
    biases=True,
    **kw,
):
    d = 2 if bidirectional else 1
    if batch is None:
        x, state = normal(steps, features), lambda: normal(layers * d, hidden)
    else:
        x = normal(batch, steps, features) if batch_first else normal(steps, batch, features)
        state = lambda: normal(layers * d, batch, hidden)
    states = [state(), state()] if kind == "lstm" else [state()]
    names = [kind] if kind in ("tanh", "relu") else []
    return Sample(
        x,
        *states,
        weights(kind, features, hidden, layers, d, biases),
        *names,
        biases,
        layers,
        0.0,
        True,
        bidirectional,
        batch_first,
        **kw,
    )


def layer_samples(kind):
    yield layer_sample(kind, 3, 2, 4, 3)
    yield layer_sample(kind, 1, 1, 1, 1)
    yield layer_sample(kind, 2, 2, 3, 2, layers=2)
    yield layer_sample(kind, 3, 2, 3, 2, bidirectional=True)
    yield layer_sample(kind, 2, 2, 3, 2, layers=2, bidirectional=True, batch_first=True)
    yield layer_sample(kind, 3, 2, 4, 3, biases=False)
    for hidden in (7, 15, 17, 33):
        yield layer_sample(kind, 4, 3, 5, hidden, grad=False)
    yield layer_sample(kind, 5, 9, 7, 16, bidirectional=True, grad=False)
    # Around the batch from which a step multiplies its own input, and the rows of a block.
    for batch, features, hidden in ((7, 1, 18), (8, 1, 18), (8, 33, 5), (17, 6, 20)):
        yield layer_sample(kind, 3, batch, features, hidden, grad=False)
    yield layer_sample(
        kind, 3, 10, 5, 6, layers=2, bidirectional=True, batch_first=True, grad=False
    )
    yield layer_sample(kind, 2, 8, 2, 2, bidirectional=True)


def cell_args(kind, batch, features, hidden):
    states = [normal(batch, hidden) for _ in range(2 if kind == "lstm" else 1)]
    return [normal(batch, features), *states, *weights(kind, features, hidden)]


def cell_samples(kind, *rest):
    rows = [
        Sample(*cell_args(kind, 3, 4, 2), *rest),
        Sample(*cell_args(kind, 1, 1, 1), *rest),
        Sample(*cell_args(kind, 2, 3, 2)[:-2], None, None, *rest),
    ]
    return rows + [
        Sample(*cell_args(kind, 3, 5, n), *rest, grad=False) for n in (7, 15, 17, 31, 33)
    ]


def wrong(kind, position, value, *rest, **kw):
    args = [*cell_args(kind, 3, 4, 2), *rest]
    args[position] = value
    return bad((*WRONG, TypeError), "", *args, **kw)


def wrong_layer(kind, change, **kw):
    s = layer_sample(kind, 3, 2, 4, 3)
    args = list(s.args)
    change(args)
    return bad((*WRONG, TypeError), "", *args, **kw)


def put(position, value):
    def change(args):
        args[position] = value

    return change


def layer_errors(kind):
    w = 3 if kind == "lstm" else 2
    tail = w + 1 + (kind in ("tanh", "relu"))
    return (
        wrong_layer(kind, put(0, normal(3, 2, 5))),
        wrong_layer(kind, put(0, normal(3))),
        wrong_layer(kind, put(1, normal(1, 3, 3))),
        wrong_layer(kind, put(1, normal(2, 2, 3))),
        wrong_layer(kind, put(w, [])),
        wrong_layer(kind, put(w, [normal(3, 3)] * 4)),
        wrong_layer(kind, put(w, [None] * 4)),
        wrong_layer(kind, put(tail + 1, 0)),
        wrong_layer(kind, put(tail + 1, 2**40)),
        wrong_layer(kind, put(tail + 2, 1.5)),
        wrong_layer(kind, put(0, integers(0, 3, 3, 2, 4))),
        wrong_layer(kind, put(tail + 1, -1)),
    )


def cell_errors(kind):
    return (
        wrong(kind, 0, normal(3, 5)),
        wrong(kind, 1, normal(2, 2)),
        wrong(kind, -1, normal(3)),
        wrong(kind, -3, normal(3, 3)),
        wrong(kind, 0, normal(4)),
        wrong(kind, 1, normal(3, 3)),
    )


# Errors of a step feed the next: a bound for five steps of up to 33 sums.
ROWS_BOUND = {"bound": 200.0, "differentiable": True}
ROWS = [
    Spec("_lstm", lstm, lambda: layer_samples("lstm"), errors=layer_errors("lstm"), **ROWS_BOUND),
    Spec("_gru", gru, lambda: layer_samples("gru"), errors=layer_errors("gru"), **ROWS_BOUND),
    Spec(
        "_rnn",
        rnn,
        lambda: [*layer_samples("tanh"), *list(layer_samples("relu"))[:5]],
        errors=(*layer_errors("tanh"), wrong_layer("tanh", put(3, "sine"))),
        **ROWS_BOUND,
    ),
    Spec(
        "_lstm_cell",
        lstm_cell,
        lambda: cell_samples("lstm"),
        errors=cell_errors("lstm"),
        **ROWS_BOUND,
    ),
    Spec(
        "_gru_cell", gru_cell, lambda: cell_samples("gru"), errors=cell_errors("gru"), **ROWS_BOUND
    ),
    Spec(
        "_rnn_cell",
        rnn_cell,
        lambda: [*cell_samples("tanh"), *cell_samples("relu", "relu")],
        errors=(
            *cell_errors("tanh"),
            bad(ValueError, "nonlinearity", *cell_args("tanh", 3, 4, 2), "sine"),
        ),
        **ROWS_BOUND,
    ),
]
