"""VGG (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
recognition", 2014), with torchvision's names: features.N, classifier.N."""

from __future__ import annotations

from typing import Any

from gradstone import nn
from gradstone._C import Tensor
from gradstone.models._inputs import check_images, without_weights
from gradstone.nn import init

# Convolutions in each of the five blocks; the paper's configurations A, B and D.
_BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}


class VGG(nn.Module):
    """Images (N, in_channels, H, W), H and W at least 32, to logits (N, num_classes).

    `depth` 11, 13 or 16; `batch_norm` puts a BatchNorm2d behind every convolution. `small_input`
    is the form for CIFAR's 32 x 32: the features end as 1 x 1, and one Linear classifies them.
    `width` is the channels of the first block (64), doubled up to 8 times that; `hidden` the size
    of the classifier's layers (4096).
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 1000,
        batch_norm: bool = False,
        small_input: bool = False,
        in_channels: int = 3,
        dropout: float = 0.5,
        width: int = 64,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        if depth not in _BLOCKS:
            raise ValueError(f"[VGG] expected depth to be one of {sorted(_BLOCKS)}, got {depth!r}.")
        self.in_channels = in_channels
        layers: list[nn.Module] = []
        channels = in_channels
        for block, convolutions in enumerate(_BLOCKS[depth]):
            out = width * min(2**block, 8)
            for _ in range(convolutions):
                layers.append(nn.Conv2d(channels, out, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(out))
                layers.append(nn.ReLU())
                channels = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        if small_input:
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, num_classes))
        else:
            self.avgpool = nn.AdaptiveAvgPool2d(7)
            self.classifier = nn.Sequential(
                nn.Linear(channels * 49, hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, num_classes),
            )
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                init.normal_(module.weight, 0, 0.01)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        check_images("VGG", images, self.in_channels, least=32)
        return self.classifier(self.avgpool(self.features(images)).flatten(1))


def vgg11(num_classes: int = 1000, **options: Any) -> VGG:
    """Configuration A: 8 convolutions and 3 linear layers; options as in :class:`VGG`."""
    return VGG(11, num_classes, **without_weights("vgg11", num_classes, options))


def vgg11_bn(num_classes: int = 1000, **options: Any) -> VGG:
    """``vgg11`` with batch norm."""
    return VGG(
        11, num_classes, batch_norm=True, **without_weights("vgg11_bn", num_classes, options)
    )


def vgg13(num_classes: int = 1000, **options: Any) -> VGG:
    """Configuration B: 10 convolutions and 3 linear layers; options as in :class:`VGG`."""
    return VGG(13, num_classes, **without_weights("vgg13", num_classes, options))


def vgg13_bn(num_classes: int = 1000, **options: Any) -> VGG:
    """``vgg13`` with batch norm."""
    return VGG(
        13, num_classes, batch_norm=True, **without_weights("vgg13_bn", num_classes, options)
    )


def vgg16(num_classes: int = 1000, **options: Any) -> VGG:
    """Configuration D: 13 convolutions and 3 linear layers; options as in :class:`VGG`."""
    return VGG(16, num_classes, **without_weights("vgg16", num_classes, options))


def vgg16_bn(num_classes: int = 1000, **options: Any) -> VGG:
    """``vgg16`` with batch norm."""
    return VGG(
        16, num_classes, batch_norm=True, **without_weights("vgg16_bn", num_classes, options)
    )
