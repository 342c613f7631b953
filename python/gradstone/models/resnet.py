"""ResNet (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015), with
torchvision's names: conv1, bn1, layerN.M.convK, layerN.M.downsample.0, fc."""

from __future__ import annotations

from typing import Any

from gradstone import nn
from gradstone._C import Tensor
from gradstone.models._inputs import check_images, without_weights
from gradstone.nn import functional as F
from gradstone.nn import init


def _shortcut(channels: int, out: int, stride: int) -> nn.Module | None:
    """1 x 1 convolution and norm where the shape changes, else None (the identity)."""
    if stride == 1 and channels == out:
        return None
    return nn.Sequential(
        nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
    )


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a residual connection: (N, channels, H, W) to (N, width, H/stride,
    W/stride)."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions and a residual connection: (N, channels, H, W) to (N, 4 *
    width, H/stride, W/stride). The stride is at the 3 x 3 convolution, as in torchvision."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out = width * self.expansion
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = _shortcut(channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Images (N, in_channels, H, W) of a floating dtype to logits (N, num_classes).

    `layers`: blocks in each of the four stages. `small_input` is the stem for CIFAR's 32 x 32: one
    3 x 3 convolution with stride 1 and no pooling, instead of 7 x 7 with stride 2 and pooling.
    `width`: channels of the first stage (64). `zero_init_residual` starts the last norm of every
    block at 0, so that each block starts as the identity (Goyal et al., 2017).
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: tuple[int, int, int, int],
        num_classes: int = 1000,
        small_input: bool = False,
        in_channels: int = 3,
        width: int = 64,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.small_input = small_input
        kernel, stride = (3, 1) if small_input else (7, 2)
        self.conv1 = nn.Conv2d(in_channels, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        # All in the order of forward, as in torchvision: children can be put into a Sequential.
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small_input else nn.MaxPool2d(3, 2, 1)
        channels = width
        for stage, count in enumerate(layers):
            blocks = []
            for i in range(count):
                step = 2 if stage and i == 0 else 1
                blocks.append(block(channels, width * 2**stage, step))
                channels = width * 2**stage * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last: Any = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                init.zeros_(last.weight)

    def features(self, images: Tensor) -> Tensor:
        """The last stage's maps: (N, 8 * width * expansion, H/32, W/32), or H/8 with
        small_input."""
        check_images("ResNet", images, self.in_channels)
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in ("layer1", "layer2", "layer3", "layer4"):
            x = self._modules[stage](x)  # type: ignore[misc]
        return x

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.features(images)).flatten(1))


def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """18 layers in basic blocks; options as in :class:`ResNet`."""
    return ResNet(
        BasicBlock, (2, 2, 2, 2), num_classes, **without_weights("resnet18", num_classes, options)
    )


def resnet34(num_classes: int = 1000, **options: Any) -> ResNet:
    """34 layers in basic blocks; options as in :class:`ResNet`."""
    return ResNet(
        BasicBlock, (3, 4, 6, 3), num_classes, **without_weights("resnet34", num_classes, options)
    )


def resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """50 layers in bottlenecks; options as in :class:`ResNet`."""
    return ResNet(
        Bottleneck, (3, 4, 6, 3), num_classes, **without_weights("resnet50", num_classes, options)
    )
