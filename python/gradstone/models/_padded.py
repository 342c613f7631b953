"""Recurrent layers over sequences of different lengths in one padded batch: what PyTorch's packed
sequences compute, without repacking."""

from __future__ import annotations

from gradstone import _C, nn
from gradstone._C import Tensor
from gradstone._creation import arange
from gradstone._functions import where
from gradstone.models._inputs import check_shape
from gradstone.nn import functional as F


def check_lengths(op: str, lengths: Tensor, batch: int, longest: int) -> None:
    """(N) integers from 1 to the padded length."""
    check_shape(op, "lengths", lengths, (batch,))
    if batch == 0:
        return
    low, high = int(lengths.min().item()), int(lengths.max().item())
    if lengths.dtype.is_floating_point or low < 1 or high > longest:
        raise ValueError(
            f"[{op}] expected integer lengths from 1 to {longest}, got {low} to {high} "
            f"({lengths.dtype})."
        )


def reverse_each(x: Tensor, lengths: Tensor) -> Tensor:
    """The first lengths[n] steps of each sequence of x (N, T, F) in reverse, the padding as it
    is."""
    steps = arange(x.size(1), device=x.device).unsqueeze(0)
    ends = lengths.long().unsqueeze(1)
    order = where(steps < ends, ends - 1 - steps, steps)
    return _C.gather(x, 1, order.unsqueeze(2).expand(*x.shape))


def last_steps(x: Tensor, lengths: Tensor) -> Tensor:
    """x[n, lengths[n] - 1] for every n: (N, T, F) to (N, F)."""
    index = (lengths.long() - 1).reshape(-1, 1, 1).expand(-1, 1, x.size(2))
    return _C.gather(x, 1, index).squeeze(1)


def run_padded(
    rnn: nn.LSTM | nn.GRU, x: Tensor, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output (N, T, directions * H) and the last layer's final h of every direction, side by side
    (N, directions * H).

    x (N, T, I), `rnn` with batch_first. With lengths, the backward direction of each sequence
    starts at its last step and not at the padding, and h is the one after that sequence's last
    step; what the output holds at padded steps means nothing.
    """
    if lengths is None:
        output, state = rnn(x)
        h = state[0] if isinstance(state, tuple) else state
        directions = 1 + rnn.bidirectional
        return output, _C.cat(list(h[-directions:].unbind(0)), 1)
    one = (rnn.bias, 1, 0.0, False, False, True)  # a single layer, forward, batch first
    zeros = _C._full((1, x.size(0), rnn.hidden_size), 0, x.dtype, x.device)
    finals: list[Tensor] = []
    for layer in range(rnn.num_layers):
        if layer and rnn.dropout:
            x = F.dropout(x, rnn.dropout, rnn.training)
        outputs, finals = [], []
        for direction in range(1 + rnn.bidirectional):
            weights = rnn.all_weights[layer * (1 + rnn.bidirectional) + direction]
            steps = reverse_each(x, lengths) if direction else x
            if isinstance(rnn, nn.LSTM):
                out = _C._lstm(steps, zeros, zeros, weights, *one)[0]
            else:
                out = _C._gru(steps, zeros, weights, *one)[0]
            finals.append(last_steps(out, lengths))
            outputs.append(reverse_each(out, lengths) if direction else out)
        x = outputs[0] if len(outputs) == 1 else _C.cat(outputs, 2)
    return x, finals[0] if len(finals) == 1 else _C.cat(finals, 1)
