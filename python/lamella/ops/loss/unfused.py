# SPDX-License-Identifier: MIT
"""The fused losses of single elements (cpp/kernels/loss.cpp) in differentiable ops: f(input, target, p)."""

from __future__ import annotations

import math

from ..activation import relu, softplus
from ..elementwise import abs, clamp, exp, log, log1p, square, where


def mse(x, t, p):
    return square(x - t)


def l1(x, t, p):
    return abs(x - t)


def huber(x, t, p):
    d = abs(x - t)
    return where(d < p, 0.5 * square(d), p * (d - 0.5 * p))


def log_cosh(x, t, p):
    d = x - t
    return d + softplus(-2 * d) - math.log(2)


def quantile(x, t, p):
    d = t - x
    return where(d >= 0, p * d, (p - 1) * d)


def poisson_nll(x, t, p):
    return exp(x) - t * x


def bce(x, t, p):
    return -(t * clamp(log(x), min=-100.0) + (1 - t) * clamp(log1p(-x), min=-100.0))


def bce_logits(x, t, p):
    return softplus(x) - t * x


def hinge(x, t, p):
    return relu(1 - t * x)


def squared_hinge(x, t, p):
    return square(relu(1 - t * x))


def soft_margin(x, t, p):
    return softplus(-(t * x))
