"""Modules: registration, state, hooks, text, and layers against NumPy."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 6)
        self.fc2 = nn.Linear(6, 1)
        self.register_buffer("count", gs.zeros(1))
        self.register_buffer("scratch", gs.zeros(1), persistent=False)

    def forward(self, x):
        return self.fc2(gs.relu(self.fc1(x)))


def test_text_is_pytorchs():
    class SimpleNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(3, 6)
            self.seq = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(inplace=True))
            self.many = nn.ModuleList([nn.Tanh(), nn.Tanh(), nn.LSTM(3, 4, 2, batch_first=True)])

    assert repr(SimpleNet()) == (
        "SimpleNet(\n"
        "  (fc1): Linear(in_features=3, out_features=6, bias=True)\n"
        "  (seq): Sequential(\n"
        "    (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        "    (1): ReLU(inplace=True)\n"
        "  )\n"
        "  (many): ModuleList(\n"
        "    (0-1): 2 x Tanh()\n"
        "    (2): LSTM(3, 4, num_layers=2, batch_first=True)\n"
        "  )\n"
        ")"
    )


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.BatchNorm2d(3), "affine=True, bias=True, track_running_stats=True)"),
        (nn.LayerNorm(5), "LayerNorm((5,), eps=1e-05, elementwise_affine=True, bias=True)"),
        (nn.Embedding(5, 3, padding_idx=-1), "Embedding(5, 3, padding_idx=4)"),
        (
            nn.MaxPool2d(2),
            "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
        ),
        (nn.Dropout(0.2), "Dropout(p=0.2, inplace=False)"),
        (nn.GRU(3, 4, bias=False), "GRU(3, 4, bias=False)"),
        (nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
        (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (nn.GELU(), "GELU(approximate='none')"),
        (nn.Softmax(1), "Softmax(dim=1)"),
    ],
)
def test_text_of_layers(layer, text):
    assert repr(layer).endswith(text)


def test_registration_and_names():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "fc1.weight",
        "fc1.bias",
        "fc2.weight",
        "fc2.bias",
    ]
    assert list(net.state_dict()) == [
        "count",
        "fc1.weight",
        "fc1.bias",
        "fc2.weight",
        "fc2.bias",
    ]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "fc1", "fc2"]
    assert [n for n, _ in net.named_children()] == ["fc1", "fc2"]
    assert net.get_submodule("fc1") is net.fc1
    assert net.get_parameter("fc1.weight") is net.fc1.weight
    with pytest.raises(AttributeError):
        net.get_submodule("fc3")


def test_shared_parameters_come_once():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight = a.weight
    net = nn.Sequential(a, b)
    assert len(list(net.parameters())) == 3
    assert len(net.state_dict()) == 4


def test_setattr_rules():
    net = Net()
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as parameter 'weight'"):
        net.fc1.weight = gs.zeros(6, 3)
    with pytest.raises(TypeError, match="as child module 'fc1'"):
        net.fc1 = 3
    with pytest.raises(TypeError, match="as buffer 'count'"):
        net.count = 3
    net.count = gs.ones(1)
    assert net.state_dict()["count"].item() == 1
    net.fc1.bias = None
    assert "fc1.bias" not in net.state_dict()
    new = nn.Parameter(gs.ones(2))
    net.extra = 3
    net.extra = new
    assert net.get_parameter("extra") is new
    net._parameters["extra"] = None
    assert net.extra is None
    del net.extra
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'extra'"):
        _ = net.extra
    with pytest.raises(KeyError, match="already exists"):
        net.register_parameter("forward", new)
    with pytest.raises(KeyError, match="contain"):
        net.register_buffer("a.b", gs.zeros(1))


def test_assignment_before_init_is_refused():
    class Early(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()


def test_load_state_dict_and_its_errors():
    a, b = Net(), Net()
    assert repr(b.load_state_dict(a.state_dict())) == "<All keys matched successfully>"
    assert gs.equal(a.fc1.weight, b.fc1.weight)
    assert b.fc1.weight is not a.fc1.weight
    state = a.state_dict()
    del state["fc1.bias"]
    state["fc3.bias"] = gs.zeros(1)
    with pytest.raises(RuntimeError) as error:
        b.load_state_dict(state)
    assert str(error.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "fc1.bias". \n'
        '\tUnexpected key(s) in state_dict: "fc3.bias". '
    )
    result = b.load_state_dict(state, strict=False)
    assert result.missing_keys == ["fc1.bias"]
    assert result.unexpected_keys == ["fc3.bias"]
    state = a.state_dict()
    state["fc1.weight"] = gs.zeros(3, 2)
    with pytest.raises(
        RuntimeError, match="size mismatch for fc1.weight: copying a param with shape"
    ):
        b.load_state_dict(state, strict=False)
    given = OrderedDict((k, v.clone()) for k, v in a.state_dict().items())
    b.load_state_dict(given, assign=True)
    assert b.fc1.weight.data_ptr() == given["fc1.weight"].data_ptr()


def test_modes_apply_and_conversions():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    net.eval()
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    with pytest.raises(ValueError):
        net.train(1)
    seen = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "BatchNorm1d", "Sequential"]
    weight = net[0].weight
    net.double()
    assert net[0].weight is weight
    assert weight.dtype == gs.float64
    assert net[1].running_mean.dtype == gs.float64
    assert net[1].num_batches_tracked.dtype == gs.int64
    net.to(gs.float32)
    assert weight.dtype == gs.float32
    assert net.to("cpu") is net
    with pytest.raises(TypeError):
        net.to(gs.int32)
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad():
    net = nn.Linear(2, 1)
    net(gs.ones(1, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.weight.grad.tolist() == [[0, 0]]
    net.zero_grad()
    assert net.weight.grad is None


def test_copies_are_independent():
    net = Net()
    other = copy.deepcopy(net)
    assert type(other.fc1.weight) is nn.Parameter
    assert gs.equal(other.fc1.weight, net.fc1.weight)
    with gs.no_grad():
        other.fc1.weight.zero_()
    assert net.fc1.weight.abs().sum().item() > 0
    other.fc1.weight = nn.Parameter(gs.ones(6, 3))
    assert other._parameters == {}
    assert other.fc1._parameters["weight"] is other.fc1.weight
    assert net.fc1.weight is net.fc1._parameters["weight"]
    third = pickle.loads(pickle.dumps(nn.Linear(2, 2)))
    assert third(gs.ones(1, 2)).shape == (1, 2)


def test_forward_hooks():
    net, log = nn.Linear(2, 2), []
    h1 = net.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    h2 = net.register_forward_hook(lambda m, args, out: log.append(out) or out + 1)
    out = net(gs.ones(1, 2))
    assert gs.equal(log[0][0], net.bias)
    assert gs.allclose(out[0], net.bias + 1)
    h1.remove()
    h2.remove()
    assert not gs.allclose(net(gs.ones(1, 2))[0], net.bias + 1)
    assert len(log) == 1
    with net.register_forward_hook(
        lambda m, args, kwargs, out: log.append(kwargs), with_kwargs=True
    ):
        net(input=gs.ones(1, 2))
    assert list(log[1]) == ["input"]


def test_backward_hooks():
    net, seen = nn.Linear(2, 1, bias=False), {}

    def hook(module, grad_input, grad_output):
        seen["in"], seen["out"] = grad_input, grad_output
        return (grad_input[0] * 10,)

    handle = net.register_full_backward_hook(hook)
    x = gs.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    assert seen["out"][0].tolist() == [[1]]
    assert gs.allclose(seen["in"][0], net.weight)
    assert gs.allclose(x.grad, net.weight * 10)
    handle.remove()
    x.grad = None
    net.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 3,))
    net(x).sum().backward()
    assert gs.allclose(x.grad, net.weight * 3)
    # Without an input that needs a gradient the hook runs all the same.
    calls = []
    other = nn.Linear(2, 1)
    other.register_full_backward_hook(lambda m, gi, go: calls.append((gi, go)))
    other(gs.ones(1, 2)).sum().backward()
    assert calls[0][0] == (None,)


def test_containers():
    seq = nn.Sequential(OrderedDict([("a", nn.Linear(2, 3)), ("b", nn.ReLU())]))
    assert seq.a is seq[0]
    assert seq[-1] is seq.b
    assert len(seq[:1]) == 1
    seq.append(nn.Linear(3, 1))
    assert seq(gs.ones(1, 2)).shape == (1, 1)
    with pytest.raises(IndexError):
        seq[5]
    items = nn.ModuleList([nn.Linear(1, 1)])
    items.extend([nn.Linear(1, 1), nn.ReLU()])
    items.insert(0, nn.Tanh())
    assert [type(m).__name__ for m in items] == ["Tanh", "Linear", "Linear", "ReLU"]
    del items[0]
    assert list(items.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    table = nn.ModuleDict({"x": nn.Linear(1, 1)})
    table["y"] = nn.ReLU()
    assert list(table) == ["x", "y"]
    assert "x" in table
    params = nn.ParameterList([gs.zeros(2), nn.Parameter(gs.ones(3))])
    assert [n for n, _ in params.named_parameters()] == ["0", "1"]
    assert params[1].tolist() == [1, 1, 1]
    named = nn.ParameterDict({"w": gs.zeros(2)})
    assert isinstance(named["w"], nn.Parameter)
    with pytest.raises(TypeError):
        nn.Sequential(3)


def test_forward_must_be_written():
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)


# -------------------------------------------------------------------------------- layers by formula


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
    with pytest.raises(RuntimeError, match="Expected hidden size"):
        lstm(x, (gs.zeros(1, 3, 4), gs.zeros(1, 3, 4)))
    with pytest.raises(RuntimeError, match="Expected 3, got 2"):
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
    with pytest.raises(RuntimeError, match="2D attn_mask"):
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


def test_parameter_is_a_leaf_of_its_own_class():
    p = nn.Parameter(gs.ones(2))
    assert isinstance(p, gs.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert not nn.Parameter(gs.ones(1), requires_grad=False).requires_grad
    assert type(copy.deepcopy(p)) is nn.Parameter
    with pytest.raises(TypeError):
        nn.Parameter([1.0])


def test_clipping_and_vectors():
    a, b = nn.Parameter(gs.zeros(2)), nn.Parameter(gs.zeros(2))
    a.grad, b.grad = gs.tensor([3.0, 0.0]), gs.tensor([0.0, 4.0])
    norm = nn.utils.clip_grad_norm_([a, b], 1.0)
    assert norm.item() == 5
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0], rtol=1e-5)
    np.testing.assert_allclose(b.grad.numpy(), [0, 0.8], rtol=1e-5)
    assert nn.utils.clip_grad_norm_([a, b], 10.0, norm_type=float("inf")).item() == pytest.approx(
        0.8
    )
    nn.utils.clip_grad_value_([a, b], 0.5)
    assert a.grad.tolist() == [0.5, 0]
    a.grad = gs.tensor([float("nan"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([a], 1.0, error_if_nonfinite=True)
    vector = nn.utils.parameters_to_vector([a, b])
    nn.utils.vector_to_parameters(gs.arange(4.0), [a, b])
    assert vector.shape == (4,)
    assert b.tolist() == [2, 3]
    with pytest.raises(ValueError, match="4 elements"):
        nn.utils.vector_to_parameters(gs.zeros(3), [a, b])


def test_assert_close():
    gs.testing.assert_close(gs.ones(2), gs.ones(2) + 1e-7)
    with pytest.raises(AssertionError, match="1 of 2 elements differ"):
        gs.testing.assert_close(gs.tensor([1.0, 2.0]), gs.tensor([1.0, 3.0]))
    with pytest.raises(AssertionError, match="dtypes differ"):
        gs.testing.assert_close(gs.ones(1), gs.ones(1, dtype=gs.float64))
    with pytest.raises(AssertionError, match="shapes differ"):
        gs.testing.assert_close(gs.ones(1), gs.ones(2))
