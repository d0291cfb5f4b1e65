# SPDX-License-Identifier: MIT
"""Losses of real numbers."""

from __future__ import annotations

import math

from ... import _core
from ..elementwise import clamp, log, square, where
from ._common import pointwise, reduce, same_shape, weighted
from .unfused import huber, l1, log_cosh, mse, poisson_nll, quantile

__all__ = [
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "log_cosh_loss",
    "mse_loss",
    "poisson_nll_loss",
    "quantile_loss",
    "smooth_l1_loss",
]


def mse_loss(input, target, reduction="mean", weight=None):
    """(input - target)^2. weight: input's shape; 'mean' then divides by its sum."""
    if weight is not None:
        return weighted("mse_loss", pointwise("mse_loss", "mse", mse, input, target, "none"), weight, reduction)
    return pointwise("mse_loss", "mse", mse, input, target, reduction)


def l1_loss(input, target, reduction="mean", weight=None):
    """|input - target|; its derivative at 0 is 0. weight: see mse_loss."""
    if weight is not None:
        return weighted("l1_loss", pointwise("l1_loss", "l1", l1, input, target, "none"), weight, reduction)
    return pointwise("l1_loss", "l1", l1, input, target, reduction)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2 (Girshick 2015). beta 0 is l1_loss."""
    same_shape("smooth_l1_loss", input, target)
    if beta < 0:
        raise ValueError(f"[smooth_l1_loss] beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    loss = pointwise("smooth_l1_loss", "huber", huber, input, target, reduction, float(beta))
    return loss if beta == 1 else loss * (1 / beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d^2 / 2 where d = |input - target| < delta, else delta (d - delta / 2) (Huber 1964). weight: input's shape; 'mean' is
    over all elements all the same, as in PyTorch."""
    same_shape("huber_loss", input, target)
    if delta <= 0:
        raise ValueError(f"[huber_loss] delta must be positive, got {delta}")
    if weight is not None:
        loss = pointwise("huber_loss", "huber", huber, input, target, "none", float(delta))
        same_shape("huber_loss", input, weight, "weight")
        return reduce("huber_loss", loss * weight, reduction)
    return pointwise("huber_loss", "huber", huber, input, target, reduction, float(delta))


def log_cosh_loss(input, target, reduction="mean"):
    """log(cosh(input - target)): about d^2 / 2 near 0, |d| - log 2 far away, and smooth between."""
    return pointwise("log_cosh_loss", "log_cosh", log_cosh, input, target, reduction)


def quantile_loss(input, target, q=0.5, reduction="mean"):
    """q (target - input) where target is greater, else (1 - q) (input - target): least where input is the q-quantile of
    target (Koenker and Bassett 1978), also called pinball loss.

    q: a number, or a Tensor that broadcasts to input's shape (one per column for several quantiles at once). ValueError
    for a q outside [0, 1].
    """
    op = "quantile_loss"
    if isinstance(q, _core.TensorBase):
        same_shape(op, input, target)
        if bool(((q < 0) | (q > 1)).any()):
            raise ValueError(f"[{op}] q must be in [0, 1], got values from {q.min().item()} to {q.max().item()}")
        loss = quantile(input, target, q)
        same_shape(op, input, loss, "q, broadcast,")
        return reduce(op, loss, reduction)
    if not 0 <= q <= 1:
        raise ValueError(f"[{op}] q must be in [0, 1], got {q}")
    return pointwise(op, "quantile", quantile, input, target, reduction, float(q))


def poisson_nll_loss(input, target, log_input=True, full=False, eps=1e-8, reduction="mean"):
    """e^input - target input, or input - target log(input + eps) without log_input.

    full: adds Stirling's target log(target) - target + log(2 pi target) / 2 where target > 1.
    """
    op = "poisson_nll_loss"
    if log_input and not full:
        return pointwise(op, "poisson_nll", poisson_nll, input, target, reduction)
    same_shape(op, input, target)
    loss = poisson_nll(input, target, 0.0) if log_input else input - target * log(input + eps)
    if full:
        t = where(target > 1, target, 1.0)
        stirling = t * log(t) - t + 0.5 * log(2 * math.pi * t)
        loss = loss + where(target > 1, stirling, 0.0)
    return reduce(op, loss, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log(v) + (input - target)^2 / v) / 2 with v = max(var, eps); full adds log(2 pi) / 2. Gradients do
    not see the maximum.

    var: input's shape, or that with a last dimension of 1 or without the last, or a number. ValueError where it is
    negative.
    """
    op = "gaussian_nll_loss"
    same_shape(op, input, target)
    if not isinstance(var, _core.TensorBase):
        var = _core.full(input.shape, float(var), input.dtype, input)
    elif var.shape == input.shape[:-1]:
        var = var.unsqueeze(-1)
    if var.shape not in (input.shape, (*input.shape[:-1], 1)):
        same_shape(op, input, var, "var")
    if bool((var < 0).any()):
        raise ValueError(f"[{op}] var must not be negative, got values below 0")
    v = var + (clamp(var.detach(), min=eps) - var.detach())
    loss = 0.5 * (log(v) + square(input - target) / v)
    return reduce(op, loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)
