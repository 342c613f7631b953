"""DCGAN with the layers of PyTorch's tutorial, and variational autoencoders, from torch.nn."""

from __future__ import annotations

import torch
from torch import nn


class Generator(nn.Module):
    def __init__(self, latent=100, channels=1, size=64, width=64):
        super().__init__()
        nz, ngf, nc = latent, width, channels
        norm, relu, up = nn.BatchNorm2d, nn.ReLU, nn.ConvTranspose2d
        start = {
            28: [up(nz, ngf * 2, 7, 1, 0, bias=False), norm(ngf * 2), relu()],
            32: [
                up(nz, ngf * 4, 4, 1, 0, bias=False), norm(ngf * 4), relu(),
                up(ngf * 4, ngf * 2, 4, 2, 1, bias=False), norm(ngf * 2), relu(),
            ],
            64: [
                up(nz, ngf * 8, 4, 1, 0, bias=False), norm(ngf * 8), relu(),
                up(ngf * 8, ngf * 4, 4, 2, 1, bias=False), norm(ngf * 4), relu(),
                up(ngf * 4, ngf * 2, 4, 2, 1, bias=False), norm(ngf * 2), relu(),
            ],
        }[size]  # fmt: skip
        self.main = nn.Sequential(
            *start, up(ngf * 2, ngf, 4, 2, 1, bias=False), norm(ngf), relu(),
            up(ngf, nc, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x):
        return self.main(x[:, :, None, None])


class Discriminator(nn.Module):
    def __init__(self, channels=1, size=64, width=64):
        super().__init__()
        nc, ndf = channels, width
        norm, leaky, conv = nn.BatchNorm2d, nn.LeakyReLU, nn.Conv2d
        layers = [
            conv(nc, ndf, 4, 2, 1, bias=False), leaky(0.2),
            conv(ndf, ndf * 2, 4, 2, 1, bias=False), norm(ndf * 2), leaky(0.2),
        ]  # fmt: skip
        if size >= 32:
            layers += [conv(ndf * 2, ndf * 4, 4, 2, 1, bias=False), norm(ndf * 4), leaky(0.2)]
        if size == 64:
            layers += [conv(ndf * 4, ndf * 8, 4, 2, 1, bias=False), norm(ndf * 8), leaky(0.2)]
        last = {28: (ndf * 2, 7), 32: (ndf * 4, 4), 64: (ndf * 8, 4)}[size]
        self.main = nn.Sequential(*layers, conv(last[0], 1, last[1], 1, 0, bias=False))

    def forward(self, x):
        return self.main(x)[:, 0, 0, 0]


class VAE(nn.Module):
    def __init__(self, in_features=784, hidden=400, latent=20):
        super().__init__()
        self.fc1 = nn.Linear(in_features, hidden)
        self.fc21 = nn.Linear(hidden, latent)
        self.fc22 = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, in_features)

    def forward(self, x, noise):
        h = self.fc1(x.flatten(1)).relu()
        normal = torch.distributions.Normal(self.fc21(h), torch.exp(self.fc22(h) / 2))
        z = normal.loc + normal.scale * noise
        return self.fc4(self.fc3(z).relu()), normal.loc, self.fc22(h)


class ConvVAE(nn.Module):
    def __init__(self, size, maps, latent):
        super().__init__()
        a, b = maps
        self.side = size // 4
        self.encoder = nn.Sequential(
            nn.Conv2d(1, a, 3, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()
        )
        flat = b * self.side**2
        self.fc_mu = nn.Linear(flat, latent)
        self.fc_var = nn.Linear(flat, latent)
        self.decoder_input = nn.Linear(latent, flat)
        self.decoder = nn.Sequential(
            nn.ReLU(), nn.ConvTranspose2d(b, a, 4, 2, 1),
            nn.ReLU(), nn.ConvTranspose2d(a, 1, 4, 2, 1),
        )  # fmt: skip

    def forward(self, x, noise):
        h = self.encoder(x).flatten(1)
        mu, logvar = self.fc_mu(h), self.fc_var(h)
        z = self.decoder_input(mu + torch.exp(logvar).sqrt() * noise)
        return self.decoder(z.unflatten(1, (-1, self.side, self.side))), mu, logvar
