"""Transforms of images, under torchvision's names.

An image is a PIL image, a uint8 array (H, W) or (H, W, C), or a tensor (C, H, W); what comes out
has the same form. Tensors with more dimensions are batches: every image has random numbers of its
own. ``batch`` takes (N, C, H, W), or grey images (N, H, W), at once. No transform needs Pillow but
for PIL images; bytes come out as Pillow's own operations give them. ``functional`` has what they do
as functions.
"""

from gradstone.vision.transforms import functional
from gradstone.vision.transforms._interpolation import InterpolationMode
from gradstone.vision.transforms.affine import RandomAffine, RandomRotation
from gradstone.vision.transforms.colour import ColorJitter, Grayscale, RandomGrayscale
from gradstone.vision.transforms.compose import (
    Compose,
    RandomApply,
    RandomChoice,
    RandomOrder,
    takes_any_form,
)
from gradstone.vision.transforms.convert import (
    ConvertImageDtype,
    Lambda,
    Normalize,
    PILToTensor,
    ToPILImage,
    ToTensor,
)
from gradstone.vision.transforms.erasing import RandomErasing
from gradstone.vision.transforms.geometry import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomVerticalFlip,
)
from gradstone.vision.transforms.randaugment import RandAugment
from gradstone.vision.transforms.resizing import RandomResizedCrop, Resize

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandAugment",
    "RandomAffine",
    "RandomApply",
    "RandomChoice",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomOrder",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "ToPILImage",
    "ToTensor",
    "functional",
    "takes_any_form",
]
