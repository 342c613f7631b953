"""Whole batches of uint8 images have the bits of the same images one by one."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone.utils.data import DataLoader, Subset
from gradstone.vision import datasets
from gradstone.vision import transforms as T
from gradstone.vision._batch import plan

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Images(datasets.MNIST):
    """Digits without files."""

    def __init__(self, transform, n: int = 23, size=(28, 28)) -> None:
        self.transform, self.target_transform = transform, None
        self._planner = datasets.Planner()
        pixels = np.random.default_rng(1).integers(0, 256, (n, *size), dtype=np.uint8)
        self.data, self.targets = gs.from_numpy(pixels), gs.arange(n)


class OneByOne(Images):
    def gather(self, index):
        return None


class Colours(datasets.ImageArrays):
    """Coloured images without files."""

    def __init__(self, transform, n: int = 23, size=(16, 18)) -> None:
        super().__init__("", transform)
        self.data = np.random.default_rng(1).integers(0, 256, (n, *size, 3), dtype=np.uint8)
        self.targets = list(range(n))


class ColoursOneByOne(Colours):
    def gather(self, index):
        return None


AUGMENTATIONS = {
    "crop": [T.RandomCrop(28, padding=4)],
    "crop without padding": [T.RandomCrop((20, 24))],
    "sides and fill": [T.RandomCrop((30, 17), padding=(1, 2, 3, 0), fill=9)],
    "flip": [T.RandomHorizontalFlip()],
    "rare flip": [T.RandomHorizontalFlip(0.1)],
    "crop, flip": [T.RandomCrop(28, padding=4), T.RandomHorizontalFlip()],
    "flip, crop": [T.RandomHorizontalFlip(), T.RandomCrop((25, 31), padding=(2, 4))],
    "nothing": [],
}
TAIL = [T.ToTensor(), T.Normalize((0.13,), (0.31,))]


def passed(kind, steps, **options):
    """Two passes from one seed."""
    generator = gs.Generator().manual_seed(7)
    loader = DataLoader(kind(T.Compose(steps)), shuffle=True, generator=generator, **options)
    assert loader._gathers() == (kind in (Images, Colours))
    return [gs.cat([images for images, _ in loader]) for _ in range(2)]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_batches_have_the_bits_of_single_images(name):
    steps = [*AUGMENTATIONS[name], *TAIL]
    want = passed(OneByOne, steps, batch_size=4)
    for got in (
        passed(Images, steps, batch_size=4),
        passed(Images, steps, batch_size=7),
        passed(OneByOne, steps, batch_size=5, num_workers=1),
        passed(OneByOne, steps, batch_size=5, num_workers=3),
    ):
        assert all(gs.equal(a, b) for a, b in zip(got, want))
    if name not in ("nothing",):
        assert not gs.equal(*want)


def test_augmentations_do_not_depend_on_threads_or_the_users_numbers():
    steps = [*AUGMENTATIONS["crop, flip"], *TAIL]
    want, before = passed(Images, steps, batch_size=4), gs.get_num_threads()
    try:
        for threads in (1, 2, 3):
            gs.set_num_threads(threads)
            generator = gs.Generator().manual_seed(7)
            loader = DataLoader(Images(T.Compose(steps)), 4, shuffle=True, generator=generator)
            images = []
            for batch, _ in loader:
                images.append(batch)
                gs.rand(3)
            assert gs.equal(gs.cat(images), want[0])
    finally:
        gs.set_num_threads(before)


def test_three_channels_in_both_layouts():
    steps = [T.ToTensor(), T.Normalize(MEAN, STD)]
    pixels = np.random.default_rng(2).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
    index = gs.tensor([4, 0, 4, 5])
    ready = plan(steps, 3, 5, 7)
    want = gs.stack([T.Compose(steps)(pixels[i]) for i in index.tolist()])
    for planes in (
        gs.from_numpy(pixels).permute(0, 3, 1, 2),
        gs.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))),
    ):
        assert gs.equal(ready(planes, index), want)


def test_changed_transforms_are_noticed():
    normalize = T.Normalize((0.0,), (1.0,))
    data = Images(T.Compose([T.ToTensor(), normalize]))
    index = gs.arange(3)
    first = data.gather(index)[0]
    normalize.std = (0.5,)
    assert gs.equal(data.gather(index)[0], first * 2)
    data.transform = T.ToTensor()
    assert gs.equal(data.gather(index)[0], first)


class Mine(T.RandomHorizontalFlip):
    """Somebody's own, of which a batch knows nothing."""

    def __call__(self, img):
        return img


@pytest.mark.parametrize(
    "steps",
    [
        [T.RandomCrop(40), *TAIL],
        [T.RandomRotation(10, expand=True), *TAIL],
        [T.ToTensor(), T.Lambda(lambda x: x)],
        [T.Lambda(lambda x: x), T.ToTensor()],
        [T.RandomApply([T.Lambda(lambda x: x)]), T.ToTensor()],
        [T.RandomHorizontalFlip()],
        [T.ToTensor(), T.ToPILImage()],
        [Mine(), *TAIL],
        [*TAIL, Mine()],
        [*TAIL, T.RandomApply([T.Lambda(lambda x: x)])],
    ],
)
def test_what_is_not_recognised_goes_image_by_image(steps):
    assert Images(T.Compose(steps)).gather(gs.arange(2)) is None


def test_subsets_and_other_default_dtypes():
    data = Images(T.Compose([*AUGMENTATIONS["flip"], *TAIL]))
    assert DataLoader(Subset(data, [3, 1]), 2)._gathers()
    gs.set_default_dtype(gs.float64)
    try:
        assert not DataLoader(data, 2)._gathers()
        assert next(iter(DataLoader(data, 2)))[0].dtype == gs.float64
    finally:
        gs.set_default_dtype(gs.float32)


# --------------------------------------------------------------------------- all other transforms

PICTURES = {
    "vertical flip": T.RandomVerticalFlip(),
    "rotation": T.RandomRotation(30, "bilinear", fill=7),
    "affine": T.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), (-5, 5, -3, 3)),
    "resized crop": T.RandomResizedCrop((12, 14)),
    "jitter": T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "grey": T.RandomGrayscale(0.4),
    "all grey": T.Grayscale(3),
    "rand augment": T.RandAugment(),
    "reflected crop": T.RandomCrop((16, 18), padding=2, padding_mode="reflect"),
    "coloured crop": T.RandomCrop((16, 18), padding=2, fill=(1, 2, 3)),
    "pad": T.Pad(3, padding_mode="symmetric"),
    "resize": T.Resize((20, 11)),
    "middle": T.CenterCrop(9),
    "sometimes": T.RandomApply([T.ColorJitter(0.5), T.RandomRotation(20)], 0.4),
    "one of": T.RandomChoice([T.RandomVerticalFlip(), T.RandomAffine(9), T.Pad(0)], [1, 2, 3]),
    "any order": T.RandomOrder([T.RandomRotation(9), T.ColorJitter(0.5), T.RandomVerticalFlip()]),
}
TENSORS = {
    "erasing": T.RandomErasing(),
    "noise": T.RandomErasing(0.7, value="random"),
    "flip": T.RandomHorizontalFlip(),
    "rotation of floats": T.RandomRotation(30, "bilinear"),
    "jitter of floats": T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "sometimes normalized": T.RandomApply([T.Normalize(MEAN, STD), T.RandomVerticalFlip()]),
    "normalized differently": T.RandomChoice([T.Normalize(MEAN, STD), T.RandomErasing(1.0)]),
    "in any order": T.RandomOrder([T.Normalize(MEAN, STD), T.RandomErasing(), T.CenterCrop(14)]),
}
NORMALIZE = T.Normalize(MEAN, STD)


def steps_of(name):
    """The transform between others that draw numbers before and after it."""
    if name in PICTURES:
        before = [T.RandomHorizontalFlip(), PICTURES[name]]
        return [*before, T.RandomCrop((8, 9)), T.ToTensor(), NORMALIZE, T.RandomErasing(0.3)]
    return [T.RandomHorizontalFlip(), T.ToTensor(), TENSORS[name], NORMALIZE, T.RandomErasing(0.3)]


@pytest.mark.parametrize("name", [*PICTURES, *TENSORS])
def test_all_transforms_do_the_same_to_batches_and_to_single_images(name):
    steps = steps_of(name)
    want = passed(ColoursOneByOne, steps, batch_size=4)
    for got in (
        passed(Colours, steps, batch_size=4),
        passed(Colours, steps, batch_size=7),
        passed(Colours, steps, batch_size=7, num_workers=2),
    ):
        assert all(gs.equal(a, b) for a, b in zip(got, want))
    assert not gs.equal(*want)


def test_workers_draw_the_same_numbers():
    """One chain with everything, item by item: 0, 1 and 2 workers."""
    steps = [*PICTURES.values(), T.ToTensor(), *TENSORS.values()]
    want = passed(ColoursOneByOne, steps, batch_size=5)
    for workers in (1, 2):
        got = passed(ColoursOneByOne, steps, batch_size=5, num_workers=workers)
        assert all(gs.equal(a, b) for a, b in zip(got, want))
    got = passed(Colours, steps, batch_size=6)
    assert all(gs.equal(a, b) for a, b in zip(got, want))


@pytest.mark.parametrize("name", [*PICTURES, *TENSORS])
def test_a_transform_uses_the_numbers_it_says(name):
    transform = {**PICTURES, **TENSORS}[name]
    x = gs.rand(3, 16, 18) if name in TENSORS else gs.ones(3, 16, 18, dtype=gs.uint8) * 99
    for _ in range(8):
        before = gs.default_generator.offset
        transform(x)
        assert gs.default_generator.offset - before == transform.streams
    many = x.reshape(1, 3, 16, 18).repeat(3, 1, 1, 1)
    for batch in (many, many[:0]):
        assert transform.batch(batch).shape[0] == batch.shape[0]
        assert transform.batch(batch).dtype == x.dtype
    assert transform(many.reshape(1, 3, 3, 16, 18)).shape[:2] == (1, 3)


@pytest.mark.parametrize("name", PICTURES)
def test_the_forms_of_an_image_are_treated_alike(name):
    image = pytest.importorskip("PIL.Image")
    transform = PICTURES[name]
    pixels = np.random.default_rng(3).integers(0, 256, (16, 18, 3), dtype=np.uint8)
    got = []
    for form in (pixels, image.fromarray(pixels), gs.from_numpy(pixels.transpose(2, 0, 1).copy())):
        gs.manual_seed(3)
        out = transform(form)
        assert type(out) is type(form) or isinstance(out, image.Image)
        got.append(out.numpy().transpose(1, 2, 0) if isinstance(out, gs.Tensor) else np.array(out))
    np.testing.assert_array_equal(got[0], got[2])
    if "resize" in name:  # by Pillow, which may begin with the other side
        assert np.abs(got[0].astype(int) - got[1]).max() <= 2
    else:
        np.testing.assert_array_equal(got[0], got[1])


def test_each_image_of_a_batch_has_its_own_numbers():
    pixels = gs.from_numpy(np.random.default_rng(4).integers(0, 256, (1, 16, 18), dtype=np.uint8))
    many = gs.cat([pixels] * 40)
    for transform in (
        T.RandomHorizontalFlip(),
        T.RandomCrop(8),
        T.RandomRotation(30),
        T.ColorJitter(0.5),
        T.RandAugment(),
    ):
        out = transform.batch(many)
        assert out.shape[0] == 40 and out.dim() == 3
        assert len({image.numpy().tobytes() for image in out}) > 1
        other = transform(many.unsqueeze(1))
        assert other.shape[:2] == (40, 1)
        assert not gs.equal(other.squeeze(1), out)
    chain = T.Compose([T.RandomCrop(8), T.ToTensor(), T.Normalize((0.5,), (0.5,))])
    assert chain.batch(many).shape == (40, 8, 8)
    with pytest.raises(TypeError, match="Lambda.*single images"):
        T.Compose([T.Lambda(abs)]).batch(many)
    with pytest.raises(ValueError, match="have one shape"):
        T.RandomApply([T.Pad(1)]).batch(many)
    assert T.RandomChoice([T.Resize(8), T.RandomCrop((8, 9))]).batch(many).shape == (40, 8, 9)


class Doubled:
    """Somebody's own, with batches."""

    def __call__(self, x):
        return x * 2

    batch = __call__


def test_sizes_that_chance_decides():
    """A batch of one image each: its size may change from batch to batch."""
    steps = [T.RandomChoice([T.Resize(12), T.Resize(20)]), T.RandomCrop(9), T.ToTensor()]
    want = passed(ColoursOneByOne, steps, batch_size=1)
    assert all(gs.equal(a, b) for a, b in zip(passed(Colours, steps, batch_size=1), want))


def test_strangers_with_batches():
    steps = [T.RandomHorizontalFlip(), T.ToTensor(), Doubled(), T.RandomErasing()]
    want = passed(ColoursOneByOne, steps, batch_size=4)
    assert all(gs.equal(a, b) for a, b in zip(passed(Colours, steps, batch_size=6), want))


def test_strangers_in_a_choice_do_not_meet_numbers_again():
    """Outside a loader theirs come from the same generator as ours."""
    drawn = []
    noise = T.Lambda(lambda x: drawn.append(gs.rand(()).item()) or x)
    both = T.RandomOrder([noise, T.Lambda(lambda x: noise(x))])
    for _ in range(20):
        T.RandomApply([noise], 0.5)(None)
        T.RandomChoice([noise, noise])(None)
        both(None)
    assert len(set(drawn)) == len(drawn) > 50


def test_bytes_stay_bytes_without_to_tensor():
    steps = [T.RandomCrop((8, 9)), T.PILToTensor(), T.RandomVerticalFlip()]
    want = passed(ColoursOneByOne, steps, batch_size=4)
    got = passed(Colours, steps, batch_size=6)
    assert got[0].dtype == gs.uint8 and got[0].shape == (23, 3, 8, 9)
    assert all(gs.equal(a, b) for a, b in zip(got, want))


def test_transforms_of_a_choice_that_change_are_noticed():
    jitter = T.ColorJitter((0.0, 0.0))
    data = Colours(T.Compose([T.RandomApply([jitter], 1.0), T.ToTensor()]))
    assert data.gather(gs.arange(3))[0].max().item() == 0
    jitter.brightness = (1.0, 1.0)
    assert data.gather(gs.arange(3))[0].max().item() > 0.9
