"""U-Net (Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image
segmentation", 2015), with the common names: inc, downN, upN, outc."""

from __future__ import annotations

from gradstone import _C, nn
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.models._inputs import check_images
from gradstone.nn import functional as F


class DoubleConv(nn.Module):
    """Twice: 3 x 3 convolution, norm, ReLU; the size is kept (the paper's convolutions lose a
    border)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(channels, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    """Half the size, then DoubleConv."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(channels, out))

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Twice the size by a transposed convolution, joined with the skip connection, then
    DoubleConv."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.conv = DoubleConv(channels, out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        # An odd size loses a row or column at the pooling: it comes back as zeros.
        dh, dw = skip.size(2) - x.size(2), skip.size(3) - x.size(3)
        if dh or dw:
            x = F.pad(x, (dw // 2, dw - dw // 2, dh // 2, dh - dh // 2))
        return self.conv(_C.cat([skip, x], 1))


class OutConv(nn.Module):
    """1 x 1 convolution to the classes."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class UNet(nn.Module):
    """Images (N, n_channels, H, W) to one logit per class and pixel (N, n_classes, H, W).

    `depth` halvings of the size (4), `width` channels at full size (64), doubled at each halving.
    H and W at least 2 ** depth; they need not be multiples of it. Norms as usual today (the paper
    has none).
    """

    def __init__(
        self, n_channels: int = 3, n_classes: int = 2, width: int = 64, depth: int = 4
    ) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.n_classes = n_classes
        self.depth = whole("UNet", "depth", depth, 1)
        whole("UNet", "width", width, 1)
        self.inc = DoubleConv(n_channels, width)
        for i in range(depth):
            self.add_module(f"down{i + 1}", Down(width * 2**i, width * 2 ** (i + 1)))
        for i in range(depth):
            channels = width * 2 ** (depth - i)
            self.add_module(f"up{i + 1}", Up(channels, channels // 2))
        self.outc = OutConv(width, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        check_images("UNet", images, self.n_channels, least=2**self.depth)
        skips = [self.inc(images)]
        for i in range(self.depth):
            skips.append(getattr(self, f"down{i + 1}")(skips[-1]))
        x = skips.pop()
        for i in range(self.depth):
            x = getattr(self, f"up{i + 1}")(x, skips.pop())
        return self.outc(x)
