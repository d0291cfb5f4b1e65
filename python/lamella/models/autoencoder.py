# SPDX-License-Identifier: MIT
"""Autoencoders: plain (Hinton and Salakhutdinov 2006), denoising (Vincent et al. 2008), and as judges of what is odd."""

from __future__ import annotations

from itertools import pairwise

from .. import nn, no_grad, quantile, rand, randn_like
from ..nn import functional as F

__all__ = ["Autoencoder", "ConvAutoencoder"]


class _Coder(nn.Module):
    """What both share: `encoder`, `decoder`, the loss, the score."""

    def forward(self, x):
        return self.decoder(self.encoder(x))

    def loss(self, x, noise=0.0, dropped=0.0):
        """The mean squared error of the reconstruction of x; denoising: from x with normal noise of that deviation added
        and that share of its elements set to zero."""
        if noise < 0 or not 0 <= dropped < 1:
            raise ValueError(f"[autoencoder] noise must be >= 0 and dropped in [0, 1), got {noise} and {dropped}")
        seen = x + noise * randn_like(x) if noise else x
        seen = seen * (rand(x.shape) >= dropped).to(x.dtype) if dropped else seen
        return F.mse_loss(self(seen), x)

    @no_grad()
    def anomaly_score(self, x):
        """(N): the mean squared error of each row's reconstruction: large for what is unlike the data learned from."""
        return ((self(x) - x) ** 2).flatten(1).mean(1)

    def threshold(self, x, share=0.99):
        """The score below which this share of x, which is to be ordinary data, lies."""
        return quantile(self.anomaly_score(x), share).item()


class Autoencoder(_Coder):
    """(N, in_features) -> the same, by way of a code (N, code); `hidden`: the widths on the way."""

    def __init__(self, in_features, code=32, hidden=(256, 128)):
        super().__init__()
        widths = [in_features, *hidden, code]

        def layers(widths):
            made = []
            for a, b in pairwise(widths):
                made += [nn.Linear(a, b), nn.ReLU()]
            return nn.Sequential(*made[:-1])

        self.encoder, self.decoder = layers(widths), layers(widths[::-1])


class ConvAutoencoder(_Coder):
    """(N, channels, H, W) -> the same, by way of a code (N, code, H / 4, W / 4); H and W divisible by 4."""

    def __init__(self, channels=1, width=16, code=8):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),  # (N, width, H / 2, W / 2)
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),  # (N, 2 width, H / 4, W / 4)
            nn.ReLU(),
            nn.Conv2d(2 * width, code, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(code, 2 * width, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),  # (N, width, H / 2, W / 2)
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),  # (N, channels, H, W)
        )
