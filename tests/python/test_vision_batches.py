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
    assert loader._gathers() == (kind is Images)
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


@pytest.mark.parametrize(
    "steps",
    [
        [T.RandomCrop(28, padding=2, padding_mode="reflect"), *TAIL],
        [T.RandomCrop(40), *TAIL],
        [T.RandomCrop(28, padding=2), T.RandomCrop(28, padding=2), *TAIL],
        [*TAIL, T.RandomHorizontalFlip()],
        [T.ToTensor(), T.Lambda(lambda x: x)],
        [T.PILToTensor()],
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
