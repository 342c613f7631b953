"""Each transform against Pillow's own operations and formulas."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone.vision import transforms as T
from gradstone.vision.transforms import _colour, _warp
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._interpolation import InterpolationMode, number_of

Image = pytest.importorskip("PIL.Image")
ImageEnhance = pytest.importorskip("PIL.ImageEnhance")
ImageOps = pytest.importorskip("PIL.ImageOps")

RNG = np.random.default_rng(0)
# Noise, flat areas with edges, and little contrast: what roundings and histograms differ in.
NOISE = RNG.integers(0, 256, (23, 30, 3), dtype=np.uint8)
BLOCKS = np.kron(RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8), np.ones((5, 5, 1), np.uint8))
DULL = RNG.integers(90, 130, (24, 20, 3), dtype=np.uint8)
PICTURES = {"noise": NOISE, "blocks": BLOCKS, "dull": DULL, "grey": NOISE[:, :, 1]}
MODES = list(InterpolationMode)


def planes(array):
    """(1, C, H, W)"""
    array = array if array.ndim == 3 else array[:, :, None]
    return np.ascontiguousarray(array.transpose(2, 0, 1)[None])


def picture(images):
    out = images[0].transpose(1, 2, 0)
    return out if out.shape[2] > 1 else out[:, :, 0]


def same(got, want):
    np.testing.assert_array_equal(np.asarray(got), np.asarray(want))


def nearly(got, want):
    """Bilinear values are cut off behind the point: one in 200 may differ by its last bit."""
    got, want = np.asarray(got).astype(np.int64), np.asarray(want).astype(np.int64)
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 1
    assert (got != want).mean() < 0.005


# ------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(7, 9), (50, 41), (23, 5), (1, 1), (23, 30), (12, 60)])
def test_resize_has_pillows_bytes(mode, size):
    for array in (NOISE, NOISE[:, :, 0], BLOCKS):
        image, how = Image.fromarray(array), number_of(mode)
        transform = T.Resize(size, mode)
        same(transform(image), image.resize(size[::-1], how))
        # Which side goes first depends on Pillow's version: ours begins with the rows.
        want = image.resize((size[1], image.height), how).resize(size[::-1], how)
        same(transform(array), want)
        tensor = gs.from_numpy(planes(array)[0])
        same(picture(transform(tensor).numpy()[None]), want)


def test_resize_of_floats_and_without_antialias():
    x = gs.arange(8).reshape(1, 1, 8).float()
    np.testing.assert_allclose(
        T.Resize((1, 4))(x).numpy()[0, 0], [0.714286, 2.5, 4.5, 6.285714], 1e-5
    )
    narrow = T.Resize((1, 4), antialias=False)(x)
    np.testing.assert_allclose(narrow.numpy()[0, 0], [0.5, 2.5, 4.5, 6.5])
    doubled = T.Resize((1, 16))(x).numpy()[0, 0]
    np.testing.assert_allclose(doubled[:4], [0, 0.25, 0.75, 1.25])


def test_sizes_of_resize():
    image = np.zeros((20, 30, 3), np.uint8)
    for size, most, want in (
        (10, None, (10, 15)),
        ([10], None, (10, 15)),
        (25, None, (25, 37)),
        (10, 12, (8, 12)),
        ((3, 4), None, (3, 4)),
    ):
        assert T.Resize(size, max_size=most)(image).shape[:2] == want
        assert T.Resize(size, max_size=most)(Image.fromarray(image)).size == want[::-1]
    assert T.Resize(10)(image.transpose(1, 0, 2)).shape == (15, 10, 3)
    for bad in ((1, 2, 3), []):
        with pytest.raises(ValueError, match="1 or 2 values"):
            T.Resize(bad)
    with pytest.raises(TypeError, match="int or sequence"):
        T.Resize(1.5)
    with pytest.raises(ValueError, match="max_size"):
        T.Resize((3, 4), max_size=9)
    with pytest.raises(ValueError, match="at least one pixel"):
        T.Resize(0)
    with pytest.raises(ValueError, match="interpolation is one of nearest"):
        T.Resize(3, "quadratic")
    with pytest.raises(TypeError, match="bytes or floats"):
        T.Resize(3)(gs.zeros(1, 5, 5, dtype=gs.int32))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad(mode):
    around = {"constant": {"constant_values": 9}}.get(mode, {})
    for padding, (left, top, right, bottom) in (
        (2, (2, 2, 2, 2)),
        ((1, 3), (1, 3, 1, 3)),
        ((1, 2, 3, 4), (1, 2, 3, 4)),
    ):
        sides = ((top, bottom), (left, right), (0, 0))
        want = np.pad(NOISE, sides, mode, **around)
        transform = T.Pad(padding, 9 if mode == "constant" else 0, mode)
        same(transform(NOISE), want)
        same(transform(Image.fromarray(NOISE)), want)
    if mode == "constant":
        image = Image.fromarray(NOISE)
        same(T.Pad(2, (1, 2, 3))(image), ImageOps.expand(image, 2, (1, 2, 3)))
        with pytest.raises(ValueError, match="one number for each channel"):
            T.Pad(2, (1, 2, 3))(NOISE[:, :, 0])


def test_random_resized_crop_is_a_window_resized():
    transform = T.RandomResizedCrop((8, 9), (0.2, 0.6), (0.5, 2.0))
    shares, ratios = [], []
    for _ in range(50):
        state = gs.get_rng_state()
        got = transform(Image.fromarray(NOISE))
        gs.set_rng_state(state)
        top, left, h, w = transform.windows(23, 30, Dice.for_one())[0].tolist()
        window = Image.fromarray(NOISE[top : top + h, left : left + w])
        assert window.size == (w, h)
        same(got, window.resize((9, 8), Image.Resampling.BILINEAR))
        shares.append(h * w / (23 * 30))
        ratios.append(w / h)
        array = gs.set_rng_state(state) or transform(NOISE)
        rows_first = window.resize((9, window.height), Image.Resampling.BILINEAR)
        same(array, rows_first.resize((9, 8), Image.Resampling.BILINEAR))
    assert 0.17 < min(shares) < 0.3 < 0.5 < max(shares) < 0.65
    assert 0.45 < min(ratios) < 0.8 < 1.2 < max(ratios) < 2.2
    thin = T.RandomResizedCrop(4, (1, 1), (1, 1))  # no square has the area of an oblong
    same(
        thin(Image.fromarray(NOISE)),
        Image.fromarray(NOISE[:, 3:26]).resize((4, 4), Image.Resampling.BILINEAR),
    )
    with pytest.raises(ValueError, match="scale is two numbers"):
        T.RandomResizedCrop(4, scale=(0.5, 0.2))


# ------------------------------------------------------------------------------------------ moving


@pytest.mark.parametrize("angle", [0, 10, -33.3, 45, 90, 180, 270, 123.4])
@pytest.mark.parametrize("name", PICTURES)
def test_rotation_has_pillows_bytes(name, angle):
    array = PICTURES[name]
    image = Image.fromarray(array)
    for expand in (False, True):
        for center in (None, (3, 4)):
            for mode in ("nearest", "bilinear"):
                transform = T.RandomRotation((angle, angle), mode, expand, center, fill=77)
                fill = 77 if array.ndim == 2 else (77, 77, 77)
                want = image.rotate(
                    angle, number_of(InterpolationMode(mode)), expand, center, fillcolor=fill
                )
                if mode == "bilinear" and angle % 90 == 0:
                    continue  # Pillow turns these without looking between pixels
                (same if mode == "nearest" else nearly)(transform(image), want)


def test_rotation_by_right_angles_between_pixels():
    for quarter in range(4):
        got = T.RandomRotation((90 * quarter,) * 2, "bilinear", expand=True)(NOISE)
        same(got, np.rot90(NOISE, quarter))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_affine_has_pillows_bytes(mode):
    for _ in range(30):
        a, b, d, e = np.eye(2).ravel() + RNG.uniform(-0.5, 0.5, 4)
        c, f = RNG.uniform(-10, 10, 2)
        size = (19, 27)
        image = Image.fromarray(NOISE)
        want = image.transform(
            size[::-1],
            Image.Transform.AFFINE,
            (a, b, c, d, e, f),
            number_of(InterpolationMode(mode)),
            fillcolor=(1, 2, 3),
        )
        maps = np.array([[[a, b, c], [d, e, f]]])
        got = _warp.warp(planes(NOISE), maps, size, InterpolationMode(mode), (1, 2, 3))
        (same if mode == "nearest" else nearly)(picture(got), want)


def test_random_affine_is_what_its_parts_say():
    """Forward: scaled, sheared along x, then along y, turned clockwise about the middle, moved."""
    angle, scale, shear_x, shear_y = 20.0, 1.3, 10.0, -7.0
    a, x, y = np.deg2rad([angle, shear_x, shear_y])
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    forward = turn @ [[1, 0], [-np.tan(y), 1]] @ [[1, -np.tan(x)], [0, 1]] * scale
    middle = np.array([15, 11.5])
    inverse = np.linalg.inv(forward)
    shift = middle - inverse @ middle
    want = Image.fromarray(NOISE).transform(
        (30, 23), Image.Transform.AFFINE, (*inverse[0], shift[0], *inverse[1], shift[1])
    )
    transform = T.RandomAffine(
        (angle, angle), scale=(scale, scale), shear=(shear_x, shear_x, shear_y, shear_y)
    )
    same(transform(NOISE), want)


def test_ranges_of_random_affine():
    spot = np.zeros((41, 41), np.uint8)
    spot[20, 20] = 255
    places = []
    for _ in range(80):
        moved = T.RandomAffine(0, translate=(0.1, 0.2))(spot)
        places.append(np.argwhere(moved == 255)[0] - 20)
    places = np.array(places)
    assert np.abs(places[:, 1]).max() == 4 and np.abs(places[:, 0]).max() in (7, 8)
    assert len(np.unique(places[:, 1])) == 9
    for arguments, message in (
        ({"degrees": -1}, "must be positive"),
        ({"degrees": (3, 1)}, "lower number first"),
        ({"degrees": 0, "translate": (0, 2)}, "between 0 and 1"),
        ({"degrees": 0, "scale": (0, 1)}, "positive"),
        ({"degrees": 0, "shear": (1, 2, 3)}, "sequence of length"),
        ({"degrees": 0, "interpolation": "bicubic"}, "one of nearest, bilinear"),
        ({"degrees": 0, "center": (1,)}, "center is"),
    ):
        with pytest.raises(ValueError, match=message):
            T.RandomAffine(**arguments)
    with pytest.raises(ValueError, match="3 channels"):
        T.RandomAffine(5, fill=(1, 2))(NOISE)
    with pytest.raises(ValueError, match="single images"):
        T.RandomRotation(5, expand=True)(gs.zeros(2, 1, 4, 4))


def test_flips():
    same(T.RandomVerticalFlip(1.0)(NOISE), NOISE[::-1])
    same(T.RandomHorizontalFlip(1.0)(Image.fromarray(NOISE)), NOISE[:, ::-1])
    same(T.RandomVerticalFlip(0.0)(NOISE), NOISE)
    with pytest.raises(ValueError, match="between 0 and 1"):
        T.RandomVerticalFlip(1.5)


# ------------------------------------------------------------------------------------------ colours

ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("name", ENHANCERS)
@pytest.mark.parametrize("kind", PICTURES)
def test_enhancements_have_pillows_bytes(name, kind):
    array = PICTURES[kind]
    for factor in (0.0, 0.37, 0.9, 1.0, 1.21, 2.5):
        want = ENHANCERS[name](Image.fromarray(array)).enhance(factor)
        got = getattr(_colour, name)(planes(array), np.array([factor]))
        same(picture(got), want)
        if name != "sharpness":
            same(T.ColorJitter(**{name: (factor, factor)})(array), want)


@pytest.mark.parametrize("kind", ["noise", "blocks", "dull"])
def test_hue_has_pillows_bytes(kind):
    array = PICTURES[kind]
    h, s, v = Image.fromarray(array).convert("HSV").split()
    for factor in (-0.5, -0.2, 0.0, 0.1, 0.5):
        turned = (np.asarray(h).astype(np.int64) + int(factor * 255)) % 256
        parts = (Image.fromarray(turned.astype(np.uint8)), s, v)
        want = Image.merge("HSV", parts).convert("RGB")
        same(picture(_colour.hue(planes(array), np.array([factor]))), want)


def test_hue_of_all_colours_near_the_greys():
    levels = np.array([0, 1, 2, 127, 128, 254, 255], np.uint8)
    array = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(7, -1, 3)
    h, s, v = Image.fromarray(array).convert("HSV").split()
    got = _colour.to_hsv(planes(array))
    for mine, theirs in zip(got, (h, s, v)):
        same(mine[0], theirs)


def test_grey():
    same(T.Grayscale()(NOISE), Image.fromarray(NOISE).convert("L"))
    same(T.Grayscale(3)(NOISE)[:, :, 2], Image.fromarray(NOISE).convert("L"))
    assert T.Grayscale(3)(Image.fromarray(NOISE)).mode == "RGB"
    assert T.Grayscale()(Image.fromarray(NOISE)).mode == "L"
    assert T.RandomGrayscale(1.0)(NOISE).shape == NOISE.shape
    same(T.RandomGrayscale(0.0)(NOISE), NOISE)
    x = gs.tensor([1.0, 0.5, 0.25]).reshape(3, 1, 1)
    np.testing.assert_allclose(T.Grayscale()(x).item(), 0.299 + 0.2935 + 0.0285, 1e-6)
    with pytest.raises(ValueError, match="1, 3 or 4 channels"):
        T.Grayscale()(gs.zeros(2, 3, 3))


def test_alpha_stays():
    array = RNG.integers(0, 256, (9, 8, 4), dtype=np.uint8)
    got = T.ColorJitter((0.5, 0.5))(Image.fromarray(array))
    assert got.mode == "RGBA"
    same(np.asarray(got)[:, :, 3], array[:, :, 3])
    same(np.asarray(got)[:, :, :3], T.ColorJitter((0.5, 0.5))(array[:, :, :3]))


def test_colours_of_floats_follow_those_of_bytes():
    x = gs.from_numpy(planes(NOISE)[0])
    for name, factor in (("brightness", 1.4), ("contrast", 0.6), ("saturation", 1.7), ("hue", 0.2)):
        jitter = T.ColorJitter(**{name: (factor, factor)})
        error = np.abs(jitter(x.float() / 255).numpy() * 255 - jitter(x).numpy().astype(np.float32))
        # In bytes hue and saturation go through 256 steps.
        assert error.max() < (12 if name == "hue" else 1.6)
        assert error.mean() < (1.5 if name == "hue" else 0.6)


def test_ranges_of_color_jitter():
    jitter = T.ColorJitter(0.4, (0.5, 1.5), 0, 0.1)
    assert jitter.brightness == (0.6, 1.4) and jitter.contrast == (0.5, 1.5)
    assert jitter.saturation is None and jitter.hue == (-0.1, 0.1)
    assert T.ColorJitter(3).brightness == (0, 4)
    levels = {int(T.ColorJitter(0.4)(np.full((1, 1), 100, np.uint8))[0, 0]) for _ in range(60)}
    assert 58 < min(levels) < 70 and 130 < max(levels) < 141
    for bad in ({"hue": 0.6}, {"hue": (0.3, 0.1)}, {"brightness": -1}, {"contrast": (-1, 1)}):
        with pytest.raises(ValueError, match="should be between|non negative"):
            T.ColorJitter(**bad)
    with pytest.raises(TypeError, match="single number"):
        T.ColorJitter("much")


@pytest.mark.parametrize("kind", PICTURES)
def test_operations_by_histogram_have_pillows_bytes(kind):
    for array in (PICTURES[kind], PICTURES[kind][:3, :4], np.full_like(PICTURES[kind], 7)):
        image, x = Image.fromarray(np.ascontiguousarray(array)), planes(array)
        same(picture(_colour.autocontrast(x)), ImageOps.autocontrast(image))
        same(picture(_colour.equalize(x)), ImageOps.equalize(image))
        for bits in (1, 4, 8):
            same(picture(_colour.posterize(x, np.array([bits]))), ImageOps.posterize(image, bits))
        for at in (0, 100, 256):
            same(picture(_colour.solarize(x, np.array([at]))), ImageOps.solarize(image, at))


def test_rand_augment():
    augment = T.RandAugment()
    assert augment.strength("ShearX", 32, 32) == pytest.approx(0.09)
    assert augment.strength("TranslateY", 32, 40) == pytest.approx(150 / 331 * 32 * 0.3)
    assert augment.strength("Posterize", 1, 1) == 7
    assert augment.strength("Solarize", 1, 1) == pytest.approx(178.5)
    assert augment.strength("Brightness", 1, 1) == pytest.approx(0.27)
    image = Image.fromarray(BLOCKS)
    height, width = BLOCKS.shape[:2]
    matrix = {
        "ShearX": (1, 0.09, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, 0.09, 1, 0),
        "TranslateX": (1, 0, -int(150 / 331 * width * 0.3), 0, 1, 0),
        "TranslateY": (1, 0, 0, 0, 1, -int(150 / 331 * height * 0.3)),
    }
    for name, numbers in matrix.items():
        want = image.transform(image.size, Image.Transform.AFFINE, numbers)
        same(picture(augment._augment(name, planes(BLOCKS), np.array([1.0]))), want)
    same(picture(augment._augment("Rotate", planes(BLOCKS), np.array([-1.0]))), image.rotate(-9.0))
    enhanced = {"Color": ImageEnhance.Color, "Sharpness": ImageEnhance.Sharpness}
    for name, enhance in enhanced.items():
        got = augment._augment(name, planes(BLOCKS), np.array([-1.0]))
        same(picture(got), enhance(image).enhance(0.73))
    seen = {augment(NOISE).tobytes() for _ in range(40)}
    assert len(seen) > 25
    assert T.RandAugment(0)(NOISE).tobytes() == NOISE.tobytes()
    with pytest.raises(TypeError, match="bytes"):
        augment(gs.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="magnitude below"):
        T.RandAugment(magnitude=31)


# ------------------------------------------------------------------------------ erasing, converting


def test_random_erasing():
    x = gs.ones(3, 40, 50)
    shares, ratios = [], []
    for _ in range(60):
        y = T.RandomErasing(1.0, (0.1, 0.2), (0.5, 2.0))(x).numpy()
        rows, columns = np.nonzero(y[0] == 0)
        h, w = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert (y == 0).sum() == 3 * h * w  # one rectangle, in every channel
        shares.append(h * w / 2000)
        ratios.append(h / w)
    assert 0.09 < min(shares) < 0.12 < 0.18 < max(shares) < 0.215
    assert 0.45 < min(ratios) < 0.8 < 1.3 < max(ratios) < 2.2
    assert gs.equal(T.RandomErasing(0.0)(x), x) and x.min().item() == 1
    filled = T.RandomErasing(1.0, value=(2, 3, 4))(x).numpy()
    assert [plane.max() for plane in filled] == [2, 3, 4]
    noise = T.RandomErasing(1.0, (0.3, 0.33), value="random")(x * 100).numpy()
    noise = noise[noise != 100]
    assert abs(noise.mean()) < 0.15 and abs(noise.std() - 1) < 0.1
    inplace = x.clone()
    T.RandomErasing(1.0, inplace=True)(inplace)
    assert inplace.min().item() == 0
    for arguments, message in (
        ({"value": "zeros"}, "should be 'random'"),
        ({"scale": (0.5, 1.5)}, "between 0 and 1"),
        ({"ratio": (2, 1)}, "lower one first"),
        ({"p": 2}, "between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            T.RandomErasing(**arguments)
    with pytest.raises(ValueError, match="number of input channels"):
        T.RandomErasing(1.0, value=(1, 2))(x)
    with pytest.raises(TypeError, match="behind ToTensor"):
        T.RandomErasing()(Image.fromarray(NOISE))
    with pytest.raises(TypeError, match="floats"):
        T.RandomErasing(1.0, value="random")(gs.ones(1, 9, 9, dtype=gs.uint8))


def test_to_pil_image():
    same(T.ToPILImage()(NOISE), NOISE)
    same(T.ToPILImage()(gs.from_numpy(planes(NOISE)[0])), NOISE)
    same(T.ToPILImage()(T.ToTensor()(NOISE)), NOISE)
    grey = T.ToPILImage()(gs.tensor([[0.0, 0.5, 1.0]]))
    assert grey.mode == "L" and list(np.asarray(grey)[0]) == [0, 127, 255]
    assert T.ToPILImage("HSV")(NOISE).mode == "HSV"
    assert T.ToPILImage()(np.zeros((2, 3, 1), np.uint8)).size == (3, 2)
    for bad in (gs.zeros(1, 1, 2, 2), np.zeros((2, 2, 5), np.uint8)):
        with pytest.raises(ValueError, match="dimension"):
            T.ToPILImage()(bad)
    with pytest.raises(TypeError, match="bytes"):
        T.ToPILImage()(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="3 channels"):
        T.ToPILImage("L")(NOISE)
    with pytest.raises(TypeError, match="Tensor or ndarray"):
        T.ToPILImage()([1])


def test_apply_choice_and_order():
    add = [T.Lambda(lambda x, k=k: [*x, k]) for k in range(3)]
    got = [tuple(T.RandomApply(add, 0.25)([])) for _ in range(400)]
    assert set(got) == {(), (0, 1, 2)} and 60 < got.count((0, 1, 2)) < 140
    got = [T.RandomChoice(add)([])[0] for _ in range(300)]
    assert all(70 < got.count(k) < 130 for k in range(3))
    got = [T.RandomChoice(add, p=[1, 0, 3])([])[0] for _ in range(400)]
    assert got.count(1) == 0 and 60 < got.count(0) < 140
    got = [tuple(T.RandomOrder(add)([])) for _ in range(300)]
    assert len(set(got)) == 6 and min(map(got.count, set(got))) > 25
    with pytest.raises(TypeError, match="sequence"):
        T.RandomApply(add[0])
    with pytest.raises(TypeError, match="callable"):
        T.RandomApply([3])
    with pytest.raises(ValueError, match="one weight"):
        T.RandomChoice(add, p=[1, 2])


def test_what_is_no_image():
    for transform in (T.Pad(1), T.ColorJitter(0.1), T.RandomRotation(3), T.Resize(3)):
        with pytest.raises(TypeError, match="an image is a PIL image"):
            transform([[1, 2]])
        with pytest.raises(TypeError, match="not a torch image"):
            transform(gs.zeros(3))
        with pytest.raises(ValueError, match="2 or 3 dimensions"):
            transform(np.zeros((1, 2, 3, 4), np.uint8))
        with pytest.raises(TypeError, match="a batch is"):
            transform.batch([1]) if not isinstance(transform, T.Pad) else T.Resize(3).batch([1])


@pytest.mark.parametrize("name", T.__all__)
def test_names_say_what_they_are(name):
    assert getattr(T, name).__doc__


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_floats_to_integers_stay_in_range(dtype):
    one = gs.tensor([[[0.0, 1.0]]], dtype=getattr(gs, dtype))
    for whole, top in ((gs.uint8, 255), (gs.int8, 127), (gs.int16, 32767), (gs.int32, 2**31 - 1)):
        assert T.ConvertImageDtype(whole)(one).tolist() == [[[0, top]]]
    for other in (gs.int64, gs.bool):
        with pytest.raises(TypeError, match="knows no range"):
            T.ConvertImageDtype(other)(one)
        with pytest.raises(TypeError, match="knows no range"):
            T.ConvertImageDtype(gs.float32)(one.to(other))


def two_colours(mode):
    image = Image.new("RGB", (6, 4), (255, 0, 0))
    image.paste((0, 0, 255), (3, 0, 6, 4))
    return image.quantize(4) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["P", "CMYK", "HSV", "YCbCr"])
def test_other_modes_stay_what_they_are(mode):
    image = two_colours(mode)
    moves = [
        (T.RandomHorizontalFlip(1.0), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        (T.CenterCrop((2, 4)), image.crop((1, 1, 5, 3))),
        (T.Resize((2, 3)), image.resize((3, 2), Image.Resampling.BILINEAR)),
        (T.RandomApply([T.CenterCrop((2, 4))], 1.0), image.crop((1, 1, 5, 3))),
    ]
    for transform, wanted in moves:
        found = transform(image)
        assert found.mode == mode
        assert found.convert("RGB").tobytes() == wanted.convert("RGB").tobytes()
    colours = [T.ColorJitter(0.5), T.Grayscale(), T.RandomGrayscale(), T.RandAugment()]
    for transform in [*colours, T.RandomApply(colours)]:
        with pytest.raises(ValueError, match=rf"mode '{mode}'.*convert\('RGB'\)"):
            transform(image)


def test_numbers_of_a_palette_are_not_mixed():
    image = two_colours("P")
    for mode in (T.InterpolationMode.NEAREST, T.InterpolationMode.BILINEAR):
        for transform in (T.RandomRotation(9, mode), T.RandomAffine(9, interpolation=mode)):
            if mode is T.InterpolationMode.NEAREST:
                assert transform(image).mode == "P"
                continue
            with pytest.raises(ValueError, match="mode 'P'"):
                transform(image)


@pytest.mark.parametrize("fill", [-1, 256, (0, 300, 0)])
def test_bytes_are_filled_with_bytes(fill):
    image = gs.zeros(3, 9, 9).to(gs.uint8)
    fills = (
        T.Pad(1, fill),
        T.RandomCrop(9, 1, fill=fill),
        T.RandomRotation(45, fill=fill),
        T.RandomErasing(1.0, value=fill),
    )
    for transform in fills:
        with pytest.raises(ValueError, match="0 to 255"):
            transform(image)


@pytest.mark.parametrize("kind", [T.CenterCrop, T.RandomCrop, T.RandomResizedCrop, T.Resize])
def test_sizes_without_pixels_are_refused(kind):
    for size in (0, -1, (3, 0)):
        with pytest.raises(ValueError, match="at least one pixel"):
            kind(size)
    with pytest.raises(TypeError):
        kind((2.5, 2.5))


def test_angles_that_are_no_numbers():
    for degrees in (float("nan"), float("inf"), (0.0, float("nan"))):
        with pytest.raises(ValueError, match="degrees"):
            T.RandomRotation(degrees)


def test_infinite_ranges():
    inf = float("inf")
    for make in (
        lambda: T.ColorJitter(inf),
        lambda: T.ColorJitter(contrast=(1, inf)),
        lambda: T.RandomAffine(0, scale=(1, inf)),
        lambda: T.RandomResizedCrop(3, (0.1, inf)),
        lambda: T.RandomResizedCrop(3, ratio=(0.1, inf)),
        lambda: T.RandomErasing(ratio=(0.1, inf)),
    ):
        with pytest.raises(ValueError, match="inf"):
            make()
