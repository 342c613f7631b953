"""The CUDA device from Python: on the emulator (`make test-emu`) or a GPU what it does, without one
what it says."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import _C, nn, optim

needs_device = pytest.mark.skipif(
    not gs.cuda.is_available(), reason="no CUDA device: run by `make test-emu`"
)
without_device = pytest.mark.skipif(gs.cuda.is_available(), reason="there is a CUDA device")


# ---- without a device


@without_device
def test_without_a_device_questions_have_answers():
    assert gs.cuda.device_count() == 0
    assert not gs.cuda.is_initialized()
    assert gs.cuda.get_rng_state_all() == []
    gs.cuda.empty_cache()
    gs.cuda.manual_seed_all(3)


@without_device
@pytest.mark.parametrize(
    "call",
    [
        lambda: gs.zeros(2, device="cuda"),
        lambda: gs.ones(2).cuda(),
        lambda: gs.ones(2).to("cuda"),
        lambda: nn.Linear(2, 2).cuda(),
        gs.cuda.synchronize,
        gs.cuda.current_device,
        gs.cuda.get_device_name,
        gs.cuda.memory_allocated,
        gs.cuda.Stream,
        gs.cuda.Event,
    ],
)
def test_without_a_device_the_rest_says_so(call):
    with pytest.raises(RuntimeError, match="CUDA|GPU"):
        call()


def test_the_configuration_names_the_device():
    words = "built, no device" if _C._cuda_built() else "not built"
    if gs.cuda.is_available():
        words = gs.cuda.get_device_name()
    assert f"CUDA: {words}" in gs.show_config()


def test_devices_are_named_like_torchs():
    with pytest.raises(ValueError, match="expected a CUDA device"):
        gs.cuda.get_device_name("cpu")


# ---- with one


@needs_device
def test_the_device_is_described():
    assert gs.cuda.get_device_name()
    assert gs.cuda.get_device_capability() >= (8, 0)
    assert gs.cuda.get_device_properties("cuda:0").total_memory > 0
    assert gs.cuda.current_device() == 0
    with pytest.raises(RuntimeError, match="cuda:1"):
        gs.zeros(1, device="cuda:1")


@needs_device
def test_tensors_go_there_and_back():
    x = gs.arange(24).reshape(2, 3, 4).float()
    y = x.transpose(0, 2).cuda()
    assert y.is_cuda and str(y.device) == "cuda:0"
    assert y.shape == (4, 3, 2)
    assert np.array_equal(y.cpu().numpy(), x.transpose(0, 2).numpy())
    assert y[1, 2, 1].item() == x[1, 2, 1].item()
    assert y.tolist() == x.transpose(0, 2).tolist()
    with pytest.raises(TypeError, match="cpu"):
        y.numpy()
    x.requires_grad_()
    (x.to("cuda") * 2).sum().backward()
    assert x.grad.device.type == "cpu"
    assert (x.grad == 2).all()


@needs_device
def test_devices_do_not_mix_but_for_numbers():
    here, there = gs.ones(3), gs.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="one device"):
        here + there
    assert (there + gs.tensor(2.0)).tolist() == [3, 3, 3]
    assert (2 * there - 1).device.type == "cuda"


@needs_device
def test_the_same_seed_gives_the_same_numbers():
    for draw in (gs.rand, gs.randn):
        gs.manual_seed(5)
        here = draw(1001)
        gs.manual_seed(5)
        there = draw(1001, device="cuda").cpu()
        if draw is gs.rand:
            assert (here == there).all()
        else:
            assert np.allclose(here.numpy(), there.numpy(), rtol=1e-5, atol=1e-6)


@needs_device
def test_streams_and_events():
    first, second = gs.cuda.Stream(), gs.cuda.Stream()
    x = gs.ones(1000, device="cuda")
    first.wait_stream(gs.cuda.current_stream())
    with gs.cuda.stream(first):
        y = x * 3
        done = first.record_event()
    with second:
        second.wait_event(done)
        z = y + 1
        _C._cuda_record_stream(y, second)
    second.synchronize()
    assert second.query() and done.query()
    assert (z == 4).all().item()
    begin, end = gs.cuda.Event(enable_timing=True), gs.cuda.Event(enable_timing=True)
    begin.record()
    with pytest.raises(RuntimeError, match="recorded"):
        begin.elapsed_time(end)
    end.record()
    end.synchronize()
    assert begin.elapsed_time(end) >= 0


@needs_device
def test_memory_is_counted_reused_and_limited():
    gs.cuda.empty_cache()
    before = gs.cuda.memory_allocated()
    x = gs.zeros(1 << 18, device="cuda")
    assert gs.cuda.memory_allocated() - before >= 1 << 20
    assert gs.cuda.max_memory_allocated() >= gs.cuda.memory_allocated()
    reserved = gs.cuda.memory_reserved()
    del x
    y = gs.zeros(1 << 18, device="cuda")
    assert gs.cuda.memory_reserved() == reserved, "a freed block was not used again"
    gs.cuda.set_memory_limit(reserved + (1 << 20))
    try:
        with pytest.raises(MemoryError, match="in use"):
            gs.zeros(1 << 24, device="cuda")
        assert y.sum().item() == 0  # everything stays usable
    finally:
        gs.cuda.set_memory_limit(0)


@needs_device
def test_products_of_float32_may_use_tensor_cores():
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    want = a.astype(np.float64) @ b.astype(np.float64)
    errors = {}
    try:
        for precision in ("highest", "high", "medium"):
            gs.set_float32_matmul_precision(precision)
            assert gs.get_float32_matmul_precision() == precision
            got = (gs.tensor(a, device="cuda") @ gs.tensor(b, device="cuda")).cpu().numpy()
            errors[precision] = np.abs(got - want).max()
        with pytest.raises(ValueError, match="highest"):
            gs.set_float32_matmul_precision("tf32")
        assert gs.get_float32_matmul_precision() == "medium"
    finally:
        gs.set_float32_matmul_precision("highest")
    assert errors["highest"] < 1e-5 and errors["high"] < 1e-5 < errors["medium"] < 3e-2


# ---- networks: the same losses as on the CPU


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * 16, 10),
    )


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.head = nn.Linear(6, 10)

    def forward(self, x: gs.Tensor) -> gs.Tensor:
        return self.head(self.lstm(x.reshape(-1, 8, 8))[0][:, -1])


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x: gs.Tensor) -> gs.Tensor:
        return self.head(self.layer(x.reshape(-1, 8, 8)).mean(1))


def losses(make, device: str, optimizer: str) -> list[float]:
    gs.manual_seed(1)
    model = make().to(device)
    step = getattr(optim, optimizer)(model.parameters(), lr=0.01)
    rng = np.random.default_rng(2)
    out = []
    for _ in range(4):
        x = gs.tensor(rng.standard_normal((6, 1, 8, 8)).astype(np.float32), device=device)
        y = gs.tensor(rng.integers(0, 10, 6), device=device)
        step.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        step.step()
        out.append(loss.item())
    return out


@needs_device
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop"])
@pytest.mark.parametrize("make", [convnet, Recurrent, Attentive])
def test_a_network_has_the_losses_of_the_cpu(make, optimizer):
    here, there = losses(make, "cpu", optimizer), losses(make, "cuda", optimizer)
    assert np.allclose(here, there, rtol=2e-4), (here, there)
    assert losses(make, "cuda", optimizer) == there, "not the same bits twice"


@needs_device
def test_checkpoints_cross_devices(tmp_path):
    model = convnet().cuda()
    gs.save(model.state_dict(), tmp_path / "model.gs")
    other = convnet()
    other.load_state_dict(gs.load(tmp_path / "model.gs", map_location="cpu"))
    for a, b in zip(model.parameters(), other.parameters()):
        assert b.device.type == "cpu"
        assert (a.cpu() == b).all()
    back = gs.load(tmp_path / "model.gs", map_location="cuda")
    assert all(t.is_cuda for t in back.values())


@needs_device
def test_an_index_out_of_range_is_told_to_who_waits():
    x = gs.arange(20.0, device="cuda").reshape(5, 4)
    bad = gs.tensor([0, 7], device="cuda")
    for call in (
        lambda: x[bad],
        lambda: nn.functional.embedding(bad, x),
        lambda: x.index_select(0, bad),
    ):
        y = call()  # does not wait, and reads nothing outside
        with pytest.raises(IndexError, match="7 is out of range for size 5"):
            y.tolist()
        assert y.shape == (2, 4)
        gs.cuda.synchronize()
    with pytest.raises(IndexError, match="target 9 is out of range for size 4"):
        nn.functional.cross_entropy(x, gs.tensor([0, 1, 9, 2, 3], device="cuda")).item()
    with pytest.raises(ValueError, match="probabilities"):
        nn.functional.binary_cross_entropy(x, x.clamp(0, 1)).item()
    assert x[gs.tensor([4, -5], device="cuda")].tolist() == [x[4].tolist(), x[0].tolist()]


@needs_device
def test_streams_wait_for_each_other():
    first, second, event = gs.cuda.Stream(), gs.cuda.Stream(), gs.cuda.Event()
    x = gs.arange(1000.0).to("cuda")
    first.wait_stream(gs.cuda.current_stream())
    with gs.cuda.stream(first):
        y = x * 2
    second.wait_stream(first)
    with gs.cuda.stream(second):
        z = y + 1
        second.record_event(event)
    gs.cuda.current_stream().wait_event(event)
    assert (z + 0).cpu().tolist() == [2.0 * i + 1 for i in range(1000)]
