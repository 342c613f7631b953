"""Functions that the transforms are built on: Pillow's bytes, every form of an image, errors."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone.vision import transforms as T
from gradstone.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image")
ImageEnhance = pytest.importorskip("PIL.ImageEnhance")
ImageOps = pytest.importorskip("PIL.ImageOps")

PIXELS = np.random.default_rng(0).integers(0, 256, (23, 30, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
TENSOR = gs.from_numpy(PIXELS.transpose(2, 0, 1).copy())
INF = float("inf")
SIXTEEN = Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 256)
BATCH = gs.stack([TENSOR, TENSOR.flip(1), TENSOR.flip(2), 255 - TENSOR])

# name -> (the call, what Pillow or NumPy make of it)
CALLS = {
    "resize": (lambda x: F.resize(x, (7, 9), "nearest"), lambda: PICTURE.resize((9, 7), 0)),
    "center_crop": (lambda x: F.center_crop(x, (11, 20)), lambda: PIXELS[6:17, 5:25]),
    "center_crop, larger": (
        lambda x: F.center_crop(x, (26, 10)),
        lambda: np.pad(PIXELS[:, 10:20], ((1, 2), (0, 0), (0, 0))),
    ),
    "crop": (lambda x: F.crop(x, 3, 4, 10, 12), lambda: PIXELS[3:13, 4:16]),
    "crop, beyond": (
        lambda x: F.crop(x, -2, 25, 10, 12),
        lambda: np.pad(PIXELS[:8, 25:], ((2, 0), (0, 7), (0, 0))),
    ),
    "pad": (lambda x: F.pad(x, 2, (1, 2, 3)), lambda: ImageOps.expand(PICTURE, 2, (1, 2, 3))),
    "pad, edge": (
        lambda x: F.pad(x, (1, 2), 0, "edge"),
        lambda: np.pad(PIXELS, ((2, 2), (1, 1), (0, 0)), "edge"),
    ),
    "hflip": (F.hflip, lambda: ImageOps.mirror(PICTURE)),
    "vflip": (F.vflip, lambda: ImageOps.flip(PICTURE)),
    "rotate": (
        lambda x: F.rotate(x, 33.0, fill=7),
        lambda: PICTURE.rotate(33.0, fillcolor=(7, 7, 7)),
    ),
    "rotate, expand": (
        lambda x: F.rotate(x, -20, expand=True, fill=(1, 2, 3)),
        lambda: PICTURE.rotate(-20, expand=True, fillcolor=(1, 2, 3)),
    ),
    "rotate, a right angle": (
        lambda x: F.rotate(x, 90, "bilinear", expand=True),
        lambda: PICTURE.rotate(90, expand=True),
    ),
    "affine": (lambda x: F.affine(x, 0, (3, -2), 1.0, 0), lambda: moved(3, -2)),
    "affine, turned": (
        lambda x: F.affine(x, 33.0, (0, 0), 1.0, (0.0, 0.0)),
        lambda: PICTURE.rotate(-33.0),
    ),
    "adjust_brightness": (
        lambda x: F.adjust_brightness(x, 1.3),
        lambda: ImageEnhance.Brightness(PICTURE).enhance(1.3),
    ),
    "adjust_saturation": (
        lambda x: F.adjust_saturation(x, 0.4),
        lambda: ImageEnhance.Color(PICTURE).enhance(0.4),
    ),
    "adjust_sharpness": (
        lambda x: F.adjust_sharpness(x, 2.0),
        lambda: ImageEnhance.Sharpness(PICTURE).enhance(2.0),
    ),
    "adjust_contrast": (
        lambda x: F.adjust_contrast(x, 0.6),
        lambda: ImageEnhance.Contrast(PICTURE).enhance(0.6),
    ),
    "adjust_hue": (lambda x: F.adjust_hue(x, 0.2), lambda: turned_hue(0.2)),
    "posterize": (lambda x: F.posterize(x, 3), lambda: ImageOps.posterize(PICTURE, 3)),
    "solarize": (lambda x: F.solarize(x, 100), lambda: ImageOps.solarize(PICTURE, 100)),
    "autocontrast": (F.autocontrast, lambda: ImageOps.autocontrast(PICTURE)),
    "equalize": (F.equalize, lambda: ImageOps.equalize(PICTURE)),
    "rgb_to_grayscale": (F.rgb_to_grayscale, lambda: np.asarray(PICTURE.convert("L"))),
}


def moved(x, y):
    return PICTURE.transform(PICTURE.size, Image.Transform.AFFINE, (1, 0, -x, 0, 1, -y))


def turned_hue(share):
    h, s, v = PICTURE.convert("HSV").split()
    h = (np.asarray(h).astype(np.int64) + int(share * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(h.astype(np.uint8)), s, v)).convert("RGB")


def array_of(tensor):
    array = tensor.numpy().transpose(1, 2, 0)
    return array if array.shape[2] > 1 else array[:, :, 0]


@pytest.mark.parametrize("name", CALLS)
def test_bytes_and_forms(name):
    call, expected = CALLS[name]
    want = np.asarray(expected())
    picture, array, tensor = call(PICTURE), call(PIXELS), call(TENSOR)
    assert isinstance(picture, Image.Image)
    assert type(array) is np.ndarray
    assert type(tensor) is gs.Tensor
    for got in (np.asarray(picture), array, array_of(tensor)):
        np.testing.assert_array_equal(got, want)
    many = call(BATCH.reshape(2, 2, 3, 23, 30))
    assert many.shape[:2] == (2, 2)
    for got, one in zip(many.reshape(4, *many.shape[2:]), BATCH):
        assert gs.equal(got, call(one))
    np.testing.assert_array_equal(TENSOR.numpy(), PIXELS.transpose(2, 0, 1))  # is as it was


def test_the_transforms_are_these_functions():
    for transform, call in (
        (T.Resize(9), lambda x: F.resize(x, 9)),
        (T.CenterCrop(9), lambda x: F.center_crop(x, 9)),
        (T.Pad(3, padding_mode="symmetric"), lambda x: F.pad(x, 3, padding_mode="symmetric")),
        (T.RandomRotation((20, 20)), lambda x: F.rotate(x, 20)),
        (
            T.RandomAffine((9, 9), scale=(1.2, 1.2), shear=(4, 4, 7, 7), interpolation="bilinear"),
            lambda x: F.affine(x, 9, [0, 0], 1.2, [4, 7], "bilinear"),
        ),
        (T.Grayscale(3), lambda x: F.to_grayscale(x, 3)),
        (T.ColorJitter(contrast=(1.5, 1.5)), lambda x: F.adjust_contrast(x, 1.5)),
    ):
        for form in (PICTURE, PIXELS):
            np.testing.assert_array_equal(np.asarray(transform(form)), np.asarray(call(form)))
        assert gs.equal(transform(BATCH), call(BATCH))


def coloured(name):
    return name.startswith(("adjust", "poster", "solar", "auto", "equal", "rgb_to"))


@pytest.mark.parametrize("mode", ["P", "CMYK"])
@pytest.mark.parametrize("name", CALLS)
def test_other_modes_are_kept_or_refused(name, mode):
    picture = PICTURE.quantize(16) if mode == "P" else PICTURE.convert(mode)
    call = CALLS[name][0]
    if name == "pad":
        call = lambda x: F.pad(x, 2, 3)
    elif name.startswith("rotate, "):
        call = lambda x: F.rotate(x, 20, expand=True)
    if coloured(name):
        with pytest.raises(ValueError, match=rf"^{name} .*mode '{mode}'.*convert\('RGB'\)"):
            call(picture)
        return
    got = call(picture)
    assert (got.mode, got.getpalette()) == (mode, picture.getpalette())
    np.testing.assert_array_equal(got, call(np.asarray(picture)))


def test_numbers_of_a_palette_are_not_mixed():
    picture = PICTURE.quantize(16)
    for call in (
        lambda how: F.rotate(picture, 9, how),
        lambda how: F.affine(picture, 9, (0, 0), 1.0, 0, how),
    ):
        assert call("nearest").mode == "P"
        with pytest.raises(ValueError, match="mode 'P'"):
            call("bilinear")
    got = F.resized_crop(picture, 3, 4, 10, 12, (5, 6))
    np.testing.assert_array_equal(got, picture.crop((4, 3, 16, 13)).resize((6, 5)))
    assert got.getpalette() == picture.getpalette()
    # With alpha, Pillow itself would make a 100 of 0 and 200.
    places = Image.fromarray(np.kron(np.array([[0, 200]], np.uint8), np.ones((4, 4), np.uint8)))
    alpha = Image.merge("LA", [places, Image.new("L", places.size, 255)])
    alpha.putpalette([*range(256)] * 3)
    for got in (F.resize(alpha, (4, 5)), T.RandomResizedCrop((4, 5), (1, 1), (2, 2))(alpha)):
        assert got.mode == "PA"
        assert set(np.asarray(got)[:, :, 0].reshape(-1).tolist()) == {0, 200}
    # Of transforms in a transform the one that reads colours is named.
    for several in (T.RandomApply, T.RandomChoice, T.RandomOrder):
        with pytest.raises(ValueError, match="^Grayscale computes"):
            several([T.Compose([T.Pad(1), T.Grayscale()])])(picture)


@pytest.mark.parametrize("fill", [-1, 256, (0, 300, 0), float("nan")])
def test_bytes_are_filled_with_bytes(fill):
    before = TENSOR.clone()
    values = gs.tensor(fill).reshape(-1, 1, 1)
    for call in (
        lambda: F.pad(TENSOR, 1, fill),
        lambda: F.rotate(TENSOR, 45, fill=fill),
        lambda: F.affine(TENSOR, 45, (0, 0), 1.0, 0, fill=fill),
        lambda: F.erase(TENSOR, 1, 1, 2, 2, values, inplace=True),
    ):
        with pytest.raises(ValueError, match="0 to 255"):
            call()
    assert gs.equal(TENSOR, before)


def test_windows_beside_the_image_are_black():
    for top, left in ((30, 2), (2, -40), (-9, 50), (23, 30)):
        assert gs.equal(F.crop(TENSOR, top, left, 4, 5), gs.zeros(3, 4, 5, dtype=gs.uint8))
    assert F.crop(TENSOR, 1, 2, 0, 5).shape == (3, 0, 5)


def test_resized_crop():
    window = PICTURE.crop((4, 3, 16, 13))
    got = F.resized_crop(PICTURE, 3, 4, 10, 12, (5, 6))
    np.testing.assert_array_equal(got, window.resize((6, 5), Image.Resampling.BILINEAR))
    tensor = F.resized_crop(TENSOR, 3, 4, 10, 12, (5, 6))
    assert gs.equal(tensor, F.resize(TENSOR[:, 3:13, 4:16], (5, 6)))


def test_conversions():
    x = F.to_tensor(PICTURE)
    assert x.dtype == gs.float32
    np.testing.assert_allclose(array_of(x), PIXELS / 255, rtol=1e-6)
    assert gs.equal(F.pil_to_tensor(PICTURE), TENSOR)
    np.testing.assert_array_equal(F.to_pil_image(x), PIXELS)
    assert F.to_pil_image(PIXELS, "HSV").mode == "HSV"
    assert gs.equal(F.convert_image_dtype(TENSOR), TENSOR.float() / 255)
    mean, std = [0.5, 0.4, 0.3], [0.1, 0.2, 0.3]
    want = (array_of(x) - np.float32(mean)) / np.float32(std)
    np.testing.assert_allclose(array_of(F.normalize(x, mean, std)), want, rtol=1e-5)
    assert F.normalize(x, mean, std, inplace=True) is x


def test_erase():
    x = TENSOR.float()
    want = x.numpy().copy()
    want[:, 2:7, 3:9] = 5
    assert gs.equal(F.erase(x, 2, 3, 5, 6, 5), gs.from_numpy(want))
    assert gs.equal(x, TENSOR.float())
    values = gs.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1)
    assert F.erase(x, 2, 3, 5, 6, values, inplace=True) is x
    assert x[:, 4, 4].tolist() == [1, 2, 3]
    with pytest.raises(TypeError, match="erase takes tensors"):
        F.erase(PIXELS, 0, 0, 1, 1, 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.resize(TENSOR, (1, 2, 3)), ValueError, "1 or 2 values"),
        (lambda: F.resize(TENSOR, 0), ValueError, "at least one pixel"),
        (lambda: F.center_crop(TENSOR, (3, 0)), ValueError, "at least one pixel"),
        (lambda: F.center_crop(TENSOR, (2.5, 3)), TypeError, "size is a whole number"),
        (lambda: F.center_crop(TENSOR, 2.5), TypeError, "size is a whole number"),
        (lambda: F.pad(TENSOR, (1.5, 2)), TypeError, "padding is a whole number"),
        (lambda: F.pad(TENSOR, 1, "black"), TypeError, "filled with a number"),
        (lambda: F.pad(TENSOR.to(gs.int8), 1, 128), ValueError, "int8 are filled with -128 to 127"),
        (lambda: F.rotate(TENSOR.to(gs.int8), 1, fill=128), ValueError, "filled with -128 to 127"),
        (lambda: F.crop(TENSOR, 1, 2, -1, 5), ValueError, "height to be at least 0"),
        (lambda: F.crop(PICTURE, 1, 2, 5, -1), ValueError, "width to be at least 0"),
        (lambda: F.resized_crop(PICTURE, 1, 2, -1, 5, 3), ValueError, "height to be at least 0"),
        (lambda: F.resized_crop(TENSOR, 1, 2, 0, 5, 3), ValueError, "image without pixels, 0 x 5"),
        (lambda: F.resize(PICTURE.crop((0, 0, 4, 0)), (3, 3)), ValueError, "without pixels, 0 x 4"),
        (lambda: F.adjust_contrast(TENSOR, INF), ValueError, "contrast_factor .inf. is not finite"),
        (lambda: F.posterize(TENSOR, 2.5), TypeError, "bits to be an int"),
        (lambda: F.rgb_to_grayscale(PICTURE.convert("F"), 3), TypeError, "3 channels of float32"),
        (lambda: F.hflip(SIXTEEN), TypeError, r"mode 'I;16'.*convert\('I'\)"),
        (lambda: F.rotate(TENSOR, float("nan")), ValueError, "angle is finite, got nan"),
        (lambda: F.affine(TENSOR, 0, (0, INF), 1, 0), ValueError, "translate is finite"),
        (lambda: F.affine(TENSOR, 0, (0, 0), INF, 0), ValueError, "scale should be positive"),
        (lambda: F.affine(TENSOR, 0, (0, 0), 1, INF), ValueError, "shear is finite"),
        (lambda: F.affine(TENSOR, 0, (0, 0), 1, 0, center=(INF, 0)), ValueError, "center is"),
        (lambda: F.convert_image_dtype(TENSOR, gs.int64), TypeError, "no range of images"),
        (lambda: F.pad(TENSOR, 1, padding_mode="wrap"), ValueError, "Padding mode"),
        (lambda: F.pad(TENSOR[:1], 1, (1, 2)), ValueError, "one number for each channel"),
        (lambda: F.rotate(TENSOR, 5, center=(1,)), ValueError, "center is"),
        (lambda: F.rotate(TENSOR, 5, "bicubic"), ValueError, "one of nearest, bilinear"),
        (lambda: F.affine(TENSOR, 0, (1,), 1, 0), ValueError, "translate is"),
        (lambda: F.affine(TENSOR, 0, (1, 1), 0, 0), ValueError, "scale should be positive"),
        (lambda: F.affine(TENSOR, 0, (1, 1), 1, (1, 2, 3)), ValueError, "shear is"),
        (lambda: F.adjust_brightness(TENSOR, -1), ValueError, "non-negative"),
        (lambda: F.adjust_hue(TENSOR, 0.7), ValueError, "not in"),
        (lambda: F.posterize(TENSOR, 9), ValueError, "0 to 8 bits"),
        (lambda: F.rgb_to_grayscale(TENSOR, 2), ValueError, "should be 1 or 3"),
        (lambda: F.equalize(TENSOR.float()), TypeError, "images of bytes"),
        (lambda: F.normalize(TENSOR, [0], [1]), TypeError, "float tensor"),
        (lambda: F.to_tensor(TENSOR), TypeError, "PIL Image or ndarray"),
        (lambda: F.hflip([1]), TypeError, "an image is a PIL image"),
        (lambda: F.vflip(gs.zeros(3)), TypeError, "not a torch image"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", F.__all__)
def test_names_say_what_they_are(name):
    assert getattr(F, name).__doc__
