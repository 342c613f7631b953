"""LeNet, VGG, ResNet (torchvision's names) and U-Net from torch.nn."""

from __future__ import annotations

import torch
from torch import nn


class LeNet(nn.Module):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x):
        if x.shape[-1] == 28:
            x = nn.ZeroPad2d(2)(x)
        pool = nn.MaxPool2d(2)
        x = pool(self.conv2(pool(self.conv1(x).relu())).relu()).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


class VGG(nn.Module):
    # "M": pooling; numbers: multiples of the width.
    PLANS = {
        11: "1M2M44M88M88M",
        13: "11M22M44M88M88M",
        16: "11M22M444M888M888M",
    }

    def __init__(
        self, depth, bn, num_classes=1000, small_input=False, dropout=0.5, width=64, hidden=4096
    ):
        super().__init__()
        layers, last = [], 3
        for mark in self.PLANS[depth]:
            if mark == "M":
                layers += [nn.MaxPool2d(2)]
                continue
            now = int(mark) * width
            layers += [nn.Conv2d(last, now, 3, padding=1)]
            layers += [nn.BatchNorm2d(now)] if bn else []
            layers += [nn.ReLU()]
            last = now
        self.features = nn.Sequential(*layers)
        if small_input:
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        else:
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
            self.classifier = nn.Sequential(
                nn.Linear(last * 7 * 7, hidden), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(hidden, num_classes),
            )  # fmt: skip

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Residual(nn.Module):
    """Both kinds of block: `kernels` (3, 3) or (1, 3, 1)."""

    def __init__(self, before, width, stride, kernels):
        super().__init__()
        self.count = len(kernels)
        after = width * (4 if self.count == 3 else 1)
        sizes = [before] + [width] * (self.count - 1) + [after]
        first = kernels.index(3)
        for i, k in enumerate(kernels):
            step = stride if i == first else 1
            conv = nn.Conv2d(sizes[i], sizes[i + 1], k, step, k // 2, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(sizes[i + 1]))
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        out = x
        for i in range(1, self.count + 1):
            out = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(out))
            out = out.relu() if i < self.count else out
        return (out + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class ResNet(nn.Module):
    def __init__(
        self, kernels, counts, num_classes=1000, small_input=False, in_channels=3, width=64
    ):
        super().__init__()
        if small_input:
            self.conv1 = nn.Conv2d(in_channels, width, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small_input else nn.MaxPool2d(3, 2, 1)
        before = width
        for stage, count in enumerate(counts):
            planes, stride = width << stage, 1 if stage == 0 else 2
            blocks = []
            for i in range(count):
                blocks.append(Residual(before, planes, stride if i == 0 else 1, kernels))
                before = planes * (4 if len(kernels) == 3 else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, num_classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def double_conv(before, after):
    layers = []
    for a in (before, after):
        layers += [
            nn.Conv2d(a, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
        ]  # fmt: skip
    return nn.ModuleDict({"double_conv": nn.Sequential(*layers)})


class UNet(nn.Module):
    def __init__(self, n_channels, n_classes, width, depth):
        super().__init__()
        self.depth = depth
        self.inc = double_conv(n_channels, width)
        for i in range(depth):
            pair = nn.Sequential(nn.MaxPool2d(2), double_conv(width << i, width << i + 1))
            self.add_module(f"down{i + 1}", nn.ModuleDict({"maxpool_conv": pair}))
            wide = width << depth - i
            up = nn.ConvTranspose2d(wide, wide // 2, 2, 2)
            parts = {"up": up, "conv": double_conv(wide, wide // 2)}
            self.add_module(f"up{i + 1}", nn.ModuleDict(parts))
        self.outc = nn.ModuleDict({"conv": nn.Conv2d(width, n_classes, 1)})

    def forward(self, x):
        x = self.inc["double_conv"](x)
        kept = []
        for i in range(self.depth):
            kept.append(x)
            pool, conv = getattr(self, f"down{i + 1}")["maxpool_conv"]
            x = conv["double_conv"](pool(x))
        for i in range(self.depth):
            parts, skip = getattr(self, f"up{i + 1}"), kept.pop()
            x = parts["up"](x)
            h, w = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
            x = nn.ConstantPad2d((w // 2, w - w // 2, h // 2, h - h // 2), 0.0)(x)
            x = parts["conv"]["double_conv"](torch.cat((skip, x), 1))
        return self.outc["conv"](x)
