# SPDX-License-Identifier: MIT
"""Losses of generative models."""

from __future__ import annotations

from .. import functional as F
from ._base import Loss

__all__ = ["ELBOLoss", "GANDiscriminatorLoss", "GANGeneratorLoss"]


class GANDiscriminatorLoss(Loss):
    """Scores of real and of generated examples apart: see `functional.gan_discriminator_loss`."""

    def __init__(self, kind="non_saturating", reduction="mean"):
        super().__init__(reduction)
        self.kind = kind

    def forward(self, real, fake):
        return F.gan_discriminator_loss(real, fake, self.kind, self.reduction)

    def extra_repr(self):
        return f"kind={self.kind!r}"


class GANGeneratorLoss(Loss):
    """Scores of generated examples like those of real ones: see `functional.gan_generator_loss`."""

    def __init__(self, kind="non_saturating", reduction="mean"):
        super().__init__(reduction)
        self.kind = kind

    def forward(self, fake):
        return F.gan_generator_loss(fake, self.kind, self.reduction)

    def extra_repr(self):
        return f"kind={self.kind!r}"


class ELBOLoss(Loss):
    """Minus the evidence lower bound of a variational autoencoder: see `functional.elbo_loss`."""

    def __init__(self, beta=1.0, likelihood="bernoulli", reduction="mean"):
        super().__init__(reduction)
        self.beta, self.likelihood = beta, likelihood

    def forward(self, input, target, mean, log_var):
        return F.elbo_loss(input, target, mean, log_var, self.beta, self.likelihood, self.reduction)

    def extra_repr(self):
        return f"beta={self.beta}, likelihood={self.likelihood!r}"
