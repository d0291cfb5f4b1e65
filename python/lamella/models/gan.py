# SPDX-License-Identifier: MIT
"""Generative adversarial networks (Goodfellow et al. 2014): DCGAN (Radford et al. 2015) and WGAN-GP (Gulrajani et al. 2017)."""

from __future__ import annotations

from .. import autograd, enable_grad, nn, no_grad, ones_like, rand, randn, zeros_like
from ..nn import functional as F

__all__ = ["GAN", "Critic", "Discriminator", "Generator", "critic_loss", "discriminator_loss", "generator_loss", "gradient_penalty"]


def _start(model):
    """DCGAN's starting values: convolutions normal with deviation 0.02, batch norm's weights normal around 1."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


def _levels(op, size):
    """How often 4 doubles until it is `size`."""
    levels = (size // 4).bit_length() - 1
    if levels < 1 or 4 << levels != size:
        raise ValueError(f"[{op}] size must be 8, 16, 32, ..., got {size}")
    return levels


class Generator(nn.Module):
    """Noise (N, noise) -> pictures (N, channels, size, size) in (-1, 1), size a power of two from 8."""

    def __init__(self, noise=100, channels=3, size=64, width=64):
        super().__init__()
        levels = _levels("Generator", size)
        wide = width << (levels - 1)
        layers = [nn.ConvTranspose2d(noise, wide, 4, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]  # (N, wide, 4, 4)
        for _ in range(levels - 1):
            layers += [nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(wide // 2), nn.ReLU()]
            wide //= 2
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(wide, channels, 4, 2, 1), nn.Tanh())
        self.noise = noise
        _start(self)

    def forward(self, z):
        if z.ndim != 2 or z.shape[1] != self.noise:
            raise ValueError(f"[Generator] z must have shape (N, {self.noise}), got {tuple(z.shape)}")
        return self.main(z.reshape(*z.shape, 1, 1))


class Discriminator(nn.Module):
    """Pictures (N, channels, size, size) -> logits of their being real (N); `norm(filters)` makes the layer between."""

    def __init__(self, channels=3, size=64, width=64, norm=nn.BatchNorm2d):
        super().__init__()
        layers = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]  # (N, width, size / 2, size / 2)
        for _ in range(_levels("Discriminator", size) - 1):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), norm(2 * width), nn.LeakyReLU(0.2)]
            width *= 2
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 4))  # (N, 1, 1, 1)
        _start(self)

    def forward(self, x):
        return self.main(x).flatten()


class Critic(Discriminator):
    """`Discriminator` with a norm within each picture, as the penalty needs, which is one of each picture alone."""

    def __init__(self, channels=3, size=64, width=64):
        super().__init__(channels, size, width, norm=lambda filters: nn.GroupNorm(1, filters))


class GAN(nn.Module):
    """A generator and its discriminator (or critic) as one model, for `train.AdversarialTrainer`."""

    def __init__(self, generator, discriminator):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, z):
        return self.generator(z)

    def noise(self, n):
        """What n pictures are made of: (n, noise), standard normal."""
        return randn(n, self.generator.noise)

    @no_grad()
    def sample(self, n):
        """n new pictures, values in (-1, 1)."""
        return self(self.noise(n))


# ---- losses ----------------------------------------------------------------------------------------------------------
def discriminator_loss(real, fake):
    """-log D(x) - log(1 - D(G(z))), means over logits real and fake (N)."""
    return F.binary_cross_entropy_with_logits(real, ones_like(real)) + F.binary_cross_entropy_with_logits(
        fake, zeros_like(fake)
    )


def generator_loss(fake):
    """-log D(G(z)), the form whose gradient does not vanish."""
    return F.binary_cross_entropy_with_logits(fake, ones_like(fake))


def gradient_penalty(critic, real, fake):
    """Mean of (|gradient of the critic's score by its picture| - 1)^2 at random points between real and fake ones. It is
    differentiated again by the critic's weights."""
    if real.shape != fake.shape:
        raise ValueError(f"[gradient_penalty] real and fake must have one shape, got {tuple(real.shape)} and {tuple(fake.shape)}")
    share = rand(real.shape[0], 1, 1, 1)
    x = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    with enable_grad():
        (dx,) = autograd.grad(critic(x).sum(), [x], create_graph=True)
    return (((dx * dx).flatten(1).sum(1) + 1e-12).sqrt() - 1).square().mean()


def critic_loss(critic, real, fake, penalty=10.0):
    """mean critic(fake) - mean critic(real) + penalty * gradient_penalty; the generator's loss is -mean critic(fake)."""
    return critic(fake).mean() - critic(real).mean() + penalty * gradient_penalty(critic, real, fake)
