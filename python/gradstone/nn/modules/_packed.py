"""Recurrent layers over packed sequences: stretches of steps that the same number of sequences
reach, each in one native call."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn import functional as F

if TYPE_CHECKING:
    from gradstone.nn.modules.rnn import RNNBase

Stretch = tuple[int, int, int]  # first row in the data, steps, sequences


def _stretches(batch_sizes: Tensor) -> list[Stretch]:
    out, row = [], 0
    for count, same in groupby(batch_sizes.tolist()):
        steps = len(list(same))
        out.append((row, steps, count))
        row += steps * count
    return out


def run_packed(
    rnn: RNNBase, data: Tensor, batch_sizes: Tensor, starts: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """data (sum of lengths, I) and states (layers * directions, N, H), longest sequence first, to
    the output (sum of lengths, directions * H) and the states after each sequence's last step."""
    stretches = _stretches(batch_sizes)
    directions = 1 + rnn.bidirectional
    finals: list[list[Tensor]] = [[] for _ in starts]
    for layer in range(rnn.num_layers):
        if layer and rnn.dropout:
            data = F.dropout(data, rnn.dropout, rnn.training)
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            run = _backward if direction else _forward
            output, ends = run(rnn, k, data, stretches, [s[k] for s in starts])
            outputs.append(output)
            for final, end in zip(finals, ends):
                final.append(end)
        data = outputs[0] if directions == 1 else _C.cat(outputs, 1)
    return data, [_C.stack(final, 0) for final in finals]


def _run(
    rnn: RNNBase, k: int, data: Tensor, stretch: Stretch, states: list[Tensor], reverse: bool
) -> tuple[Tensor, list[Tensor]]:
    """One stretch through layer and direction k: the output's rows and the states (n, H) behind."""
    row, steps, count = stretch
    x = _C.narrow(data, 0, row, steps * count).reshape(steps, count, data.size(1))
    one = (rnn.bias, 1, 0.0, False, False, False)  # a single layer, forward, not batch first
    before = [s.unsqueeze(0) for s in states]
    output, *after = rnn._native(x.flip(0) if reverse else x, before, list(rnn.all_weights[k]), one)
    output = output.flip(0) if reverse else output
    return output.reshape(steps * count, output.size(2)), [s.squeeze(0) for s in after]


def _forward(
    rnn: RNNBase, k: int, data: Tensor, stretches: list[Stretch], states: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Sequences that end leave with their states."""
    outputs, ended = [], []
    for stretch in stretches:
        count = stretch[2]
        ended.append([s[count:] for s in states])
        output, states = _run(rnn, k, data, stretch, [s[:count] for s in states], False)
        outputs.append(output)
    ended.append(states)
    return _C.cat(outputs, 0), [_C.cat(list(parts), 0) for parts in zip(*reversed(ended))]


def _backward(
    rnn: RNNBase, k: int, data: Tensor, stretches: list[Stretch], starts: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Sequences join with their states where, seen from behind, they begin."""
    outputs: list[Tensor] = []
    states = [s[:0] for s in starts]
    for stretch in reversed(stretches):
        joined = [_C.cat([s, new[s.size(0) : stretch[2]]], 0) for s, new in zip(states, starts)]
        output, states = _run(rnn, k, data, stretch, joined, True)
        outputs.insert(0, output)
    return _C.cat(outputs, 0), states
