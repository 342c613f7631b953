"""The Module class, Parameter and containers: registration, state, hooks, text."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import NamedTuple

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


def test_parameter_is_a_leaf_of_its_own_class():
    p = nn.Parameter(gs.ones(2))
    assert isinstance(p, gs.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert not nn.Parameter(gs.ones(1), requires_grad=False).requires_grad
    assert type(copy.deepcopy(p)) is nn.Parameter
    with pytest.raises(TypeError):
        nn.Parameter([1.0])


def test_a_copied_parameter_has_no_gradient():
    layer = nn.Linear(2, 1)
    layer(gs.ones(1, 2)).sum().backward()
    both = copy.deepcopy([layer, layer.weight])
    assert both[0].weight is both[1] and both[1].grad is None
    assert layer.weight.grad is not None


def test_parameter_dict_orders_a_plain_dict_by_name():
    """As PyTorch does: an optimizer's state is numbered by that order."""
    values = {"b": gs.ones(1), "a": gs.ones(2)}
    assert [n for n, _ in nn.ParameterDict(values).named_parameters()] == ["a", "b"]
    assert list(nn.ParameterDict(OrderedDict(values))) == ["b", "a"]
    assert list(nn.ParameterDict(list(values.items()))) == ["b", "a"]


def test_hooks_of_the_state():
    log = []
    net = nn.Sequential(nn.Linear(1, 1))
    net.register_state_dict_post_hook(
        lambda module, state, prefix, local: log.append((prefix, list(state)))
    )
    net[0].register_state_dict_pre_hook(lambda module, prefix, keep: log.append((prefix, keep)))
    state = net.state_dict()
    assert log == [("0.", False), ("", ["0.weight", "0.bias"])]

    def rename(module, state, prefix, local, strict, missing, unexpected, errors):
        assert module is net[0] and strict
        state[prefix + "weight"] = state.pop(prefix + "w")

    def forgive(module, keys):
        keys.missing_keys.clear()

    state["0.w"] = state.pop("0.weight") * 0 + 3
    del state["0.bias"]
    handles = [
        net.register_load_state_dict_pre_hook(lambda *args: state.pop("unused", None)),
        net[0].register_load_state_dict_pre_hook(rename),
        net.register_load_state_dict_post_hook(forgive),
    ]
    assert net.load_state_dict(state).missing_keys == []
    assert net[0].weight.item() == 3 and "0.w" in state
    for handle in handles:
        handle.remove()
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(state)
    net.register_state_dict_post_hook(lambda module, state, prefix, local: state)
    with pytest.raises(RuntimeError, match="must return None"):
        net.state_dict()


def test_a_module_writes_entries_of_its_own():
    class Scaled(nn.Linear):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "scale"] = gs.ones(1)

    assert list(nn.Sequential(Scaled(1, 1)).state_dict()) == ["0.weight", "0.bias", "0.scale"]


def test_sequential_arithmetic():
    a, b = nn.Sequential(nn.ReLU(), nn.Tanh()), nn.Sequential(nn.ELU())
    assert [type(m) for m in a + b] == [nn.ReLU, nn.Tanh, nn.ELU]
    assert len(a) == 2 and list(2 * a) == [*a, *a]
    b *= 3
    a += b
    assert len(a) == 5 and list(a._modules) == ["0", "1", "2", "3", "4"]
    with pytest.raises(TypeError):
        a + [nn.ReLU()]
    with pytest.raises(ValueError, match="once or more, got 0"):
        a * 0


def test_parameter_dict_is_a_dict():
    values = nn.ParameterDict({"a": gs.ones(1), "b": gs.ones(2)})
    assert list(reversed(values)) == ["b", "a"]
    twin = values | {"c": gs.ones(3)}
    assert list(twin) == ["a", "b", "c"] and twin["a"] is values["a"] and len(values) == 2
    assert values.setdefault("a", 3) is twin["a"] and values.setdefault("d", 3) == 3
    assert values.popitem() == ("d", 3)
    assert list(nn.ParameterDict.fromkeys("xy", 1)) == ["x", "y"]
    values.clear()
    assert len(values) == 0 and list(values.parameters()) == []
    with pytest.raises(KeyError):
        values.popitem()


def test_modules_put_in_place_by_name():
    net = nn.Sequential(OrderedDict(a=nn.Sequential(nn.Linear(1, 1), nn.ReLU())))
    net.set_submodule("a.0", nn.Tanh())
    assert type(net.a[0]) is nn.Tanh
    net.set_submodule("a.2", net.a[0])
    assert len(list(net.modules())) == 4 and len(list(net.modules(remove_duplicate=False))) == 5
    for target, strict in (("a.9", True), ("x.y", False), ("a.training", False)):
        with pytest.raises(AttributeError):
            net.set_submodule(target, nn.ReLU(), strict)
    with pytest.raises(ValueError, match="name of a submodule"):
        net.set_submodule("", nn.ReLU())


def test_backward_hooks_of_a_module_that_gives_a_named_tuple():
    class Pair(NamedTuple):
        loss: gs.Tensor
        count: int

    class Net(nn.Linear):
        def forward(self, input):
            return Pair(super().forward(input), 3)

    net, seen = Net(2, 1), []
    net.register_full_backward_hook(lambda module, grads, given: seen.append(given))
    result = net(gs.ones(1, 2))
    assert type(result) is Pair and result.count == 3
    result.loss.sum().backward()
    assert seen[0][0].tolist() == [[1.0]] and seen[0][1] is None
