"""Variational autoencoders (Kingma and Welling, "Auto-encoding variational Bayes", 2014)."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone import nn
from gradstone._C import Generator, Tensor
from gradstone._sampling import randn, randn_like
from gradstone.autograd.grad_mode import no_grad
from gradstone.models._inputs import check_images, check_shape
from gradstone.nn import functional as F


def vae_loss(output: tuple[Tensor, Tensor, Tensor], images: Tensor, beta: float = 1.0) -> Tensor:
    """The negative evidence lower bound, per image: binary cross-entropy summed over the pixels,
    plus beta times KL(N(mu, sigma^2) || N(0, 1)) = -1/2 sum(1 + log sigma^2 - mu^2 - sigma^2)
    (Kingma and Welling, 2014, appendix B).

    `output` is (logits, mu, logvar) as a VAE's forward gives them, `images` in [0, 1] in the shape
    of the logits or with the same number of pixels. beta = 1 is the paper's; other values: Higgins
    et al., 2017.
    """
    logits, mu, logvar = output
    if logits.numel() != images.numel() or logits.size(0) != images.size(0):
        raise ValueError(
            f"[vae_loss] logits {tuple(logits.shape)} and images {tuple(images.shape)} do not "
            "match."
        )
    pixels = F.binary_cross_entropy_with_logits(
        logits, images.reshape(*logits.shape), reduction="sum"
    )
    kl = -0.5 * (1 + logvar - mu * mu - logvar.exp()).sum()
    return (pixels + beta * kl) / images.size(0)


class _Autoencoder(nn.Module):
    """What both have in common: the code is drawn in training, its mean otherwise."""

    latent: int

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the code, each (N, latent)."""
        raise NotImplementedError

    def decode(self, code: Tensor) -> Tensor:
        """Logits of the pixels of codes (N, latent)."""
        raise NotImplementedError

    def reparameterize(self, mu: Tensor, logvar: Tensor, noise: Tensor | None = None) -> Tensor:
        """mu + sigma * noise, noise N(0, 1): a draw that has gradients (section 2.4)."""
        if noise is None:
            noise = randn_like(mu)
        check_shape(type(self).__name__, "noise", noise, tuple(mu.shape))
        return mu + (0.5 * logvar).exp() * noise

    def forward(self, images: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(logits, mu, logvar). The code is drawn (with `noise` if given) in training or when noise
        is given, else it is mu."""
        mu, logvar = self.encode(images)
        drawn = self.training or noise is not None
        return self.decode(self.reparameterize(mu, logvar, noise) if drawn else mu), mu, logvar

    @no_grad()
    def sample(self, count: int, generator: Generator | None = None) -> Tensor:
        """`count` new images in [0, 1], decoded from N(0, 1) codes."""
        like = next(self.parameters())
        code = randn(count, self.latent, generator=generator).to(like.device, like.dtype)
        return self.decode(code).sigmoid()


class VAE(_Autoencoder):
    """Images (N, ...) with in_features pixels in [0, 1] to (logits (N, in_features), mu, logvar).

    Two layers each way with the names of PyTorch's example: fc1, fc21 (mu), fc22 (log variance),
    fc3, fc4.
    """

    def __init__(self, in_features: int = 784, hidden: int = 400, latent: int = 20) -> None:
        super().__init__()
        self.in_features, self.latent = in_features, latent
        self.fc1 = nn.Linear(in_features, hidden)
        self.fc21 = nn.Linear(hidden, latent)
        self.fc22 = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, in_features)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        shape = tuple(images.shape)
        if len(shape) < 2 or images.numel() != shape[0] * self.in_features:
            raise ValueError(
                f"[VAE] expected images (N, ...) of {self.in_features} pixels each, got {shape}."
            )
        h = F.relu(self.fc1(images.reshape(shape[0], self.in_features)))
        return self.fc21(h), self.fc22(h)

    def decode(self, code: Tensor) -> Tensor:
        return self.fc4(F.relu(self.fc3(code)))


class ConvVAE(_Autoencoder):
    """Images (N, channels, size, size) in [0, 1] to (logits of that shape, mu, logvar).

    `maps` of each convolution with stride 2; `size` must be divisible by 2 ** len(maps). Parameters
    encoder.N, fc_mu, fc_var, decoder_input, decoder.N.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        maps: Sequence[int] = (32, 64),
        latent: int = 20,
    ) -> None:
        super().__init__()
        least = 2 ** len(maps)
        if not maps or size < least or size % least:
            raise ValueError(
                f"[ConvVAE] expected maps, and a size divisible by {least} (2 ** len(maps)), got "
                f"size {size} and maps {tuple(maps)}."
            )
        self.channels, self.size, self.latent = channels, size, latent
        self.last = (maps[-1], size // least, size // least)
        down: list[nn.Module] = []
        for before, after in zip((channels, *maps), maps, strict=False):
            down += [nn.Conv2d(before, after, 3, 2, 1), nn.ReLU()]
        self.encoder = nn.Sequential(*down)
        flat = self.last[0] * self.last[1] * self.last[2]
        self.fc_mu = nn.Linear(flat, latent)
        self.fc_var = nn.Linear(flat, latent)
        self.decoder_input = nn.Linear(latent, flat)
        up: list[nn.Module] = []
        rising = tuple(reversed((channels, *maps)))
        for before, after in zip(rising, rising[1:], strict=False):
            up += [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1)]
        self.decoder = nn.Sequential(*up)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        check_images("ConvVAE", images, self.channels, (self.size,))
        h = self.encoder(images).flatten(1)
        return self.fc_mu(h), self.fc_var(h)

    def decode(self, code: Tensor) -> Tensor:
        return self.decoder(self.decoder_input(code).reshape(-1, *self.last))
