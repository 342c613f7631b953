"""Data sets of images under torchvision's names and folder layouts."""

from gradstone.vision._batch import Planner
from gradstone.vision.datasets.archive import TarImages, read_image_tar
from gradstone.vision.datasets.arrays import ImageArrays
from gradstone.vision.datasets.cifar import CIFAR10, CIFAR100
from gradstone.vision.datasets.fake import FakeData
from gradstone.vision.datasets.folder import DatasetFolder, ImageFolder
from gradstone.vision.datasets.mnist import KMNIST, MNIST, FashionMNIST, read_idx

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageArrays",
    "ImageFolder",
    "KMNIST",
    "MNIST",
    "Planner",
    "TarImages",
    "read_idx",
    "read_image_tar",
]
