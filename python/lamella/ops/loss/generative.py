# SPDX-License-Identifier: MIT
"""Losses of generative models: adversarial networks and variational autoencoders."""

from __future__ import annotations

from ...autograd import enable_grad, grad
from ..activation import logsigmoid, relu, softplus
from ..elementwise import exp, square
from ..random import rand
from ..reduce import norm
from ._common import check_reduction, pointwise, reduce, same_shape
from .unfused import bce_logits, mse

__all__ = ["elbo_loss", "gan_discriminator_loss", "gan_generator_loss", "gaussian_kl_div", "gradient_penalty"]

_KINDS = ("minimax", "non_saturating", "least_squares", "hinge", "wasserstein")


def _check_kind(op, kind):
    if kind not in _KINDS:
        raise ValueError(f"[{op}] kind must be one of {', '.join(_KINDS)}, got {kind!r}")


# ---- adversarial ----------------------------------------------------------------------------------------------------
def gan_discriminator_loss(real, fake, kind="non_saturating", reduction="mean"):
    """What a discriminator minimises, given its raw scores (logits) of real and of generated examples:

    minimax, non_saturating   -log sigmoid(real) - log(1 - sigmoid(fake))          Goodfellow et al. 2014
    least_squares             (real - 1)^2 / 2 + fake^2 / 2                        Mao et al. 2017
    hinge                     max(0, 1 - real) + max(0, 1 + fake)                  Lim and Ye 2017
    wasserstein               fake - real, with gradient_penalty besides           Arjovsky et al. 2017

    Both parts are reduced on their own, so the batches may differ in size, unless reduction is 'none'. ValueError for
    another kind.
    """
    op = "gan_discriminator_loss"
    _check_kind(op, kind)
    check_reduction(op, reduction)
    if reduction == "none":
        same_shape(op, real, fake, "fake")
    if kind == "least_squares":
        parts = 0.5 * square(real - 1), 0.5 * square(fake)
    elif kind == "hinge":
        parts = relu(1 - real), relu(1 + fake)
    elif kind == "wasserstein":
        parts = -real, fake
    else:
        parts = softplus(-real), softplus(fake)
    return reduce(op, parts[0], reduction) + reduce(op, parts[1], reduction)


def gan_generator_loss(fake, kind="non_saturating", reduction="mean"):
    """What a generator minimises, given the discriminator's raw scores of what it made; kinds as for the discriminator:

    minimax            log(1 - sigmoid(fake))
    non_saturating     -log sigmoid(fake)
    least_squares      (fake - 1)^2 / 2
    hinge, wasserstein -fake
    """
    op = "gan_generator_loss"
    _check_kind(op, kind)
    if kind == "minimax":
        loss = logsigmoid(-fake)
    elif kind == "non_saturating":
        loss = softplus(-fake)
    else:
        loss = 0.5 * square(fake - 1) if kind == "least_squares" else -fake
    return reduce(op, loss, reduction)


def gradient_penalty(critic, real, fake, target=1.0, reduction="mean", generator=None):
    """(|gradient of critic at a point between real and fake| - target)^2, of each example (Gulrajani et al. 2017).

    critic: a function of (N, ...) whose scores depend each on its own example. The points are u real + (1 - u) fake with
    one uniform u for each example, from `generator`. The result is differentiable in the critic's parameters. 'none'
    gives (N,). ValueError for shapes.
    """
    op = "gradient_penalty"
    same_shape(op, real, fake, "fake")
    check_reduction(op, reduction)
    u = rand((real.shape[0],) + (1,) * (real.ndim - 1), dtype=real.dtype, device=real, generator=generator)
    real, fake = real.detach(), fake.detach()
    x = (fake + u * (real - fake)).requires_grad_()
    with enable_grad():
        (slope,) = grad(critic(x).sum(), x, create_graph=True)
        return reduce(op, square(norm(slope.flatten(1), 2, 1) - target), reduction)


# ---- variational ----------------------------------------------------------------------------------------------------
def gaussian_kl_div(mean, log_var, reduction="mean"):
    """KL(N(mean, e^log_var) || N(0, 1)) = sum of (mean^2 + e^log_var - 1 - log_var) / 2 (Kingma and Welling 2014,
    appendix B). mean, log_var: (N, ...), summed over all but the first dimension: 'none' gives (N,)."""
    op = "gaussian_kl_div"
    same_shape(op, mean, log_var, "log_var")
    check_reduction(op, reduction)
    each = 0.5 * (square(mean) + exp(log_var) - 1 - log_var)
    return reduce(op, each.flatten(1).sum(1) if each.ndim > 1 else each, reduction)


def elbo_loss(input, target, mean, log_var, beta=1.0, likelihood="bernoulli", reduction="mean"):
    """Minus the evidence lower bound of a variational autoencoder: -log p(target | input) + beta gaussian_kl_div, summed
    over all but the first dimension (Kingma and Welling 2014; beta: Higgins et al. 2017).

    likelihood: 'bernoulli', input being logits and target in [0, 1], or 'gaussian' of variance 1 without its constant:
    (input - target)^2 / 2. 'none' gives (N,). ValueError for shapes and another likelihood.
    """
    op = "elbo_loss"
    check_reduction(op, reduction)
    if likelihood not in ("bernoulli", "gaussian"):
        raise ValueError(f"[{op}] likelihood must be 'bernoulli' or 'gaussian', got {likelihood!r}")
    if mean.shape[:1] != input.shape[:1]:
        raise ValueError(f"[{op}] mean must have input's {input.shape[0]} examples, got {tuple(mean.shape)}")
    kind, unfused, scale = ("bce_logits", bce_logits, 1.0) if likelihood == "bernoulli" else ("mse", mse, 0.5)
    if reduction != "none":  # sums of everything, in one pass
        loss = pointwise(op, kind, unfused, input, target, "sum")
        loss = (loss if scale == 1 else scale * loss) + beta * gaussian_kl_div(mean, log_var, "sum")
        return loss if reduction == "sum" else loss * (1 / input.shape[0])
    loss = scale * pointwise(op, kind, unfused, input, target, "none")
    return loss.flatten(1).sum(1) + beta * gaussian_kl_div(mean, log_var, "none")
