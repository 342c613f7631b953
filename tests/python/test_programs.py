"""PyTorch programs as their users write them run unchanged, with `torch` meaning gradstone.

The programs are read from the folder that GRADSTONE_SEED_PROGRAMS names, or from
../shared/seed_programs beside the repository; what each must do is said in that folder's README.
"""

import contextlib
import io
import os
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.utils.data import DataLoader, TensorDataset
from gradstone.vision import datasets

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("GRADSTONE_SEED_PROGRAMS", ROOT.parent / "shared" / "seed_programs"))
MNIST_FOLDER = PROGRAMS.parent / "data" / "mnist"

pytestmark = [
    pytest.mark.skipif(
        not PROGRAMS.is_dir(),
        reason=f"no seed programs at {PROGRAMS}; set GRADSTONE_SEED_PROGRAMS to their folder",
    ),
    pytest.mark.skipif(
        not MNIST_FOLDER.is_dir(), reason=f"the seed programs need MNIST's files at {MNIST_FOLDER}"
    ),
]


@contextlib.contextmanager
def torch_means_gradstone(torchvision=None):
    """`import torch...` and `import torchvision...` give gradstone's modules inside."""
    vision = torchvision or gs.vision
    mapped = {"torchvision": vision, "torchvision.transforms": gs.vision.transforms}
    for name, module in list(sys.modules.items()):
        if name == "gradstone" or name.startswith("gradstone."):
            mapped["torch" + name.removeprefix("gradstone")] = module
    saved = {name: sys.modules.get(name) for name in mapped}
    sys.modules.update(mapped)
    try:
        yield
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def run(name, torchvision=None, **names):
    """The program's printed text and its variables."""
    text = (PROGRAMS / name).read_text(encoding="utf-8")
    variables = {"__name__": "__main__", **names}
    printed = io.StringIO()
    gs.manual_seed(0)
    with torch_means_gradstone(torchvision), contextlib.redirect_stdout(printed):
        exec(compile(text, name, "exec"), variables)
    return printed.getvalue(), variables


def mnist(train, size=28):
    """MNIST as float32 (N, 1, size, size) in [0, 1], zero-padded to `size`, and labels."""
    digits = datasets.MNIST(str(MNIST_FOLDER), train=train)
    images = digits.data.float().unsqueeze(1) / 255
    pad = (size - 28) // 2
    return nn.functional.pad(images, (pad, pad, pad, pad)), digits.targets


def losses_in(text):
    return [float(v) for v in re.findall(r"Loss: ([-\d.e]+)", text)]


def accuracy(model, images, labels):
    with gs.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def test_01_tensors_autograd_module():
    text, _ = run("torch_01_tensors_autograd_module.py")
    assert text == (
        "tensor([5, 7, 9])\n"
        "tensor([4.])\n"
        "SimpleNet(\n"
        "  (fc1): Linear(in_features=3, out_features=6, bias=True)\n"
        "  (fc2): Linear(in_features=6, out_features=1, bias=True)\n"
        ")\n"
    )


def test_02_lstm_classifier():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 128)
    means = rng.normal(size=(10, 128))
    inputs = rng.normal(size=(128, 12, 128)) * 0.5 + means[labels][:, None]
    data = TensorDataset(gs.tensor(inputs.astype(np.float32)), gs.tensor(labels))
    text, _ = run(
        "torch_02_lstm_classifier.py",
        train_loader=DataLoader(data, batch_size=32),
        device=gs.device("cpu"),
    )
    losses = losses_in(text)
    assert len(losses) == 10
    assert losses[-1] < losses[0] / 2


def test_03_linear_regression():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 2, size=(200, 1)).astype(np.float32)
    y = 3 * x + 2 + rng.normal(size=x.shape).astype(np.float32) * 0.05
    data = TensorDataset(gs.from_numpy(x), gs.from_numpy(y))
    _, names = run("torch_03_linear_regression.py", data_loader=DataLoader(data, batch_size=20))
    weight, bias = (p.item() for p in names["model"].parameters())
    assert abs(weight - 3) < 0.1
    assert abs(bias - 2) < 0.1


def test_04_convnet_trains():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 64)
    images = rng.normal(size=(64, 1, 12, 12)) * 0.1
    images[np.arange(64), 0, labels] += 1  # the class is the bright row
    data = TensorDataset(gs.tensor(images.astype(np.float32)), gs.tensor(labels))
    text, _ = run("torch_04_convnet.py", data_loader=DataLoader(data, batch_size=16))
    losses = losses_in(text)
    assert losses[-1] < losses[0]


def test_04_convnet_refuses_sizes_that_do_not_fit():
    data = TensorDataset(gs.zeros(4, 1, 28, 28), gs.zeros(4, dtype=gs.int64))
    with pytest.raises(ValueError, match=r"100.*\(4,\)|\(4,\).*100"):
        run("torch_04_convnet.py", data_loader=DataLoader(data, batch_size=4))


def test_05_linear_classifier():
    images, labels = mnist(True)
    data = TensorDataset(images[:20_000].reshape(-1, 784), labels[:20_000])
    loader = DataLoader(data, batch_size=500, shuffle=True)
    _, names = run("torch_05_linear_classifier.py", data_loader=loader)
    images, labels = mnist(False)
    assert accuracy(names["model"], images.reshape(-1, 784), labels) > 0.90


def vision_with(size):
    """A torchvision whose MNIST has images of this size and does not download."""

    class Digits(gs.utils.data.Dataset):
        def __init__(self, root, train=True, download=False, transform=None):
            images, labels = mnist(train, size)
            count = 3000 if train else 2000
            self.data = TensorDataset(images[:count], labels[:count])

        def __len__(self):
            return len(self.data)

        def __getitem__(self, i):
            image, label = self.data[i]
            return image, int(label)

    module = types.ModuleType("torchvision")
    module.datasets = types.SimpleNamespace(MNIST=Digits)
    module.transforms = gs.vision.transforms
    return module


def test_06_mnist_cnn_trains():
    text, names = run("torch_06_mnist_cnn.py", torchvision=vision_with(32))
    assert "Finished Training" in text
    printed = float(
        re.search(r"Accuracy of the network on the 10000 test images: ([\d.]+)%", text).group(1)
    )
    assert printed > 50  # ten times chance, after 10 epochs of 94 batches at lr 0.001
    assert printed == pytest.approx(100 * names["correct"] / names["total"])


def test_06_mnist_cnn_refuses_sizes_that_do_not_fit():
    with pytest.raises(
        (RuntimeError, ValueError), match=r"(?s)(576.*\(32, 16, 5, 5\)|\(32, 16, 5, 5\).*576)"
    ):
        run("torch_06_mnist_cnn.py", torchvision=vision_with(28))


def test_07_lenet():
    _, names = run("torch_07_lenet.py")
    gs.manual_seed(0)
    model, criterion = names["Net"](), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    images, labels = mnist(True, 32)
    for batch, target in DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True):
        optimizer.zero_grad()
        loss = criterion(model(batch), target)
        loss.backward()
        optimizer.step()
    images, labels = mnist(False, 32)
    assert accuracy(model, images, labels) >= 0.97
