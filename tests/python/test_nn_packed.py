"""Sequences of different lengths: padding, packing, and recurrent layers over packed ones."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn
from gradstone.nn.utils import rnn as R


def steps(*lengths, features=3):
    chance = np.random.default_rng(len(lengths))
    return [gs.tensor(chance.standard_normal((n, features))) for n in lengths]


def test_pad_and_unpad():
    a, b = gs.tensor([1, 2]), gs.tensor([3])
    assert R.pad_sequence([a, b], batch_first=True, padding_value=9).tolist() == [[1, 2], [3, 9]]
    assert R.pad_sequence([a, b], padding_side="left").tolist() == [[1, 0], [2, 3]]
    padded = R.pad_sequence(steps(2, 4, 1))
    assert padded.shape == (4, 3, 3)
    for got, want in zip(R.unpad_sequence(padded, [2, 4, 1]), steps(2, 4, 1)):
        assert gs.equal(got, want)
    for bad, text in (
        ([], "one or more tensors"),
        ([gs.ones(())], r"got \[\(\)\]"),
        ([gs.ones(2, 1), gs.ones(2, 2)], "one shape behind"),
    ):
        with pytest.raises((RuntimeError, ValueError), match=text):
            R.pad_sequence(bad)
    with pytest.raises(ValueError, match="padding_side"):
        R.pad_sequence([a], padding_side="up")


def test_pack_and_pad_again():
    padded = gs.tensor([[1, 2, 3], [4, 0, 0], [5, 6, 0]])
    packed = R.pack_padded_sequence(padded, [3, 1, 2], batch_first=True, enforce_sorted=False)
    assert packed.data.tolist() == [1, 5, 4, 2, 6, 3]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [0, 2, 1]
    assert packed.unsorted_indices.tolist() == R.invert_permutation(packed[2]).tolist()
    back, lengths = R.pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    assert back.tolist() == [[1, 2, 3], [4, -1, -1], [5, 6, -1]]
    assert lengths.tolist() == [3, 1, 2]
    longer, _ = R.pad_packed_sequence(packed, total_length=5)
    assert longer.shape == (5, 3) and longer[3:].tolist() == [[0, 0, 0]] * 2
    assert pickle.loads(pickle.dumps(packed)).data.tolist() == packed.data.tolist()
    assert packed.to(gs.float64).data.dtype == gs.float64
    for got, want in zip(R.unpack_sequence(R.pack_sequence(steps(4, 2))), steps(4, 2)):
        assert gs.equal(got, want)


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ([1, 2], "do not increase, got"),
        ([2, 0], "from 1 to 2"),
        ([3, 1], "from 1 to 2"),
        ([2.5, 1], "whole lengths"),
        ([2], "2 lengths, one for each"),
    ],
)
def test_lengths_that_do_not_fit(lengths, text):
    with pytest.raises(RuntimeError, match=text):
        R.pack_padded_sequence(gs.ones(2, 2, 1), lengths)


def test_sizes_that_do_not_fit():
    with pytest.raises(RuntimeError, match="at least one sequence"):
        R.pack_padded_sequence(gs.ones(0, 2, 1), [0, 0])
    packed = R.pack_sequence(steps(3, 2))
    with pytest.raises(ValueError, match="total_length of 3 or more"):
        R.pad_packed_sequence(packed, total_length=2)
    with pytest.raises(ValueError, match=r"packed steps of 5 features, got data of shape \(5, 3\)"):
        nn.GRU(5, 2)(packed)
    with pytest.raises(ValueError, match=r"expected hx of shape \(1, 2, 4\), got \(1, 3, 4\)"):
        nn.GRU(3, 4).double()(packed, gs.zeros(1, 3, 4, dtype=gs.float64))


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_is_each_sequence_by_itself(kind, bidirectional):
    """Outputs, last states and gradients, for sequences in any order."""
    gs.manual_seed(0)
    layer = kind(3, 4, num_layers=2, bidirectional=bidirectional).double()
    parts = steps(2, 5, 1, 5)
    start = gs.randn(2 * (1 + bidirectional), 4, 4, dtype=gs.float64)
    lstm = kind is nn.LSTM

    def run(input, state):
        output, after = layer(input, (state, state * 2) if lstm else state)
        return output, gs.cat(after, -1) if lstm else after

    want = [run(part, start[:, i]) for i, part in enumerate(parts)]
    loss = sum((y**2).sum() + (s**3).sum() for y, s in want)
    expected = gs.autograd.grad(loss, list(layer.parameters()))
    output, state = run(R.pack_sequence(parts, enforce_sorted=False), start)
    for (y, s), got, after in zip(want, R.unpack_sequence(output), state.unbind(1)):
        assert gs.allclose(got, y) and gs.allclose(after, s)
    loss = (output.data**2).sum() + (state**3).sum()
    for got, wanted in zip(gs.autograd.grad(loss, list(layer.parameters())), expected):
        assert gs.allclose(got, wanted)


def test_packed_with_dropout_between_layers():
    layer = nn.GRU(3, 4, num_layers=2, dropout=1.0)
    packed = R.pack_sequence([x.float() for x in steps(3, 2)])
    by_itself = nn.GRU(4, 4)
    by_itself.load_state_dict(
        {k.replace("l1", "l0"): v for k, v in layer.state_dict().items() if "l1" in k}
    )
    silent = packed._replace(data=gs.zeros(5, 4))
    assert gs.allclose(layer(packed)[0].data, by_itself(silent)[0].data)
    assert not gs.allclose(layer.eval()(packed)[0].data, by_itself(silent)[0].data)
