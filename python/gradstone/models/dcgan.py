"""DCGAN (Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks", 2016), with the sizes and names of PyTorch's tutorial: main.N."""

from __future__ import annotations

from gradstone import nn
from gradstone._C import Tensor
from gradstone.models._inputs import check_images
from gradstone.nn import init

# First size of the generator (a convolution from 1 x 1) and how often it doubles.
_STEPS = {28: (7, 2), 32: (4, 3), 64: (4, 4)}


def _steps(op: str, size: int) -> tuple[int, int]:
    if size not in _STEPS:
        raise ValueError(f"[{op}] expected size to be one of {sorted(_STEPS)}, got {size!r}.")
    return _STEPS[size]


def dcgan_init(module: nn.Module) -> None:
    """The paper's start, for ``model.apply(dcgan_init)``: convolutions N(0, 0.02), norms N(1, 0.02)
    with bias 0."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d) and module.weight is not None:
        assert module.bias is not None
        init.normal_(module.weight, 1.0, 0.02)
        init.zeros_(module.bias)


class Generator(nn.Module):
    """Noise (N, latent) or (N, latent, 1, 1), N(0, 1), to images (N, channels, size, size) in
    [-1, 1].

    `size` 28, 32 or 64; `width`: maps before the last layer (the tutorial's ngf, 64), doubled
    towards the noise.
    """

    def __init__(
        self, latent: int = 100, channels: int = 1, size: int = 64, width: int = 64
    ) -> None:
        super().__init__()
        first, doublings = _steps("Generator", size)
        self.latent = latent
        maps = width * 2 ** (doublings - 1)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent, maps, first, 1, 0, bias=False),
            nn.BatchNorm2d(maps),
            nn.ReLU(),
        ]
        for _ in range(doublings - 1):
            layers += [
                nn.ConvTranspose2d(maps, maps // 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(maps // 2),
                nn.ReLU(),
            ]
            maps //= 2
        layers += [nn.ConvTranspose2d(maps, channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, noise: Tensor) -> Tensor:
        n = noise.size(0) if noise.dim() else 0
        if tuple(noise.shape) not in ((n, self.latent), (n, self.latent, 1, 1)):
            raise ValueError(
                f"[Generator] expected noise of shape (N, {self.latent}) or (N, {self.latent}, 1, "
                f"1), got {tuple(noise.shape)}."
            )
        return self.main(noise.reshape(n, self.latent, 1, 1))


class Discriminator(nn.Module):
    """Images (N, channels, size, size) in [-1, 1] to one logit each (N): sigmoid of it is the
    probability of being real.

    The tutorial's sigmoid is left to the loss (BCEWithLogitsLoss), where it cannot overflow; it has
    no parameters, so names and weights are the same.
    """

    def __init__(self, channels: int = 1, size: int = 64, width: int = 64) -> None:
        super().__init__()
        last, halvings = _steps("Discriminator", size)
        self.channels, self.size = channels, size
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2),
        ]
        maps = width
        for _ in range(halvings - 1):
            layers += [
                nn.Conv2d(maps, maps * 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(maps * 2),
                nn.LeakyReLU(0.2),
            ]
            maps *= 2
        layers.append(nn.Conv2d(maps, 1, last, 1, 0, bias=False))
        self.main = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, images: Tensor) -> Tensor:
        check_images("Discriminator", images, self.channels, (self.size,))
        return self.main(images).reshape(-1)
