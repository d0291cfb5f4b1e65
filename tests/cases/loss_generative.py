# SPDX-License-Identifier: MIT
"""Losses of generative models."""

import numpy as np

import lamella
import lamella.ops as ops
from case import A, Bad, Case, S

from .loss import each_reduction, reduced, x, y


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


DISCRIMINATOR = {
    "minimax": (lambda r: -log_sigmoid(r), lambda f: -log_sigmoid(-f)),
    "non_saturating": (lambda r: -log_sigmoid(r), lambda f: -log_sigmoid(-f)),
    "least_squares": (lambda r: (r - 1) ** 2 / 2, lambda f: f**2 / 2),
    "hinge": (lambda r: np.maximum(0, 1 - r), lambda f: np.maximum(0, 1 + f)),
    "wasserstein": (lambda r: -r, lambda f: f),
}
GENERATOR = {
    "minimax": lambda f: log_sigmoid(-f),
    "non_saturating": lambda f: -log_sigmoid(f),
    "least_squares": lambda f: (f - 1) ** 2 / 2,
    "hinge": lambda f: -f,
    "wasserstein": lambda f: -f,
}


def discriminator(real, fake, kind, reduction="mean"):
    of_real, of_fake = DISCRIMINATOR[kind]
    reduce = {"none": lambda v: v, "mean": np.mean, "sum": np.sum}[reduction]
    return reduce(of_real(real)) + reduce(of_fake(fake))


def kl(mean, log_var):
    return 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).reshape(len(mean), -1).sum(1)


def elbo(x, t, mean, log_var, beta=1.0, likelihood="bernoulli"):
    each = (x - t) ** 2 / 2 if likelihood == "gaussian" else np.logaddexp(0, x) - t * x
    return each.reshape(len(x), -1).sum(1) + beta * kl(mean, log_var)


def penalty(real, fake, w, target=1.0):
    """Of the critic sum((x w)^2) / 2, whose gradient is x w^2, at the points that seed 7 gives."""
    lamella.manual_seed(7)
    u = lamella.rand((len(real), 1), dtype=lamella.float64).numpy()
    points = u * real + (1 - u) * fake
    return (np.sqrt(((points * w**2) ** 2).sum(1)) - target) ** 2


def seeded_penalty(real, fake, w, **k):
    lamella.manual_seed(7)
    return ops.gradient_penalty(lambda x: 0.5 * ops.square(x * w).sum(1), real, fake, **k)


LATENT = A((4, 3)), A((4, 3))
POINTS = A((4, 6), grad=False), A((4, 6), grad=False), A((6,))

CASES = [
    Case(
        "gan_discriminator_loss",
        ops.gan_discriminator_loss,
        discriminator,
        [S(A((5, 1)), A((5, 1)), kind) for kind in DISCRIMINATOR]
        + [S(A((5, 1)), A((5, 1)), "hinge", r) for r in ("none", "sum")]
        + [S(A((5, 1)), A((3, 1)), "minimax")],
        bad=[
            Bad(lambda: ops.gan_discriminator_loss(x, x, "relu"), ValueError, "kind must be one of minimax, non_saturating"),
            Bad(lambda: ops.gan_discriminator_loss(x, y, reduction="none"), ValueError, "fake must have input's shape (3, 4), got (3, 1)"),
            Bad(lambda: ops.gan_discriminator_loss(x, y, reduction="avg"), ValueError, "[gan_discriminator_loss] reduction must be"),
        ],
    ),
    Case(
        "gan_generator_loss",
        ops.gan_generator_loss,
        lambda fake, kind, reduction="mean": reduced(GENERATOR[kind])(fake, reduction=reduction),
        [S(A((5, 1)), kind) for kind in GENERATOR] + [S(A((5, 1)), "non_saturating", reduction="none")],
        bad=[Bad(lambda: ops.gan_generator_loss(x, "w"), ValueError, "[gan_generator_loss] kind must be one of")],
    ),
    Case(
        "gradient_penalty",
        seeded_penalty,
        reduced(penalty),
        [*each_reduction(*POINTS), S(*POINTS, target=0.0)],
        dtypes=("float64",),  # its points are drawn in the input's dtype
        layouts=False,
        bad=[Bad(lambda: ops.gradient_penalty(lambda v: v, x, y), ValueError, "[gradient_penalty] fake must have input's shape")],
    ),
    Case(
        "gaussian_kl_div",
        ops.gaussian_kl_div,
        reduced(kl),
        [*each_reduction(*LATENT), S(A((2, 3, 4)), A((2, 3, 4)))],
        bad=[Bad(lambda: ops.gaussian_kl_div(x, y), ValueError, "[gaussian_kl_div] log_var must have input's shape")],
    ),
    Case(
        "elbo_loss",
        ops.elbo_loss,
        reduced(elbo),
        [
            *each_reduction(A((4, 2, 5)), A((4, 2, 5), 0, 1), *LATENT, beta=0.3),
            S(A((4, 7)), A((4, 7)), *LATENT, likelihood="gaussian"),
            S(A((4, 7)), A((4, 7)), *LATENT, likelihood="gaussian", reduction="none"),
        ],
        bad=[
            Bad(lambda: ops.elbo_loss(x, x, y, y, likelihood="poisson"), ValueError, "likelihood must be 'bernoulli' or 'gaussian', got 'poisson'"),
            Bad(lambda: ops.elbo_loss(x, x, y[:1], y[:1]), ValueError, "[elbo_loss] mean must have input's 3 examples, got (1, 1)"),
            Bad(lambda: ops.elbo_loss(x, y, y, y), ValueError, "[elbo_loss] target must have input's shape"),
        ],
    ),
]
