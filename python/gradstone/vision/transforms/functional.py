"""What transforms do, as functions under torchvision's names: no random numbers, no objects.

An image is what it is for the transforms, which are built on these: a PIL image, a uint8 array (H,
W) or (H, W, C), or a tensor (..., C, H, W); what comes out has the same form.
"""

from gradstone.vision.transforms._interpolation import InterpolationMode
from gradstone.vision.transforms.affine import affine, rotate
from gradstone.vision.transforms.colour import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    equalize,
    posterize,
    rgb_to_grayscale,
    solarize,
)
from gradstone.vision.transforms.convert import (
    convert_image_dtype,
    normalize,
    pil_to_tensor,
    to_pil_image,
    to_tensor,
)
from gradstone.vision.transforms.erasing import erase
from gradstone.vision.transforms.geometry import center_crop, crop, hflip, pad, vflip
from gradstone.vision.transforms.resizing import resize, resized_crop

to_grayscale = rgb_to_grayscale

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "equalize",
    "erase",
    "hflip",
    "normalize",
    "pad",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]
