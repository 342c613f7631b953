"""Padding, lengths, and generation by the models of sequences."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import models
from gradstone.models._next_token import choose
from models_pins.ours import arguments, build


@pytest.mark.parametrize(
    "name", ["lstm", "encoder_post", "encoder_pre", "seq2seq", "transformer_pre"]
)
def test_padding_has_no_influence(name):
    model = build(name).eval()
    tokens = gs.tensor([[3, 5, 2], [4, 1, 7]])
    longer = gs.cat([tokens, gs.zeros(2, 2, dtype=gs.int64)], 1)
    rest = (gs.tensor([[1, 2], [3, 4]]),) if name in ("seq2seq", "transformer_pre") else ()
    short, long = model(tokens, *rest), model(longer, *rest)
    if isinstance(short, tuple):
        assert (long[1][:, :, 3:] == 0).all()
        assert gs.allclose(long[1][:, :, :3], short[1], atol=1e-6)
        short, long = short[0], long[0]
    if name == "encoder_post":
        long = long[:, :3]
    assert gs.allclose(short, long, atol=1e-5)


def test_lengths_equal_sequences_one_by_one():
    model = build("gru")
    x, lengths = gs.randn(3, 7, 6), [7, 3, 1]
    together = model(x, gs.tensor(lengths))
    for i, length in enumerate(lengths):
        assert gs.allclose(model(x[i : i + 1, :length]), together[i : i + 1], atol=1e-6)
    with pytest.raises(ValueError, match="lengths from 1 to 7, got 0 to 3"):
        model(x, gs.tensor([0, 3, 1]))
    with pytest.raises(ValueError, match=r"lengths of shape \(3,\)"):
        model(x, gs.tensor([2, 3]))


@pytest.fixture
def gpt2():
    gs.manual_seed(3)
    config = models.GPT2Config(11, 8, 12, 2, 3)
    model = models.GPT2(config)
    for p in model.parameters():  # larger weights: a clear preference
        if p.dim() == 2:
            p.detach().mul_(10)
    return model


def test_generation_with_and_without_the_cache(gpt2):
    prompt = gs.tensor([[1, 2, 3], [4, 5, 6]])
    outs = []
    for use_cache in (True, False):
        gs.manual_seed(1)
        outs.append(gpt2.generate(prompt, 12, top_k=5, use_cache=use_cache))
    assert outs[0].shape == (2, 15)  # beyond the 8 positions
    assert gs.equal(*outs)
    assert gs.equal(outs[0][:, :3], prompt)
    assert gpt2.training, "the mode is put back"
    assert len(set(outs[0][0, 3:].tolist())) > 1


def test_greedy_generation_is_the_argmax_of_forward(gpt2):
    out = gpt2.generate(gs.tensor([[1, 2]]), 6, temperature=0)
    gpt2.eval()
    for t in range(2, 8):
        assert out[0, t] == gpt2(out[:, :t])[0, -1].argmax()
    assert gs.equal(gpt2.generate(gs.tensor([[1, 2]]), 6, top_k=1), out)


def test_generation_ends(gpt2):
    first = gpt2.generate(gs.tensor([[1, 2]]), 4, temperature=0)[0, 2].item()
    out = gpt2.generate(gs.tensor([[1, 2]]), 4, temperature=0, eos_token=first)
    assert out.tolist() == [[1, 2, first]]
    two = gpt2.generate(gs.tensor([[1, 2], [3, 4]]), 4, temperature=0, eos_token=first)
    assert (two[0, 2:] == first).all()


def test_what_is_kept_of_the_logits():
    from gradstone.models._next_token import choose, restrict

    p = np.array([[0.1, 0.4, 0.2, 0.3], [0.85, 0.05, 0.06, 0.04]])
    logits = gs.tensor(np.log(p))

    def kept(**options):
        return [np.flatnonzero(row).tolist() for row in np.isfinite(restrict(logits, **options))]

    assert kept(top_k=2) == [[1, 3], [0, 2]]
    assert kept(top_p=0.65) == [[1, 3], [0]]
    assert kept(top_p=0.75) == [[1, 2, 3], [0]]
    assert kept(top_k=3, top_p=0.9) == [[1, 2, 3], [0, 2]]
    assert kept(top_p=1.0) == kept(top_k=9) == [[0, 1, 2, 3]] * 2
    many = logits[:1].repeat(20_000, 1)
    share = np.bincount(choose(many, temperature=0.5, top_k=3).numpy(), minlength=4) / 20_000
    want = np.array([0, 0.16, 0.04, 0.09]) / 0.29
    np.testing.assert_allclose(share, want, atol=0.015)


def test_sequences_are_translated_greedily():
    for name in ("seq2seq", "transformer_post"):
        model = build(name).eval()
        src = gs.tensor([[3, 5, 2], [4, 1, 0]])
        out = model.generate(src, start=1, end=2, max_new_tokens=4)
        if name == "seq2seq":
            out, alignments = out
            assert alignments.shape == (2, out.size(1), 3)
            assert gs.allclose(alignments.sum(2), gs.ones(2, out.size(1)), atol=1e-6)
            out = gs.cat([gs.ones(2, 1, dtype=gs.int64), out], 1)
        logits = model(src, out[:, :-1])
        logits = logits[0] if isinstance(logits, tuple) else logits
        for row, best in zip(out.tolist(), logits.argmax(2).tolist(), strict=True):
            for t, token in enumerate(best, 1):
                assert row[t] == token
                if token in (0, 2):  # the end; or padding, which the whole run would leave out
                    break


def test_a_temperature_near_0_is_the_most_likely():
    logits = gs.tensor([[1.0, 5.0, 4.0], [-3e38, -2.9e38, 3e38]])
    for temperature in (1e-3, 1e-30, 1e-44):
        assert choose(logits, temperature).tolist() == [1, 2]


@pytest.mark.parametrize(
    "name",
    ["lstm", "gru", "seq2seq", "encoder_pre", "decoder_post", "transformer_pre", "gpt2", "bert"],
)
def test_no_sequence_at_all(name):
    outputs = build(name).double()(*(x if x is None else x[:0] for x in arguments(name)))
    for output in outputs if isinstance(outputs, tuple) else (outputs,):
        assert output is None or output.size(0) == 0


def test_attention_over_no_sequence():
    layer = gs.nn.MultiheadAttention(8, 2, batch_first=True)
    x = gs.zeros(0, 3, 8)
    for need in (True, False):
        out, weights = layer(x, x, x, need_weights=need)
        assert out.shape == (0, 3, 8)
        assert weights is None or weights.shape == (0, 3, 3)


def test_generation_leaves_each_modules_mode(gpt2):
    gpt2.train()
    gpt2.h[0].eval()
    modes = [module.training for module in gpt2.modules()]
    gpt2.generate(gs.tensor([[1, 2]]), 2)
    assert [module.training for module in gpt2.modules()] == modes
