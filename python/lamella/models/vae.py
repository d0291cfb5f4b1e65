# SPDX-License-Identifier: MIT
"""Variational autoencoders (Kingma and Welling 2013), of vectors and of pictures."""

from __future__ import annotations

from .. import exp, nn, no_grad, randn, randn_like
from ..nn import functional as F

__all__ = ["VAE", "ConvVAE", "code_divergence", "vae_loss"]


class _Variational(nn.Module):
    """What both share. A subclass has `encoder` -> (N, features), `mean` and `log_variance`, linear, and `decoder`."""

    def encode(self, x):
        """Mean and log-variance of the code, each (N, code)."""
        h = self.encoder(x)
        return self.mean(h), self.log_variance(h)

    def decode(self, z):
        """Logits of x from codes (N, code)."""
        return self.decoder(z)

    def forward(self, x):
        """Logits of the reconstruction, mean, log-variance. In training the code is drawn, mean + deviation * noise, and in
        evaluation it is the mean."""
        mean, log_variance = self.encode(x)
        z = mean + exp(log_variance / 2) * randn_like(mean) if self.training else mean
        return self.decode(z), mean, log_variance

    @no_grad()
    def sample(self, n):
        """n new ones, values in (0, 1)."""
        return self.decode(randn(n, self.code)).sigmoid()


class VAE(_Variational):
    """(N, in_features), values in [0, 1]; one hidden layer on each side."""

    def __init__(self, in_features, code=20, hidden=400):
        super().__init__()
        self.code = code
        self.encoder = nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(hidden, code), nn.Linear(hidden, code)
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, in_features))


class ConvVAE(_Variational):
    """(N, channels, size, size), values in [0, 1]; ValueError unless 8 divides size."""

    def __init__(self, channels=3, size=64, code=128, width=32):
        super().__init__()
        if size % 8:
            raise ValueError(f"[ConvVAE] size must be divisible by 8, got {size}")
        self.code, side = code, size // 8
        down = {"kernel_size": 4, "stride": 2, "padding": 1}
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, **down),  # (N, width, size / 2, size / 2)
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, **down),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, **down),  # (N, 4 width, size / 8, size / 8)
            nn.ReLU(),
            nn.Flatten(),
        )
        flat = 4 * width * side * side
        self.mean, self.log_variance = nn.Linear(flat, code), nn.Linear(flat, code)
        self.decoder = nn.Sequential(
            nn.Linear(code, flat),
            nn.Unflatten(1, (4 * width, side, side)),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, **down),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, **down),
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, **down),  # (N, channels, size, size)
        )


def code_divergence(mean, log_variance):
    """The divergence of codes (N, code) from a standard normal in nats, sum (mean^2 + var - 1 - log var) / 2, meaned over rows
    (Kingma and Welling 2013, appendix B)."""
    return (mean * mean + exp(log_variance) - 1 - log_variance).sum() / (2 * mean.shape[0])


def vae_loss(logits, mean, log_variance, target, beta=1.0):
    """The negative evidence lower bound per row: binary cross-entropy of the reconstruction, summed over its elements, plus
    beta times `code_divergence` (Kingma and Welling 2013; beta: Higgins et al. 2017)."""
    n = logits.shape[0]
    seen = F.binary_cross_entropy_with_logits(logits, target, reduction="sum") / n
    return seen + beta * code_divergence(mean, log_variance)
