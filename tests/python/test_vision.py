"""The digits that come with the repository, files in other places, and transforms."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone.utils.data import DataLoader
from gradstone.vision import datasets
from gradstone.vision import transforms as T

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "data" / "mnist10k"


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def small(tmp_path):
    """Four 28x28 images in torchvision's folders, not compressed."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    (raw / "train-images-idx3-ubyte").write_bytes(idx(images))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(4, dtype=np.uint8)))
    return tmp_path, images


def test_digits_of_the_repository():
    train, test = datasets.MNIST(DIGITS), datasets.MNIST(DIGITS, train=False)
    assert (len(train), len(test)) == (10_000, 2_000)
    assert train.data.dtype == gs.uint8
    assert train.data.shape == (10_000, 28, 28)
    assert train.targets.dtype == gs.int64
    assert set(train.targets[:1000].tolist()) == set(range(10))
    assert train.class_to_idx["3 - three"] == 3
    assert "Number of datapoints: 10000" in repr(train)


def test_torchvisions_layout_and_items(small):
    root, images = small
    data = datasets.MNIST(root, transform=T.ToTensor())
    image, label = data[2]
    assert image.shape == (1, 28, 28)
    assert image.dtype == gs.float32
    assert label == 2
    np.testing.assert_array_equal(image[0].numpy(), images[2].astype(np.float32) / 255)
    pytest.importorskip("PIL")
    picture, label = datasets.MNIST(root, target_transform=lambda y: y + 10)[3]
    assert picture.size == (28, 28)
    assert picture.mode == "L"
    assert label == 13


def test_without_pillow_items_are_arrays(small, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    root, images = small
    image, _ = datasets.MNIST(root)[1]
    np.testing.assert_array_equal(image, images[1])
    assert datasets.MNIST(root, transform=T.ToTensor())[1][0].shape == (1, 28, 28)
    assert T.Resize(4)(images[0]).shape == (4, 4)
    with pytest.raises(ImportError, match=r"gradstone\[vision\]"):
        T.ToPILImage()(images[0])


@pytest.mark.parametrize(
    "transform",
    [
        T.ToTensor(),
        T.Compose([T.ToTensor(), T.Normalize((0.13,), (0.31,))]),
        T.Compose([T.ToTensor(), T.Pad(2)]),
        T.Compose([T.ToTensor(), T.CenterCrop(20)]),
    ],
)
def test_whole_batches_equal_single_items(small, transform):
    root, _ = small
    data = datasets.MNIST(root, transform=transform)
    loader = DataLoader(data, batch_size=3)
    assert loader._gathers()
    images, labels = next(iter(loader))
    assert labels.tolist() == [0, 1, 2]
    assert gs.equal(images, gs.stack([data[i][0] for i in range(3)]))


def test_other_transforms_go_item_by_item(small):
    root, _ = small
    data = datasets.MNIST(root, transform=T.Compose([T.ToTensor(), T.Lambda(lambda x: x * 0)]))
    loader = DataLoader(data, batch_size=4)
    assert not loader._gathers()
    assert next(iter(loader))[0].sum().item() == 0


def test_damaged_and_missing_files(small, tmp_path):
    root, _ = small
    with pytest.raises(RuntimeError, match=r"no t10k-images.*download=True"):
        datasets.MNIST(root, train=False)
    path = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    with pytest.raises(RuntimeError, match="damaged"):
        datasets.MNIST(root)
    path.write_bytes(b"nonsense")
    with pytest.raises(RuntimeError, match="not an IDX file"):
        datasets.MNIST(root)
    path.write_bytes(gzip.compress(good)[:-20])
    with pytest.raises(RuntimeError, match="damaged"):
        datasets.MNIST(root)
    path.write_bytes(gzip.compress(good))
    assert len(datasets.MNIST(root)) == 4


def test_existing_files_need_no_network(small, monkeypatch):
    root, _ = small
    raw = root / "MNIST" / "raw"
    for part in ("images-idx3", "labels-idx1"):
        (raw / f"t10k-{part}-ubyte").write_bytes((raw / f"train-{part}-ubyte").read_bytes())
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    assert len(datasets.MNIST(root, train=False, download=True)) == 4


def test_no_network_is_said_clearly(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(RuntimeError, match=r"(?s)is there a network\?.*127\.0\.0\.1:9.*yourself"):
        datasets.FashionMNIST(tmp_path, download=True)


def test_to_tensor_and_normalize():
    image = np.array([[[0, 255, 51]] * 2], np.uint8)  # H W C
    x = T.ToTensor()(image)
    assert x.shape == (3, 1, 2)
    np.testing.assert_allclose(x[:, 0, 0].numpy(), [0, 1, 0.2], rtol=1e-6)
    y = T.Normalize([0.5, 0.5, 0.0], [0.5, 1.0, 0.1])(x)
    np.testing.assert_allclose(y[:, 0, 0].numpy(), [-1, 0.5, 2], rtol=1e-6)
    assert x[1, 0, 0].item() == 1
    with pytest.raises(TypeError):
        T.ToTensor()(x)
    with pytest.raises(TypeError):
        T.Normalize([0.5], [0.5])(image)
    with pytest.raises(ValueError, match="std evaluated to zero"):
        T.Normalize([0.5], [0.0])(x[:1])
    assert repr(T.Compose([T.ToTensor()])) == "Compose(\n    ToTensor()\n)"


def test_geometry():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert T.Pad(1)(image).shape == (5, 6)
    assert T.Pad((1, 2, 3, 4), fill=9)(image)[0, 0] == 9
    assert T.Pad((1, 2, 3, 4))(image).shape == (9, 8)
    np.testing.assert_array_equal(T.CenterCrop((1, 2))(image), image[1:2, 1:3])
    assert T.CenterCrop(6)(image).shape == (6, 6)
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1.0)(image), image[:, ::-1])
    np.testing.assert_array_equal(T.RandomHorizontalFlip(0.0)(image), image)
    crops = {T.RandomCrop(2)(image).tobytes() for _ in range(60)}
    assert len(crops) == 6
    assert T.RandomCrop(4, padding=1)(gs.zeros(1, 3, 4)).shape == (1, 4, 4)
    with pytest.raises(ValueError, match="larger than input"):
        T.RandomCrop(9)(image)
    assert T.ConvertImageDtype(gs.float32)(gs.tensor([255], dtype=gs.uint8)).item() == 1
    assert T.ConvertImageDtype(gs.uint8)(gs.tensor([1.0])).item() == 255


def test_resize():
    pytest.importorskip("PIL")
    image = np.zeros((4, 8), np.uint8)
    assert T.Resize((2, 3))(image).shape == (2, 3)
    assert T.Resize(2)(image).shape == (2, 4)
