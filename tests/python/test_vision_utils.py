"""Grids of images, and image files read and written."""

from __future__ import annotations

import io

import numpy as np
import pytest

import gradstone as gs
from gradstone.vision.datasets.folder import pil_loader
from gradstone.vision.io import ImageReadMode, read_image, write_jpeg, write_png
from gradstone.vision.utils import make_grid, save_image


def test_a_grid_by_hand():
    images = gs.arange(5).reshape(5, 1, 1, 1).float().expand(5, 1, 2, 3) + 1
    grid = make_grid(images, nrow=3, padding=1, pad_value=9)
    assert grid.shape == (3, 7, 13)
    want = np.full((7, 13), 9.0)
    for i in range(5):
        top, left = 1 + 3 * (i // 3), 1 + 4 * (i % 3)
        want[top : top + 2, left : left + 3] = i + 1
    for channel in range(3):
        np.testing.assert_array_equal(grid[channel].numpy(), want)


def test_forms_of_images():
    images = gs.rand(4, 3, 5, 6)
    grid = make_grid(images)
    assert grid.shape == (3, 9, 34)  # four in a row: 2 + 5 + 2 high, 2 + 4 * 8 wide
    assert gs.equal(make_grid(list(images)), grid)
    assert gs.equal(make_grid(images[0]), images[0])
    assert make_grid(images[0, 0]).shape == (3, 5, 6)
    assert make_grid(images[:, :1], padding=0).shape == (3, 5, 24)
    assert make_grid(gs.ones(2, 1, 2, 2, dtype=gs.uint8), pad_value=7).dtype == gs.uint8
    assert not make_grid(gs.rand(2, 3, 2, 2, requires_grad=True)).requires_grad


def test_normalized_grids():
    images = gs.tensor([[0.0, 2.0], [4.0, 8.0]]).reshape(2, 1, 1, 2)
    kept = images.clone()

    def values(**options):
        return make_grid(images, padding=0, normalize=True, **options)[0, 0].tolist()

    assert values() == [0, 0.25, 0.5, 1]
    assert values(scale_each=True) == [0, 1, 0, 1]
    assert values(value_range=(0, 4)) == [0, 0.5, 1, 1]
    assert gs.equal(images, kept)
    assert make_grid(gs.zeros(2, 1, 2, 2), normalize=True).max().item() == 0


def test_grids_that_are_refused():
    with pytest.raises(TypeError, match="tensor or list of tensors"):
        make_grid(np.zeros((2, 3, 4, 4)))
    with pytest.raises(ValueError, match="at least one image"):
        make_grid([])
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        make_grid(gs.zeros(1, 2, 3, 4, 5))
    with pytest.raises(ValueError, match="nrow >= 1"):
        make_grid(gs.zeros(2, 3, 4, 4), nrow=0)
    with pytest.raises(ValueError, match="go with normalize"):
        make_grid(gs.zeros(2, 3, 4, 4), value_range=(0, 1))
    with pytest.raises(TypeError, match="floats"):
        make_grid(gs.zeros(2, 3, 4, 4, dtype=gs.uint8), normalize=True)


def test_save_image(tmp_path):
    image = pytest.importorskip("PIL.Image")
    x = gs.tensor([-1.0, 0.0, 0.5, 0.999, 1.0, 2.0]).reshape(1, 1, 6)
    save_image(x, tmp_path / "a.png")
    pixels = np.asarray(image.open(tmp_path / "a.png"))
    assert pixels.shape == (1, 6, 3)
    assert pixels[0, :, 0].tolist() == [0, 0, 128, 255, 255, 255]
    file = io.BytesIO()
    save_image([x] * 3, file, format="png", nrow=2, padding=1)
    assert image.open(file).size == (15, 5)
    save_image(gs.ones(3, 2, 2, dtype=gs.uint8) * 77, str(tmp_path / "b.png"))
    assert read_image(tmp_path / "b.png").unique().tolist() == [77]
    with pytest.raises(ValueError, match="1, 3 or 4 channels"):
        save_image(gs.zeros(2, 3, 3), tmp_path / "c.png")
    with pytest.raises(TypeError, match="floats or uint8"):
        save_image(gs.zeros(3, 3, 3, dtype=gs.int64), tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()


def test_read_image(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 4), dtype=np.uint8)
    for mode, channels in (("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)):
        path = tmp_path / f"{mode}.png"
        data = np.ascontiguousarray(pixels[:, :, :channels])
        image.fromarray(data[:, :, 0] if channels == 1 else data, mode).save(path)
        got = read_image(path)
        assert got.dtype == gs.uint8
        np.testing.assert_array_equal(got.numpy().transpose(1, 2, 0), data)
    assert read_image(tmp_path / "RGBA.png", "rgb").shape == (3, 4, 5)
    grey = read_image(tmp_path / "RGB.png", ImageReadMode.GRAY)
    want = np.asarray(image.open(tmp_path / "RGB.png").convert("L"))
    np.testing.assert_array_equal(grey[0].numpy(), want)
    image.fromarray(pixels[:, :, :3]).quantize(8).save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (3, 4, 5)
    image.new("1", (5, 4), 1).save(tmp_path / "1.png")
    assert read_image(tmp_path / "1.png").max().item() == 255


def test_photographs_are_turned(tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = image.new("RGB", (5, 4))
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera lay on its side
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (3, 4, 5)
    assert read_image(tmp_path / "a.jpg", apply_exif_orientation=True).shape == (3, 5, 4)


def test_written_images_come_back(tmp_path):
    pytest.importorskip("PIL")
    x = gs.from_numpy(np.random.default_rng(1).integers(0, 256, (3, 6, 7), dtype=np.uint8))
    for channels in (1, 3):
        write_png(x[:channels], tmp_path / "a.png")
        assert gs.equal(read_image(tmp_path / "a.png"), x[:channels])
    smooth = gs.ones(3, 8, 8, dtype=gs.uint8) * 100
    write_jpeg(smooth, tmp_path / "a.jpg", quality=95)
    error = read_image(tmp_path / "a.jpg").float() - smooth.float()
    assert error.abs().max().item() <= 2
    with pytest.raises(ValueError, match="1 or 3"):
        write_png(gs.zeros(2, 3, 3, dtype=gs.uint8), tmp_path / "b.png")
    with pytest.raises(TypeError, match="uint8"):
        write_png(gs.zeros(3, 3, 3), tmp_path / "b.png")
    with pytest.raises(ValueError, match="quality is from 1 to 100"):
        write_jpeg(x, tmp_path / "b.jpg", quality=0)


def test_files_that_are_no_images(tmp_path):
    pytest.importorskip("PIL")
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(RuntimeError, match=r"bad\.png could not be read as an image"):
        read_image(tmp_path / "bad.png")
    with pytest.raises(ValueError, match="mode is one of UNCHANGED, GRAY"):
        read_image(tmp_path / "bad.png", "purple")


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_the_upper_bits_of_16(tmp_path, ending):
    pil = pytest.importorskip("PIL.Image")
    path = tmp_path / f"x.{ending}"
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    pil.fromarray(values).save(path)
    assert read_image(path).tolist() == [[[0, 0, 1, 128, 255]]]
    assert read_image(path, "rgb", True)[2].tolist() == [[0, 0, 1, 128, 255]]
    assert np.asarray(pil_loader(path))[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_images_of_32_bits_are_refused(tmp_path, dtype):
    pil = pytest.importorskip("PIL.Image")
    pil.fromarray(np.ones((2, 2), dtype)).save(tmp_path / "x.tif")
    for read in (read_image, pil_loader):
        with pytest.raises(RuntimeError, match=r"x\.tif .*32 bits"):
            read(tmp_path / "x.tif")
