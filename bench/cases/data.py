"""Loading data: whole passes over random data."""

import importlib

import numpy as np

from . import Case

COUNT = 60_000


def _data(T):
    return importlib.import_module(f"{T.__name__}.utils.data")


def _passing(loader):
    """A pass over the loader."""

    def step():
        for _ in loader:
            pass

    return step


def _working(loader, work):
    """A pass over the loader, in which something is done with each batch."""

    def step():
        for x, _ in loader:
            work(x)

    return step


def tensors(workers, shape=(1, 28, 28), batch=32, count=COUNT, work=None):
    def make(T):
        D = _data(T)
        data = D.TensorDataset(T.randn(count, *shape), T.randint(0, 10, (count,)))
        loader = D.DataLoader(data, batch, shuffle=True, num_workers=workers)
        return _working(loader, work(T)) if work else _passing(loader)

    return make


def _total(T):
    return lambda x: x.sum()


def _convolution(T):
    weight = T.randn(8, 3, 3, 3)
    return lambda x: T.nn.functional.conv2d(x, weight)


def _python(T):
    """A millisecond or so of Python, as of metrics and logs: a CPU for batches made meanwhile."""
    return lambda x: sum(i & 3 for i in range(30_000))


def items(workers, persistent=False):
    """A data set written in Python."""

    def make(T):
        D = _data(T)
        x, y = T.randn(COUNT, 1, 28, 28), T.randint(0, 10, (COUNT,))

        class Items(D.Dataset):
            def __len__(self):
                return COUNT

            def __getitem__(self, i):
                return x[i], y[i]

        options = {"persistent_workers": True} if persistent else {}
        loader = D.DataLoader(Items(), 32, shuffle=True, num_workers=workers, **options)
        return _passing(loader)

    return make


def _images(T, shape, transform, count, batch):
    """uint8 images through transforms: ours over a data set of ours, or, for a library without
    them, the same steps in its tensors, image by image."""
    D = _data(T)
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    labels = T.zeros(count, dtype=T.int64)
    if T.__name__ == "gradstone":
        return D.DataLoader(_ours(T, pixels, labels, transform), batch, shuffle=True)
    planes = T.from_numpy(pixels if pixels.ndim == 4 else pixels[:, None])
    channels = planes.shape[1]

    class Images(D.Dataset):
        def __len__(self):
            return count

        def __getitem__(self, i):
            image = planes[i]
            if transform == "augment":
                image = T.nn.functional.pad(image, (4, 4, 4, 4))
                top, left = T.randint(0, 9, (2,)).tolist()
                image = image[:, top : top + shape[-2], left : left + shape[-1]]
                if T.rand(()).item() < 0.5:
                    image = image.flip(-1)
            image = image.to(T.float32).div(255)
            return image.sub_(mean).div_(std), labels[i]

    mean, std = T.full((channels, 1, 1), 0.13), T.full((channels, 1, 1), 0.31)
    return D.DataLoader(Images(), batch, shuffle=True)


def _ours(T, pixels, labels, transform):
    from gradstone.vision import transforms
    from gradstone.vision._batch import Planner

    channels, height, width = (1, *pixels.shape[1:]) if pixels.ndim == 3 else pixels.shape[1:]
    steps = [
        transforms.ToTensor(),
        transforms.Normalize((0.13,) * channels, (0.31,) * channels),
    ]
    if transform == "augment":
        steps = [
            transforms.RandomCrop((height, width), padding=4),
            transforms.RandomHorizontalFlip(),
            *steps,
        ]
    whole = transforms.Compose(steps)
    planes = T.from_numpy(pixels).reshape(-1, channels, height, width)
    planner = Planner()

    class Images(_data(T).Dataset):
        def __len__(self):
            return len(pixels)

        def gather(self, index):
            plan = planner(whole, channels, height, width)
            return [plan(planes, index), T.index_select(labels, 0, index)]

    return Images()


def images(shape, transform, count, batch):
    return lambda T: _passing(_images(T, shape, transform, count, batch))


CASES = [
    Case("data/tensors-60000x28x28-b32", tensors(0), samples=COUNT),
    Case("data/tensors-60000x28x28-b32/2-workers", tensors(2), samples=COUNT),
    Case("data/tensors-6000x3x64x64-b128", tensors(0, (3, 64, 64), 128, 6000), samples=6000),
    *(
        Case(
            f"data/tensors-6000x3x64x64-b128/{name}",
            tensors(0, (3, 64, 64), 128, 6000, work),
            samples=6000,
        )
        for name, work in (("sum", _total), ("conv", _convolution), ("python", _python))
    ),
    Case("data/items-60000x28x28-b32/2-workers", items(2), samples=COUNT),
    Case("data/items-60000x28x28-b32/2-persistent", items(2, True), samples=COUNT),
    Case("data/mnist-normalise-b32", images((28, 28), "plain", 10_000, 32), samples=10_000),
    Case("data/cifar-crop-flip-b128", images((3, 32, 32), "augment", 5000, 128), samples=5000),
]
