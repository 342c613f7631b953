"""Names that programs written for PyTorch use around their networks."""

from __future__ import annotations

import copy
import importlib
import math

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.autograd import Variable
from gradstone.autograd.functional import hessian, jacobian
from gradstone.nn.utils.rnn import pad_sequence, unpad_sequence

# ------------------------------------------------------------------------------------- backends


def test_what_is_asked_of_backends():
    cudnn = importlib.import_module("gradstone.backends.cudnn")
    assert not gs.backends.mps.is_available()
    assert not cudnn.is_available()
    assert not gs.backends.mkldnn.is_available()
    assert gs.backends.cudnn is cudnn
    matmul = gs.backends.cuda.matmul
    assert not matmul.allow_tf32
    try:
        matmul.allow_tf32 = True
        assert gs.get_float32_matmul_precision() == "high"
    finally:
        matmul.allow_tf32 = False
    assert gs.get_float32_matmul_precision() == "highest"
    gs.use_deterministic_algorithms(False)
    assert gs.are_deterministic_algorithms_enabled()


def test_the_accelerator_is_cuda_or_none():
    there = gs.cuda.is_available()
    assert gs.accelerator.is_available() == there
    assert gs.accelerator.device_count() == gs.cuda.device_count()
    device = gs.accelerator.current_accelerator(check_available=True)
    assert (device is not None) == there
    gs.accelerator.synchronize()


def test_older_names_of_mixed_precision():
    amp = importlib.import_module("gradstone.cuda.amp")
    context = amp.autocast()
    assert (context.device_type, context.dtype, context.enabled) == ("cuda", gs.float16, True)
    assert isinstance(amp.GradScaler(init_scale=8.0), gs.amp.GradScaler)
    assert amp.GradScaler(8.0).get_scale() == 8.0


def test_a_name_that_is_not_there_suggests_one():
    with pytest.raises(AttributeError, match="no attribute 'zeroes'") as caught:
        gs.zeroes  # noqa: B018
    assert caught.value.name == "zeroes"
    assert caught.value.obj is gs


def test_names_that_are_imported_when_used_are_listed():
    listed = dir(gs)
    assert {"save", "load", "summary", "training", "keras", "tensor"} <= set(listed)
    assert listed == sorted(set(listed))
    assert all(hasattr(gs, name) for name in listed)


# --------------------------------------------------------------------------------- tensors, dtypes


def test_limits_of_dtypes():
    for kind in (gs.float32, gs.float64, gs.float16):
        wanted = np.finfo(str(kind).removeprefix("gradstone."))
        got = gs.finfo(kind)
        for name in ("bits", "max", "min", "eps", "tiny", "smallest_normal"):
            assert getattr(got, name) == float(getattr(wanted, name)), (kind, name)
        assert (got.resolution, got.dtype) == (10.0**-wanted.precision, str(wanted.dtype))
    assert gs.finfo(gs.bfloat16).eps == 2.0**-7
    assert gs.finfo(gs.bfloat16).max == 3.3895313892515355e38
    assert (gs.finfo().dtype, gs.finfo().resolution) == ("float32", 1e-6)
    masked = gs.zeros(2).masked_fill(gs.tensor([True, False]), gs.finfo(gs.float32).min)
    assert masked.softmax(0).tolist() == [0.0, 1.0]
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        mine, theirs = gs.iinfo(getattr(gs, name)), np.iinfo(name)
        assert (mine.bits, mine.min, mine.max) == (theirs.bits, theirs.min, theirs.max)
    assert "max=3.40282e+38" in repr(gs.finfo(gs.float32))
    for wrong in (lambda: gs.finfo(gs.int64), lambda: gs.iinfo(gs.float32), lambda: gs.finfo("a")):
        with pytest.raises(TypeError, match=r"\[(finfo|iinfo)\] expected"):
            wrong()


def test_types_of_tensors():
    assert gs.LongTensor([1, 2]).tolist() == [1, 2]
    assert gs.LongTensor([1, 2]).dtype == gs.int64
    assert gs.FloatTensor(2, 3).shape == (2, 3)
    assert gs.FloatTensor(np.ones(3)).dtype == gs.float32
    assert gs.DoubleTensor(gs.ones(2, 2).shape).shape == (2, 2)
    assert gs.ByteTensor().shape == (0,)
    x = gs.ones(2)
    assert isinstance(x, gs.FloatTensor)
    assert not isinstance(x, gs.DoubleTensor)
    assert not isinstance(1.0, gs.FloatTensor)
    assert x.type() == "gradstone.FloatTensor"
    for kind in (gs.LongTensor, gs.int64, "torch.LongTensor", int):
        assert x.type(kind).dtype == gs.int64
    with pytest.raises(ValueError, match="no tensor type 'Float'"):
        x.type("Float")
    assert x.new(2, 3).shape == (2, 3)
    assert x.double().new([1, 2]).dtype == gs.float64


def test_dlpack_shares_memory():
    x = gs.zeros(3)
    array = np.from_dlpack(x)
    x[0] = 5
    assert array[0] == 5
    source = np.arange(3.0)
    y = gs.from_dlpack(source)
    y[2] = 7
    assert source[2] == 7
    with pytest.raises(TypeError, match="bfloat16"):
        np.from_dlpack(gs.zeros(1, dtype=gs.bfloat16))


def test_questions():
    x = gs.ones(2, 3)
    assert x.is_cpu and x.get_device() == -1 and x.is_same_size(gs.zeros(2, 3))
    assert gs.tensor([2]).is_nonzero()
    assert x.sum_to_size(1, 3).tolist() == [[2, 2, 2]] and x.sum_to_size(3).tolist() == [2, 2, 2]
    assert gs.ones(2, 1, dtype=gs.int8).sum_to_size(2, 1).dtype == gs.int8
    with pytest.raises(ValueError, match=r"\[sum_to_size\]"):
        x.sum_to_size(2)


def test_a_shallow_copy_is_on_the_same_memory():
    x = gs.ones(2, requires_grad=True)
    x.note = "kept"
    y = copy.copy(x)
    assert y.data_ptr() == x.data_ptr() and y.requires_grad and y.is_leaf and y.note == "kept"
    p = copy.copy(gs.nn.Parameter(gs.ones(1)))
    assert isinstance(p, gs.nn.Parameter) and p.requires_grad


def test_variable_is_a_leaf_over_the_same_numbers():
    x = gs.ones(2, requires_grad=True) * 2
    leaf = Variable(x, requires_grad=True)
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert leaf.data_ptr() == x.data_ptr()
    assert not Variable(x).requires_grad


# ------------------------------------------------------------------------------- whole derivatives


def test_jacobian_of_several_inputs_and_outputs():
    x, y = gs.arange(3.0) + 1, gs.ones(2) * 2
    assert jacobian(lambda a: a**2, x).tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]
    dx, dy = jacobian(lambda a, b: a.sum() * b, (x, y))
    assert dx.tolist() == [[2, 2, 2], [2, 2, 2]]
    assert dy.tolist() == [[6, 0], [0, 6]]
    whole, total = jacobian(lambda a: (a * 2, a.sum()), x)
    assert whole.tolist() == (gs.eye(3) * 2).tolist()
    assert total.tolist() == [1, 1, 1]
    assert jacobian(lambda a: gs.ones(2), x).tolist() == [[0, 0, 0], [0, 0, 0]]
    with gs.no_grad():
        assert jacobian(lambda a: a * 3, gs.ones(1)).tolist() == [[3]]
    with pytest.raises(TypeError, match="a tensor or a tuple of tensors"):
        jacobian(lambda a: 3, x)


def test_a_jacobian_can_be_differentiated():
    x = gs.tensor([1.0, 2.0], requires_grad=True)
    jacobian(lambda a: a**3, x, create_graph=True).sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_hessian():
    x, y = gs.tensor([1.0, 2.0]), gs.tensor([3.0])
    assert hessian(lambda a: (a**3).sum() + a.prod(), x).tolist() == [[6, 1], [1, 12]]
    both = hessian(lambda a, b: a.sum() * b.square().sum(), (x, y))
    assert [[part.tolist() for part in row] for row in both] == [
        [[[0, 0], [0, 0]], [[6], [6]]],
        [[[6, 6]], [[6]]],
    ]
    with pytest.raises(ValueError, match=r"one number, got \(2,\)"):
        hessian(lambda a: a * 2, x)


# --------------------------------------------------------------------------------------- sequences


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_sequences_are_padded(batch_first, side):
    parts = [gs.ones(2, 3), gs.ones(4, 3) * 2, gs.zeros(0, 3)]
    got = pad_sequence(parts, batch_first, padding_value=7.0, padding_side=side)
    assert got.shape == ((3, 4, 3) if batch_first else (4, 3, 3))
    rows = got if batch_first else got.transpose(0, 1)
    column = rows[0, :, 0].tolist()
    assert column == ([7, 7, 1, 1] if side == "left" else [1, 1, 7, 7])
    assert rows[2].eq(7).all()
    if side == "right":
        for one, other in zip(parts, unpad_sequence(got, [2, 4, 0], batch_first), strict=True):
            assert gs.equal(one, other)


def test_sequences_that_cannot_be_padded():
    with pytest.raises(ValueError, match=r"behind the lengths, got \[\(1, 2\), \(1, 3\)\]"):
        pad_sequence([gs.ones(1, 2), gs.ones(1, 3)])
    with pytest.raises(RuntimeError, match="one or more tensors"):
        pad_sequence([])
    with pytest.raises(ValueError, match="'left' or 'right'"):
        pad_sequence([gs.ones(1)], padding_side="up")
    with pytest.raises(ValueError, match="expected 2 lengths from 0 to 3"):
        unpad_sequence(gs.ones(3, 2), [1, 4])


# --------------------------------------------------------------------------- optimizers, schedules

STEPS = 5


def formula(kind, w, gradient):
    """The weights after STEPS steps, in NumPy."""
    s, u, m, product = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w), 1.0
    for t in range(1, STEPS + 1):
        g = gradient(w) + 0.1 * w
        if kind == "Adagrad":
            s = s + g * g
            w = w - 0.1 / (1 + (t - 1) * 0.2) * g / (np.sqrt(s) + 1e-10)
        elif kind == "Adadelta":
            s = 0.8 * s + 0.2 * g * g
            d = g * np.sqrt(u + 1e-6) / np.sqrt(s + 1e-6)
            u = 0.8 * u + 0.2 * d * d
            w = w - 0.5 * d
        elif kind == "Adamax":
            m, u = 0.8 * m + 0.2 * g, np.maximum(0.9 * u, np.abs(g) + 1e-8)
            w = w - 0.1 / (1 - 0.8**t) * m / u
        else:
            mu, after = (0.8 * (1 - 0.5 * 0.96 ** (k * 0.1)) for k in (t, t + 1))
            product *= mu
            m, s = 0.8 * m + 0.2 * g, 0.9 * s + 0.1 * g * g
            size = np.sqrt(s / (1 - 0.9**t)) + 1e-8
            w = w - 0.1 * (1 - mu) / (1 - product) * g / size
            w = w - 0.1 * after / (1 - product * after) * m / size
    return w


OPTIONS = {
    "Adagrad": {"lr": 0.1, "lr_decay": 0.2},
    "Adadelta": {"lr": 0.5, "rho": 0.8},
    "Adamax": {"lr": 0.1, "betas": (0.8, 0.9)},
    "NAdam": {"lr": 0.1, "betas": (0.8, 0.9), "momentum_decay": 0.1},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_optimizers_by_their_formulas(kind, tmp_path):
    start = np.linspace(-1, 1, 7)

    def made(values):
        w = gs.tensor(values, requires_grad=True)
        return w, getattr(optim, kind)([w], weight_decay=0.1, **OPTIONS[kind])

    def step(w, optimizer):
        optimizer.zero_grad()
        (w.sin() + w**3).sum().backward()
        optimizer.step()

    w, optimizer = made(start)
    for done in range(STEPS):
        if done == 2:  # by a file, and on
            gs.save(optimizer.state_dict(), tmp_path / "optimizer.gs")
            w, optimizer = made(w.detach().numpy())
            optimizer.load_state_dict(gs.load(tmp_path / "optimizer.gs"))
        step(w, optimizer)
    wanted = formula(kind, start, lambda w: np.cos(w) + 3 * w * w)
    # NAdam keeps its product of momenta in float32, as PyTorch does.
    np.testing.assert_allclose(w.detach().numpy(), wanted, rtol=1e-6 if kind == "NAdam" else 1e-12)


@pytest.mark.parametrize("kind", OPTIONS)
def test_optimizers_go_up_and_refuse(kind):
    make = getattr(optim, kind)
    w = gs.zeros(3, requires_grad=True)
    optimizer = make([w, gs.ones(2, requires_grad=True)], maximize=True)
    w.sum().backward()
    optimizer.step()
    assert (w > 0).all()
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        make([w], lr=-1)
    if "betas" in OPTIONS[kind]:
        with pytest.raises(TypeError, match="a pair of numbers"):
            make([w], betas=0.9)


def rates(make, count, base=0.5):
    w = gs.ones(1, requires_grad=True)
    optimizer = optim.SGD([w], lr=base)
    schedule = make(optimizer)
    found = schedule.get_last_lr()
    for _ in range(count):
        optimizer.step()
        schedule.step()
        found = found + schedule.get_last_lr()
    return found


def test_warm_restarts():
    def cosine(past, period):
        return 0.1 + 0.4 * (1 + math.cos(math.pi * past / period)) / 2

    places = [(0, 2), (1, 2), (0, 4), (1, 4), (2, 4), (3, 4), (0, 8), (1, 8)]
    got = rates(
        lambda o: optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 2, T_mult=2, eta_min=0.1), 7
    )
    assert got == pytest.approx([cosine(*place) for place in places])
    with pytest.raises(ValueError, match="T_0"):
        rates(lambda o: optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 0), 1)


def test_polynomial():
    got = rates(lambda o: optim.lr_scheduler.PolynomialLR(o, 4, power=2.0), 6)
    assert got == pytest.approx([0.5 * (1 - min(e, 4) / 4) ** 2 for e in range(7)])


# ------------------------------------------------------------------------------------------ models


@pytest.mark.parametrize("small_input", [False, True])
def test_the_children_of_a_resnet_are_its_steps(small_input):
    model = gs.models.resnet18(num_classes=3, width=8, small_input=small_input).eval()
    x = gs.randn(2, 3, 64, 64)
    features = nn.Sequential(*list(model.children())[:-1])
    assert [name for name, _ in model.named_children()] == [
        "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc",
    ]  # fmt: skip
    with gs.no_grad():
        assert gs.equal(model.fc(features(x).flatten(1)), model(x))
