# SPDX-License-Identifier: MIT
"""Losses of real numbers; what the cases of other losses share."""

import math

import numpy as np

import lamella
import lamella.ops as ops
from case import ALL_FLOATS, A, B, Bad, Case, S

REDUCE = {"none": lambda x: x, "mean": np.mean, "sum": np.sum}


def reduced(loss):
    """`loss` with a reduction: a keyword of every reference here."""
    return lambda *args, reduction="mean", **k: REDUCE[reduction](loss(*args, **k))


def each_reduction(*args, **k):
    return [S(*args, reduction=r, **k) for r in REDUCE] + [S(*args, **k)]


def signs(*shape):
    """Targets of -1 and 1, as a boolean argument that `by_sign` turns into floats."""
    return B(shape)


def by_sign(fn):
    return lambda *args, **k: fn(*args[:-1], args[-1] * 2.0 - 1.0, **k)



def huber(x, t, delta=1.0):
    d = np.abs(x - t)
    return np.where(d < delta, d * d / 2, delta * (d - delta / 2))


def smooth_l1(x, t, beta=1.0):
    d = np.abs(x - t)
    return d if beta == 0 else np.where(d < beta, d * d / (2 * beta), d - beta / 2)


def log_cosh(x, t):
    d = np.abs(x - t)
    return d + np.log1p(np.exp(-2 * d)) - math.log(2)


def poisson(x, t, log_input=True, full=False):
    loss = np.exp(x) - t * x if log_input else x - t * np.log(x + 1e-8)
    big = np.where(t > 1, t, 1.0)
    return loss + full * np.where(t > 1, big * np.log(big) - big + 0.5 * np.log(2 * np.pi * big), 0.0)


def gaussian(x, t, var, full=False):
    return 0.5 * (np.log(var) + (x - t) ** 2 / var + full * np.log(2 * np.pi))


PAIR = (A((5, 7)), A((5, 7)))
TARGET = A((5, 7), 0.0, 1.0)
KERNELS = ("loss_fwd", "loss_bwd")
x, y = lamella.zeros(3, 4), lamella.zeros(3, 1)


def flat(n):
    return A((n,), grad=n < 1000), A((n,), grad=n < 1000)


def shape_and_reduction(op, **k):
    fn = getattr(ops, op)
    return [
        Bad(lambda: fn(x, y, **k), ValueError, f"[{op}] target must have input's shape (3, 4), got (3, 1)"),
        Bad(lambda: fn(x, x, reduction="avg", **k), ValueError, f"[{op}] reduction must be 'none', 'mean' or 'sum', got 'avg'"),
    ]


CASES = [
    Case(
        "mse_loss",
        ops.mse_loss,
        reduced(lambda x, t: (x - t) ** 2),
        [*each_reduction(*PAIR), *[S(*flat(n)) for n in (1, 4097, 70_001)], S(*flat(0), reduction="sum"), S(*flat(33_000), reduction="none")],
        kernels=KERNELS,
        dtypes=ALL_FLOATS,
        bad=[
            *shape_and_reduction("mse_loss"),
            Bad(lambda: ops.mse_loss(x, x, weight=y), ValueError, "[mse_loss] weight must have input's shape (3, 4), got (3, 1)"),
        ],
    ),
    Case(
        "l1_loss",
        ops.l1_loss,
        reduced(lambda x, t: abs(x - t)),
        each_reduction(*PAIR),
        kernels=KERNELS,
        bad=shape_and_reduction("l1_loss"),
    ),
    Case(
        "weighted losses",
        lambda x, t, weight: (
            ops.mse_loss(x, t, weight=weight),
            ops.l1_loss(x, t, weight=weight),
            ops.huber_loss(x, t, "sum", 0.5, weight),
        ),
        lambda x, t, weight: (
            ((x - t) ** 2 * weight).sum() / weight.sum(),
            (abs(x - t) * weight).sum() / weight.sum(),
            (huber(x, t, 0.5) * weight).sum(),
        ),
        [S(*PAIR, A((5, 7), 0.5, 2.0))],
    ),
    Case(
        "smooth_l1_loss",
        ops.smooth_l1_loss,
        reduced(smooth_l1),
        [*each_reduction(*PAIR), S(*PAIR, beta=0.3), S(*PAIR, beta=0)],
        kernels=KERNELS,
        bad=[
            *shape_and_reduction("smooth_l1_loss"),
            Bad(lambda: ops.smooth_l1_loss(x, x, beta=-1), ValueError, "[smooth_l1_loss] beta must not be negative, got -1"),
        ],
    ),
    Case(
        "huber_loss",
        ops.huber_loss,
        reduced(huber),
        [*each_reduction(*PAIR), S(*PAIR, delta=0.3)],
        kernels=KERNELS,
        bad=[
            *shape_and_reduction("huber_loss"),
            Bad(lambda: ops.huber_loss(x, x, delta=0), ValueError, "[huber_loss] delta must be positive, got 0"),
        ],
    ),
    Case(
        "log_cosh_loss",
        ops.log_cosh_loss,
        reduced(log_cosh),
        [*each_reduction(*PAIR), S(A((9,), special=(0, 1e-3, 0.9, 1.1, 50, -1e4)), A((9,), 0, 0), reduction="none")],
        kernels=KERNELS,
        bad=shape_and_reduction("log_cosh_loss"),
    ),
    Case(
        "quantile_loss",
        ops.quantile_loss,
        reduced(lambda x, t, q=0.5: np.maximum(q * (t - x), (q - 1) * (t - x))),
        [*each_reduction(*PAIR), S(*PAIR, q=0.9), S(*PAIR, q=A((7,), 0.1, 0.9))],
        kernels=KERNELS,
        bad=[
            *shape_and_reduction("quantile_loss"),
            Bad(lambda: ops.quantile_loss(x, x, q=1.5), ValueError, "[quantile_loss] q must be in [0, 1], got 1.5"),
            Bad(lambda: ops.quantile_loss(x, x, lamella.tensor([0.5, 2, 0, 1])), ValueError, "q must be in [0, 1], got values from 0.0 to 2.0"),
            Bad(lambda: ops.quantile_loss(y, y, lamella.ones(4)), ValueError, "q, broadcast, must have input's shape (3, 1), got (3, 4)"),
        ],
    ),
    Case(
        "poisson_nll_loss",
        ops.poisson_nll_loss,
        reduced(poisson),
        [
            *each_reduction(A((5, 7)), A((5, 7), 0.0, 5.0)),
            S(A((5, 7), 0.5, 2.0), A((5, 7), 0.0, 5.0), log_input=False),
            S(A((5, 7)), A((5, 7), 0.0, 5.0, grad=False), full=True),
        ],
        kernels=KERNELS,
        bad=shape_and_reduction("poisson_nll_loss"),
    ),
    Case(
        "gaussian_nll_loss",
        ops.gaussian_nll_loss,
        reduced(gaussian),
        [
            *each_reduction(*PAIR, A((5, 7), 0.5, 2.0)),
            S(*PAIR, A((5, 7), 0.5, 2.0), full=True),
            S(*PAIR, A((5, 1), 0.5, 2.0)),
            S(*PAIR, 0.7),
        ],
        bad=[
            Bad(lambda: ops.gaussian_nll_loss(x, y, x), ValueError, "[gaussian_nll_loss] target must have input's shape"),
            Bad(lambda: ops.gaussian_nll_loss(x, x, x[:2]), ValueError, "[gaussian_nll_loss] var must have input's shape"),
            Bad(lambda: ops.gaussian_nll_loss(x, x, x - 1), ValueError, "[gaussian_nll_loss] var must not be negative"),
        ],
    ),
]
