"""CIFAR in both versions, folders of files, images in a tar, random images."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import os
import pickle
import struct
import tarfile
import threading
import tracemalloc
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone.utils.data import DataLoader
from gradstone.vision import datasets
from gradstone.vision import transforms as T

ROOT = Path(__file__).resolve().parents[2]
CIFAR_JPEG = ROOT.parent / "shared" / "data" / "cifar10-jpeg" / "cifar10-jpeg.tar.xz"
PER_FILE = 6
NAMES = [f"kind{i}" for i in range(10)]


def random_images(n, seed):
    """Bytes (n, 3, 32, 32) and labels (n)."""
    generator = np.random.default_rng(seed)
    return (
        generator.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8),
        generator.integers(0, 10, n).tolist(),
    )


def python_files(hundred=False):
    """Name -> contents of the python version, and its training images and labels."""
    parts = [random_images(PER_FILE, seed) for seed in range(6)]
    label_key, names_key = ("fine_labels", "fine_label_names") if hundred else ("labels",) * 2
    files = ["train", "test"] if hundred else [f"data_batch_{i + 1}" for i in range(5)]
    files = files if hundred else [*files, "test_batch"]
    out = {
        name: pickle.dumps({"data": pixels.reshape(PER_FILE, -1), label_key: labels}, 2)
        for name, (pixels, labels) in zip(files, parts)
    }
    meta = "meta" if hundred else "batches.meta"
    out[meta] = pickle.dumps({names_key if hundred else "label_names": NAMES}, 2)
    train = parts[: len(files) - 1]
    pixels = np.concatenate([pixels for pixels, _ in train])
    return out, pixels, [label for _, labels in train for label in labels]


def binary_files():
    """The binary version of the same."""
    out = {"batches.meta.txt": "\n".join([*NAMES, ""]).encode()}
    for seed in range(6):
        pixels, labels = random_images(PER_FILE, seed)
        records = np.column_stack([np.array(labels, np.uint8), pixels.reshape(PER_FILE, -1)])
        name = f"data_batch_{seed + 1}.bin" if seed < 5 else "test_batch.bin"
        out[name] = records.astype(np.uint8).tobytes()
    return out


def write(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def tar_of(folder, files, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}" if folder else name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


# -------------------------------------------------------------------------------------------- CIFAR


def test_cifar10_from_pickles(tmp_path):
    files, pixels, labels = python_files()
    write(tmp_path / "cifar-10-batches-py", files)
    data = datasets.CIFAR10(tmp_path)
    assert data.data.shape == (5 * PER_FILE, 32, 32, 3)
    np.testing.assert_array_equal(data.data, pixels.transpose(0, 2, 3, 1))
    assert data.targets == labels
    assert data.classes == NAMES
    assert data.class_to_idx["kind3"] == 3
    assert len(datasets.CIFAR10(tmp_path, train=False)) == PER_FILE
    assert "Split: Train" in repr(data)
    image, label = data[7]
    assert np.array_equal(np.asarray(image), pixels[7].transpose(1, 2, 0))
    assert label == labels[7]


def test_cifar10_from_the_binary_version(tmp_path):
    _, pixels, labels = python_files()
    write(tmp_path / "cifar-10-batches-bin", binary_files())
    data = datasets.CIFAR10(tmp_path)
    np.testing.assert_array_equal(data.data, pixels.transpose(0, 2, 3, 1))
    assert (data.targets, data.classes) == (labels, NAMES)
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match=r"data_batch_2.bin is damaged.*records of 3073"):
        datasets.CIFAR10(tmp_path)


def test_cifar100_in_both_versions(tmp_path):
    files, pixels, labels = python_files(hundred=True)
    write(tmp_path / "a" / "cifar-100-python", files)
    data = datasets.CIFAR100(tmp_path / "a")
    np.testing.assert_array_equal(data.data, pixels.transpose(0, 2, 3, 1))
    assert data.targets == labels
    records = np.column_stack(
        [np.full(PER_FILE, 9), np.array(labels), pixels.reshape(PER_FILE, -1)]
    )
    content = records.astype(np.uint8).tobytes()
    names = {"fine_label_names.txt": "\n".join(NAMES).encode()}
    write(tmp_path / "b" / "cifar-100-binary", {"train.bin": content, "test.bin": content, **names})
    other = datasets.CIFAR100(tmp_path / "b")
    np.testing.assert_array_equal(other.data, data.data)
    assert other.targets == labels


def test_cifar_archives_are_checked_and_unpacked(tmp_path, monkeypatch):
    archive = tar_of("cifar-10-batches-py", python_files()[0])
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(archive)
    with pytest.raises(RuntimeError, match="is damaged: its MD5"):
        datasets.CIFAR10(tmp_path)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive).hexdigest())
    monkeypatch.setattr(datasets.CIFAR10, "urls", ["http://127.0.0.1:9/none"])
    assert len(datasets.CIFAR10(tmp_path, download=True)) == 5 * PER_FILE
    (tmp_path / "cifar-10-python.tar.gz").unlink()
    assert len(datasets.CIFAR10(tmp_path, download=True)) == 5 * PER_FILE


def test_cifar_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="download=True"):
        datasets.CIFAR10(tmp_path)
    monkeypatch.setattr(datasets.CIFAR10, "urls", ["http://127.0.0.1:9/none"])
    with pytest.raises(RuntimeError, match="is there a network"):
        datasets.CIFAR10(tmp_path, download=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": np.zeros((2, 3071), np.uint8), "labels": [0, 1]}, "damaged: expected bytes"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}, "damaged: expected bytes"),
        ({"data": np.zeros((2, 3072), np.float32), "labels": [0, 1]}, "damaged: expected bytes"),
        ({"data": "text", "labels": [0]}, "damaged: expected bytes"),
        ({"labels": [0]}, "holds no data"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, "labels from"),
        (np.array([os.system], object), "not read"),
    ],
)
def test_cifar_files_that_are_wrong(tmp_path, changed, message):
    files, _, _ = python_files()
    files["data_batch_3"] = pickle.dumps(changed, 2)
    write(tmp_path / "cifar-10-batches-py", files)
    with pytest.raises(RuntimeError, match=message):
        datasets.CIFAR10(tmp_path)


def test_cifar_batches_equal_single_items_and_show_changes(tmp_path):
    write(tmp_path / "cifar-10-batches-py", python_files()[0])
    steps = [T.ToTensor(), T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))]
    data = datasets.CIFAR10(tmp_path, transform=T.Compose(steps))
    loader = DataLoader(data, batch_size=11)
    assert loader._gathers()
    images, labels = zip(*[data[i] for i in range(len(data))])
    assert gs.equal(gs.cat([batch for batch, _ in loader]), gs.stack(list(images)))
    assert [n for _, batch in loader for n in batch.tolist()] == list(labels)
    data.data, data.targets = data.data[5:9], [7, 8, 9, 9]
    images, labels = next(iter(loader))
    assert images.shape == (4, 3, 32, 32)
    assert labels.tolist() == [7, 8, 9, 9]


def test_files_from_a_server(tmp_path, monkeypatch):
    """CIFAR's archive and KMNIST's four files, as they are downloaded for the first time."""
    served = tmp_path / "served"
    archive = tar_of("cifar-10-batches-py", python_files()[0])
    names = {"cifar.tar.gz": archive}
    for part, count in (("train", 3), ("t10k", 2)):
        header = struct.pack(">BBBB3I", 0, 0, 8, 3, count, 28, 28)
        names[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(header + bytes(count * 784))
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, count) + bytes(range(count))
        names[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(labels)
    write(served, names)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(datasets.CIFAR10, "urls", [f"{address}none", f"{address}cifar.tar.gz"])
        monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive).hexdigest())
        monkeypatch.setattr(datasets.KMNIST, "mirrors", [address])
        sums = {n: md5(names[n]).hexdigest() for n in datasets.KMNIST.resources}
        monkeypatch.setattr(datasets.KMNIST, "resources", sums)
        assert len(datasets.CIFAR10(tmp_path / "new" / "c", download=True)) == 5 * PER_FILE
        assert len(datasets.KMNIST(tmp_path / "new" / "k", download=True)) == 3
        server.shutdown()
    kept = datasets.KMNIST(tmp_path / "new" / "k", train=False, download=True)
    assert kept.targets.tolist() == [0, 1]


def test_kmnist_is_looked_for_in_its_own_folder(tmp_path):
    with pytest.raises(RuntimeError, match=r"KMNIST/raw"):
        datasets.KMNIST(tmp_path)
    assert datasets.KMNIST.classes[1] == "ki"


# ------------------------------------------------------------------------------------------ folders


@pytest.fixture
def folder(tmp_path):
    """dog: 2 pictures, one of them deeper and in capitals; cat: 1; and a file that is none."""
    image = pytest.importorskip("PIL.Image")
    for name, grey in (("dog/b.png", 1), ("dog/deep/a.PNG", 2), ("cat/x.png", 3)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.new("L", (4, 3), grey).save(path, format="png")
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "readme.txt").write_text("no class")
    return tmp_path


def test_image_folder(folder):
    data = datasets.ImageFolder(folder)
    assert data.classes == ["cat", "dog"]
    assert data.class_to_idx == {"cat": 0, "dog": 1}
    names = [Path(path).relative_to(folder).as_posix() for path, _ in data.imgs]
    assert names == ["cat/x.png", "dog/b.png", "dog/deep/a.PNG"]
    assert data.targets == [0, 1, 1]
    image, label = data[2]
    assert (image.mode, image.size, image.getpixel((0, 0)), label) == ("RGB", (4, 3), (2, 2, 2), 1)
    data.transform = T.ToTensor()
    batch, labels = next(iter(DataLoader(data, 3)))
    assert batch.shape == (3, 3, 3, 4)
    assert labels.tolist() == [0, 1, 1]
    assert "Number of datapoints: 3" in repr(data)


def test_workers_change_nothing_of_pil_images(folder):
    steps = [
        T.RandomResizedCrop(6),
        T.Lambda(lambda image: image.convert("RGB")),  # sees PIL images
        T.RandomAffine(20, (0.2, 0.2)),
        T.RandomApply([T.ColorJitter(0.5), T.Lambda(lambda image: image.copy())]),
        T.ToTensor(),
        T.RandomErasing(value="random"),
    ]
    data = datasets.ImageFolder(folder, T.Compose(steps))
    got = []
    for workers in (0, 1, 2):
        loader = DataLoader(data, 2, num_workers=workers, generator=gs.Generator().manual_seed(3))
        got.append(gs.cat([images for _ in range(4) for images, _ in loader]))
    assert gs.equal(got[0], got[1]) and gs.equal(got[0], got[2])
    assert not gs.equal(got[0][:3], got[0][3:6])


def test_which_files_count(folder):
    chosen = datasets.ImageFolder(folder, is_valid_file=lambda p: p.endswith((".txt", "b.png")))
    assert [label for _, label in chosen.samples] == [0, 1]
    texts = datasets.DatasetFolder(
        folder, lambda path: Path(path).read_text(), (".txt",), allow_empty=True
    )
    assert texts[0] == ("no picture", 0)
    assert len(texts) == 1
    with pytest.raises(FileNotFoundError, match=r"classes dog. Supported extensions are: .txt"):
        datasets.DatasetFolder(folder, open, (".txt",))
    with pytest.raises(ValueError, match="extensions and is_valid_file"):
        datasets.DatasetFolder(folder, open)
    with pytest.raises(ValueError, match="extensions and is_valid_file"):
        datasets.DatasetFolder(folder, open, ".txt", is_valid_file=bool)


def test_empty_folders_and_files_that_are_no_images(folder):
    (folder / "emu").mkdir()
    with pytest.raises(FileNotFoundError, match="classes emu"):
        datasets.ImageFolder(folder)
    assert datasets.ImageFolder(folder, allow_empty=True).class_to_idx["emu"] == 2
    with pytest.raises(FileNotFoundError, match="any class folder"):
        datasets.ImageFolder(folder / "emu")
    (folder / "emu" / "bad.png").write_bytes(b"no image")
    with pytest.raises(RuntimeError, match=r"bad.png could not be read as an image"):
        datasets.ImageFolder(folder)[3]


# --------------------------------------------------------------------------------------- fake, tars


def test_fake_data_depends_on_the_index_alone():
    data = datasets.FakeData(20, (3, 5, 4), 7, transform=T.PILToTensor())
    images = [data[i][0] for i in range(20)]
    labels = [data[i][1] for i in range(20)]
    assert images[0].shape == (3, 5, 4)
    assert set(labels) <= set(range(7)) and len(set(labels)) > 2
    assert not gs.equal(images[0], images[1])
    gs.manual_seed(5)
    for workers in (0, 2):
        batches = list(DataLoader(data, 3, num_workers=workers))
        assert gs.equal(gs.cat([batch for batch, _ in batches]), gs.stack(images))
        assert gs.cat([batch for _, batch in batches]).tolist() == labels
    other = datasets.FakeData(20, (3, 5, 4), 7, transform=T.PILToTensor(), random_offset=4)
    assert gs.equal(other[1][0], images[5])
    assert gs.equal(data[-1][0], images[19])
    with pytest.raises(IndexError, match="20 items"):
        data[20]
    with pytest.raises(ValueError, match="channels"):
        datasets.FakeData(1, (5, 4, 4))
    assert len(list(data)) == 20
    assert np.asarray(datasets.FakeData(1, (1, 5, 4))[0][0]).shape == (5, 4)


def pngs(size=(4, 3)):
    image = pytest.importorskip("PIL.Image")
    out = {}
    for split, classes in (("train", "ba"), ("test", "ab")):
        for name in classes:
            for i in (1, 0):
                buffer = io.BytesIO()
                grey = 10 * (split == "test") + 4 * (name == "b") + i
                image.new("RGB", size, (grey, 0, 0)).save(buffer, format="png")
                out[f"{split}/{name}/{i:04d}.png"] = buffer.getvalue()
    return {**out, "train/readme.txt": b"text", "train/a/.hidden": b"text"}


def test_images_in_a_tar(tmp_path):
    path = tmp_path / "small.tar.xz"
    path.write_bytes(tar_of("", pngs(), "w:xz"))
    data = datasets.TarImages(path, "train", transform=T.ToTensor(), cache=tmp_path / "kept")
    assert data.data.shape == (4, 3, 4, 3)
    assert data.data[:, 0, 0, 0].tolist() == [0, 1, 4, 5]
    assert data.targets == [0, 0, 1, 1]
    assert data.class_to_idx == {"a": 0, "b": 1}
    assert DataLoader(data, 2)._gathers()
    assert "Split: train" in repr(data)
    assert datasets.TarImages(path, "test").data[:, 0, 0, 0].tolist() == [10, 11, 14, 15]
    with pytest.raises(RuntimeError, match="holds no images valid/<class>/<name>"):
        datasets.TarImages(path, "valid")
    with pytest.raises(FileNotFoundError, match="no archive"):
        datasets.TarImages(tmp_path / "none.tar")


def test_the_cache_of_a_tar(tmp_path):
    path, kept = tmp_path / "small.tar", tmp_path / "kept"
    path.write_bytes(tar_of("", pngs(), "w:"))
    first = datasets.read_image_tar(path, "test", kept)
    assert sorted(p.name for p in kept.iterdir()) == ["small-test.json", "small-test.npy"]
    marked = first.images + 1
    np.save(kept / "small-test.npy", marked)  # now one sees that it is read
    again = datasets.read_image_tar(path, "test", kept)
    np.testing.assert_array_equal(again.images, marked)
    np.testing.assert_array_equal(again.targets, first.targets)
    assert again.classes == first.classes
    (kept / "small-test.npy").write_bytes(b"damaged")
    np.testing.assert_array_equal(datasets.read_image_tar(path, "test", kept).images, first.images)
    np.save(kept / "small-test.npy", marked)
    os.utime(path, ns=(1, 1))  # another archive
    np.testing.assert_array_equal(datasets.read_image_tar(path, "test", kept).images, first.images)


def test_tars_that_are_wrong(tmp_path):
    path = tmp_path / "small.tar"
    other = {"train/c/0.png": pngs((5, 5))["train/a/0000.png"]}
    path.write_bytes(tar_of("", {**pngs(), **other}, "w:"))
    with pytest.raises(RuntimeError, match="c/0.png is 5x5, the first image 4x3"):
        datasets.read_image_tar(path)
    path.write_bytes(tar_of("", {**pngs(), "train/a/x.png": b"no image"}, "w:"))
    with pytest.raises(RuntimeError, match="a/x.png is no image"):
        datasets.read_image_tar(path)
    path.write_bytes(tar_of("", {**pngs(), "../a/x.png": b"outside"}, "w:"))
    with pytest.raises(RuntimeError, match="outside the folder"):
        datasets.read_image_tar(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(RuntimeError, match="could not be read"):
        datasets.read_image_tar(path)


@pytest.mark.slow
def test_cifar10_as_jpeg(tmp_path):
    """The shared archive, whose measured mean stands in its description."""
    pytest.importorskip("PIL")
    if not CIFAR_JPEG.is_file():
        pytest.skip(f"there is no {CIFAR_JPEG}")
    test = datasets.TarImages(CIFAR_JPEG, "test")
    assert test.data.shape == (10_000, 32, 32, 3)
    assert np.bincount(test.targets).tolist() == [1000] * 10
    assert test.classes[0] == "airplane"


def idx(shape, content=b"", kind=8):
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx((1 << 16,) * 4), "header says 18446744073709551636"),
        (idx((2, 3), b"12345"), "17 bytes where its header says 18"),
        (idx((2, 3), b"1234567"), "19 bytes where"),
        (idx((1,) * 200, b"1"), "not an IDX file"),
        (idx((2,)), "12 bytes|8 bytes where"),
        (b"\0\0\x08\x02\0\0", "header is not complete"),
        (b"", "not an IDX file"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files_that_are_wrong(tmp_path, data, message, pack):
    (tmp_path / "x").write_bytes(pack(data))
    with pytest.raises(RuntimeError, match=f"x .*({message})"):
        datasets.read_idx(tmp_path / "x")


def test_packed_idx_files(tmp_path):
    data = idx((3, 1000), bytes(range(200)) * 15)
    packed = gzip.compress(data)
    (tmp_path / "x").write_bytes(packed)
    np.testing.assert_array_equal(datasets.read_idx(tmp_path / "x").ravel(), list(data[12:]))
    # Two members, one after the other, are one file.
    (tmp_path / "x").write_bytes(gzip.compress(data[:100]) + gzip.compress(data[100:]))
    np.testing.assert_array_equal(datasets.read_idx(tmp_path / "x").ravel(), list(data[12:]))
    for place in range(10, len(packed)):
        changed = bytearray(packed)
        changed[place] ^= 0x55
        for wrong in (bytes(changed), packed[:place]):
            (tmp_path / "x").write_bytes(wrong)
            with pytest.raises(RuntimeError, match="x is"):
                datasets.read_idx(tmp_path / "x")


def test_a_small_file_that_unpacks_to_a_large_one(tmp_path):
    (tmp_path / "x").write_bytes(gzip.compress(idx((4,)) + bytes(1 << 24)))
    tracemalloc.start()
    with pytest.raises(RuntimeError, match="damaged"):
        datasets.read_idx(tmp_path / "x")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx((2, 3, 3), bytes(18)), idx((2,), b"\0\x0a"), "labels from 0 to 10 for 10 classes"),
        (idx((2, 3, 3), bytes(72), 13), idx((2,), b"\0\1"), "bytes, got float32 and uint8"),
        (idx((2, 3, 3), bytes(18)), idx((1,), b"\0"), "do not belong together"),
    ],
)
def test_mnist_files_that_are_wrong(tmp_path, images, labels, message):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(RuntimeError, match=message):
        datasets.MNIST(tmp_path)


@pytest.mark.parametrize("member", [0, 1, 2])
def test_a_tar_that_breaks_off_is_not_half_a_data_set(tmp_path, member):
    pil = pytest.importorskip("PIL.Image")
    image = io.BytesIO()
    pil.new("RGB", (4, 4)).save(image, "PNG")
    content = {f"train/a/{i}.png": image.getvalue() for i in range(3)}
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    whole = path.read_bytes()
    assert len(datasets.read_image_tar(path).images) == 3
    start = 1024 * member  # of its header
    for wrong in (whole[: start + 1024], whole[:start] + b"x" + whole[start + 1 :]):
        path.write_bytes(wrong)
        with pytest.raises(RuntimeError, match=r"x\.tar could not be read"):
            datasets.read_image_tar(path)


def test_links_that_lead_back_are_not_followed(tmp_path):
    (tmp_path / "a" / "more").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("a/1.png", "a/more/2.png", "elsewhere/3.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a" / "more" / "back").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "top").symlink_to("/")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "elsewhere")
    found = datasets.folder.make_dataset(tmp_path, {"a": 0}, ".png")
    names = [os.path.relpath(path, tmp_path / "a") for path, _ in found]
    assert names == ["1.png", "again/3.png", "link/3.png", "more/2.png"]
