"""Layers against their formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn


def randn(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def test_linear_and_bilinear():
    layer, x = nn.Linear(3, 4).double(), randn(2, 5, 3)
    want = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(gs.tensor(x)).detach().numpy(), want, rtol=1e-12)
    both, y = nn.Bilinear(3, 2, 4).double(), randn(2, 5, 2)
    want = np.einsum("abi,oij,abj->abo", x, both.weight.detach().numpy(), y)
    got = both(gs.tensor(x), gs.tensor(y)) - both.bias
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-10)


def test_sequential_without_gradients():
    """Convolution or linear layer, relu and pooling in a row are one operation then, unless
    somebody watches."""
    gs.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 3, padding="same"), nn.ReLU(inplace=True), nn.MaxPool2d(2, 1),
        nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(4, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 70), nn.ReLU(),
        nn.Linear(70, 2),
    )  # fmt: skip
    x = gs.tensor(randn(9, 2, 10, 10).astype(np.float32))
    want = net(x)
    with gs.no_grad():
        assert gs.allclose(net(x), want)
        assert gs.allclose(net(x[:1]), want[:1], rtol=1e-4)
        seen = []
        for module in net:
            module.register_forward_hook(lambda module, args, y: seen.append(type(module)))
        assert gs.allclose(net(x), want)
    assert seen == [type(module) for module in net]


def test_sequential_calls_what_replaces_forward():
    class Loud(nn.ReLU):
        def forward(self, input):
            return super().forward(input) + 1

    conv, x = nn.Conv2d(1, 2, 3), gs.tensor(randn(5, 1, 6, 6).astype(np.float32))
    relu = nn.ReLU()
    relu.forward = lambda input: input * 0
    with gs.no_grad():
        y = conv(x)
        assert gs.equal(nn.Sequential(conv, Loud())(x), y.relu() + 1)
        assert gs.equal(nn.Sequential(conv, relu)(x), y * 0)
        linear = nn.Linear(6, 4)
        y = linear(x)
        assert gs.equal(nn.Sequential(linear, Loud())(x), y.relu() + 1)
        assert gs.equal(nn.Sequential(linear, relu)(x), y * 0)
        linear.forward = lambda input: input - 1
        assert gs.equal(nn.Sequential(linear, nn.ReLU())(x), (x - 1).relu())
        assert gs.equal(nn.Sequential(linear)(x), x - 1)


def test_conv_padding_words_and_modes():
    x = gs.tensor(randn(1, 2, 6, 5))
    same = nn.Conv2d(2, 3, (3, 2), padding="same", dilation=(1, 2)).double()
    assert same(x).shape == (1, 3, 6, 5)
    valid = nn.Conv2d(2, 3, 3, padding="valid").double()
    assert valid(x).shape == (1, 3, 4, 3)
    around = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular").double()
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="wrap")
    want = nn.functional.conv2d(gs.tensor(padded), around.weight, around.bias)
    assert gs.allclose(around(x), want)
    with pytest.raises(ValueError, match="strided"):
        nn.Conv2d(2, 3, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match="divisible by groups"):
        nn.Conv2d(3, 4, 3, groups=2)


def test_conv_transpose_sizes():
    up = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1)
    x = gs.randn(1, 3, 4, 4)
    assert up(x).shape == (1, 2, 7, 7)
    assert up(x, output_size=(8, 8)).shape == (1, 2, 8, 8)
    with pytest.raises(ValueError, match="requested an output size"):
        up(x, output_size=(9, 9))


def test_batch_norm_statistics():
    x = randn(8, 3, 2, 2)
    layer = nn.BatchNorm2d(3).double()
    out = layer(gs.tensor(x)).detach().numpy()
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    shape = (1, 3, 1, 1)
    want = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-5)
    np.testing.assert_allclose(out, want, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * mean)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * x.var((0, 2, 3), ddof=1))
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    before = layer.running_mean.clone()
    layer(gs.tensor(x))
    assert gs.equal(layer.running_mean, before)
    average = nn.BatchNorm1d(3, momentum=None).double()
    average(gs.tensor(x[:, :, 0, 0]))
    average(gs.tensor(x[:, :, 1, 1]))
    both = (x[:, :, 0, 0].mean(0) + x[:, :, 1, 1].mean(0)) / 2
    np.testing.assert_allclose(average.running_mean.numpy(), both)
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.BatchNorm2d(3)(gs.zeros(2, 3))


def test_lstm_against_its_cell():
    gs.manual_seed(0)
    lstm = nn.LSTM(3, 4, batch_first=True)
    cell = nn.LSTMCell(3, 4)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in lstm.state_dict().items()})
    x = gs.randn(2, 5, 3)
    out, (h, c) = lstm(x)
    state = None
    for t in range(5):
        state = cell(x[:, t], state)
        assert gs.allclose(out[:, t], state[0], atol=1e-6)
    assert gs.allclose(h[0], state[0], atol=1e-6)
    assert gs.allclose(c[0], state[1], atol=1e-6)
    one, _ = lstm(x[0])
    assert gs.allclose(one, out[0], atol=1e-6)
    with pytest.raises(ValueError, match="expected hx of shape"):
        lstm(x, (gs.zeros(1, 3, 4), gs.zeros(1, 3, 4)))
    with pytest.raises(ValueError, match=r"input of shape \(..., 3\)"):
        lstm(gs.zeros(2, 5, 2))


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_gru_and_rnn_against_their_cells(kind):
    gs.manual_seed(1)
    layer = getattr(nn, kind)(3, 4)
    cell = getattr(nn, kind + "Cell")(3, 4)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = gs.randn(5, 2, 3)
    out, h = layer(x)
    state = None
    for t in range(5):
        state = cell(x[t], state)
        assert gs.allclose(out[t], state, atol=1e-6)
    assert gs.allclose(h[0], state, atol=1e-6)


def test_recurrent_names_and_shapes():
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    names = [n for n, _ in layer.named_parameters()]
    assert names[:8] == [
        f"{p}_l0{s}"
        for s in ("", "_reverse")
        for p in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    assert layer.weight_ih_l1.shape == (16, 8)
    assert len(layer.all_weights) == 4
    out, (h, c) = layer(gs.zeros(5, 2, 3))
    assert out.shape == (5, 2, 8)
    assert h.shape == c.shape == (4, 2, 4)


def test_attention_by_formula():
    gs.manual_seed(0)
    layer, x = nn.MultiheadAttention(6, 2, batch_first=True).double(), randn(2, 4, 6)
    out, weights = layer(gs.tensor(x), gs.tensor(x), gs.tensor(x))
    w, b = layer.in_proj_weight.detach().numpy(), layer.in_proj_bias.detach().numpy()
    q, k, v = np.split(x @ w.T + b, 3, -1)
    heads, maps = [], []
    for h in range(2):
        s = slice(3 * h, 3 * h + 3)
        scores = q[..., s] @ k[..., s].transpose(0, 2, 1) / np.sqrt(3)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        maps.append(p)
        heads.append(p @ v[..., s])
    want = np.concatenate(heads, -1) @ layer.out_proj.weight.detach().numpy().T
    np.testing.assert_allclose(out.detach().numpy(), want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(weights.detach().numpy(), np.mean(maps, 0), rtol=1e-9)
    y = gs.tensor(x)
    fast, none = layer(y, y, y, need_weights=False)
    assert none is None
    assert gs.allclose(fast, out)


def test_attention_masks():
    layer = nn.MultiheadAttention(4, 2, batch_first=True).double()
    x = gs.tensor(randn(2, 3, 4))
    causal = gs.ones(3, 3, dtype=gs.bool).triu(1)
    padding = gs.tensor([[False, False, True], [False, False, False]])
    slow, weights = layer(x, x, x, attn_mask=causal, key_padding_mask=padding)
    fast, _ = layer(x, x, x, attn_mask=causal, key_padding_mask=padding, need_weights=False)
    assert gs.allclose(slow, fast)
    assert weights[0, 2, 2].item() == 0
    assert weights[1, 0, 1].item() == 0
    hinted, _ = layer(x, x, x, attn_mask=causal, need_weights=False, is_causal=True)
    plain, _ = layer(x, x, x, attn_mask=causal)
    assert gs.allclose(hinted, plain)
    with pytest.raises(ValueError, match="2D attn_mask"):
        layer(x, x, x, attn_mask=gs.zeros(2, 2))


def test_transformer_shapes_and_norm_first():
    for first in (False, True):
        encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, norm_first=first, batch_first=True), 2
        ).eval()
        decoder = nn.TransformerDecoderLayer(8, 2, 16, norm_first=first, batch_first=True).eval()
        memory = encoder(gs.randn(2, 5, 8))
        assert memory.shape == (2, 5, 8)
        assert decoder(gs.randn(2, 3, 8), memory).shape == (2, 3, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    assert mask.tolist() == [[0, -np.inf, -np.inf], [0, 0, -np.inf], [0, 0, 0]]


def test_dropout():
    gs.manual_seed(0)
    layer = nn.Dropout(0.25)
    x = gs.ones(4000)
    out = layer(x)
    assert set(out.unique().tolist()) == {0.0, np.float32(4 / 3)}
    assert abs((out == 0).float().mean().item() - 0.25) < 0.03
    assert layer.eval()(x) is x
    planes = nn.Dropout2d(0.5)(gs.ones(2, 50, 3, 3))
    assert set(planes.sum((2, 3)).unique().tolist()) == {0.0, 18.0}
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(1.5)


IN_PLACE = ["ReLU", "ReLU6", "Hardtanh", "LeakyReLU", "ELU", "SiLU", "Mish", "Hardsigmoid"]


@pytest.mark.parametrize("name", [*IN_PLACE, "Hardswish", "Dropout", "Dropout1d"])
def test_in_place_layers_write_over_their_input_and_train(name):
    results = []
    for inplace in (False, True):
        gs.manual_seed(1)
        x = gs.randn(4, 5, requires_grad=True)
        before = x * 3
        after = getattr(nn, name)(inplace=inplace)(before)
        assert (after is before) == inplace
        (after * after).sum().backward()
        results.append((after.tolist(), x.grad.tolist()))
    assert results[0] == results[1]


def test_losses_as_layers():
    logits, classes = gs.tensor(randn(4, 3)), gs.tensor([0, 2, 1, 2])
    log_p = logits.numpy() - np.log(np.exp(logits.numpy()).sum(1, keepdims=True))
    picked = -log_p[np.arange(4), classes.numpy()]
    np.testing.assert_allclose(nn.CrossEntropyLoss()(logits, classes).item(), picked.mean())
    np.testing.assert_allclose(
        nn.CrossEntropyLoss(reduction="none")(logits, classes).numpy(), picked
    )
    weights = gs.tensor([1.0, 2.0, 3.0], dtype=gs.float64)
    w = weights.numpy()[classes.numpy()]
    got = nn.NLLLoss(weight=weights)(gs.tensor(log_p), classes).item()
    np.testing.assert_allclose(got, (picked * w).sum() / w.sum())
    a, b = randn(3, 2), randn(2, 3).T
    ta, tb = gs.tensor(a), gs.tensor(np.ascontiguousarray(b))
    np.testing.assert_allclose(nn.MSELoss(reduction="sum")(ta, tb).item(), ((a - b) ** 2).sum())
    np.testing.assert_allclose(nn.L1Loss()(ta, tb).item(), np.abs(a - b).mean())
    d = np.abs(a - b)
    huber = np.where(d < 0.5, 0.5 * d * d, 0.5 * (d - 0.25)).mean()
    np.testing.assert_allclose(nn.HuberLoss(delta=0.5)(ta, tb).item(), huber)
    p, t = 1 / (1 + np.exp(-a)), (b > 0).astype(float)
    bce = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    np.testing.assert_allclose(nn.BCEWithLogitsLoss()(ta, gs.tensor(t)).item(), bce)
    np.testing.assert_allclose(nn.BCELoss()(gs.tensor(p), gs.tensor(t)).item(), bce)
    kl = (p * (np.log(p) - a)).sum() / 3
    got = nn.KLDivLoss(reduction="batchmean")(ta, gs.tensor(p)).item()
    np.testing.assert_allclose(got, kl)


@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_with_keys_of_its_own(need_weights):
    """The same as attention to longer keys and values, projected beforehand."""
    gs.manual_seed(0)
    layer = nn.MultiheadAttention(
        4, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True
    ).double()
    assert list(layer.state_dict()) == [
        "in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj.weight", "out_proj.bias",
    ]  # fmt: skip
    x = gs.tensor(randn(2, 3, 4))
    hidden = gs.tensor([[False, False, True], [False, True, True]])
    got, weights = layer(x, x, x, key_padding_mask=hidden, need_weights=need_weights)
    q, k, v = nn.functional.linear(x, layer.in_proj_weight, layer.in_proj_bias).chunk(3, -1)
    none = gs.zeros(2, 1, 4, dtype=gs.float64)
    k = gs.cat([k, layer.bias_k.expand(2, 1, 4), none], 1)
    v = gs.cat([v, layer.bias_v.expand(2, 1, 4), none], 1)
    q, k, v = (y.reshape(2, -1, 2, 2).transpose(1, 2) for y in (q, k, v))
    seen = gs.cat([~hidden, gs.ones(2, 2, dtype=gs.bool)], 1)[:, None, None]
    heads = nn.functional.scaled_dot_product_attention(q, k, v, seen)
    assert gs.allclose(got, layer.out_proj(heads.transpose(1, 2).reshape(2, 3, 4)))
    if need_weights:
        assert weights.shape == (2, 3, 5) and weights[1, 0, 1:3].tolist() == [0, 0]


def test_fewer_heads_of_keys_than_of_queries():
    q, k = gs.tensor(randn(2, 4, 3, 5)), gs.tensor(randn(2, 2, 3, 5))
    attend = nn.functional.scaled_dot_product_attention
    twice = k[:, [0, 0, 1, 1]]
    assert gs.allclose(attend(q, k, k, is_causal=True, enable_gqa=True), attend(
        q, twice, twice, is_causal=True))  # fmt: skip
    with pytest.raises(ValueError, match="divide the query's, got"):
        attend(q[:, :3], k, k, enable_gqa=True)


def test_rows_of_an_embedding_are_shortened_when_looked_up():
    layer = nn.Embedding(3, 2, max_norm=1.0)
    assert repr(layer) == "Embedding(3, 2, max_norm=1.0)"
    with gs.no_grad():
        layer.weight.copy_(gs.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]]))
    got = layer(gs.tensor([[0, 1, 0]]))
    np.testing.assert_allclose(got[0].detach().numpy(), [[0.6, 0.8], [0.3, 0.4], [0.6, 0.8]], 1e-6)
    np.testing.assert_allclose(
        layer.weight.detach().numpy(), [[0.6, 0.8], [0.3, 0.4], [6.0, 8.0]], 1e-6
    )
    got.sum().backward()
    assert layer.weight.grad.tolist() == [[2, 2], [1, 1], [0, 0]]
    whole = nn.Embedding.from_pretrained(gs.tensor([[3.0, -4.0]]), max_norm=1.0, norm_type=1.0)
    np.testing.assert_allclose(whole(gs.tensor(0)).numpy(), [3 / 7, -4 / 7], 1e-6)
    with pytest.raises(IndexError):
        layer(gs.tensor([5]))
