# SPDX-License-Identifier: MIT
"""Losses made of elementwise ops."""

import numpy as np

import lamella
import lamella.ops as ops
from case import A, B, Bad, Case, I, S

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


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def huber(x, t, delta=1.0):
    d = np.abs(x - t)
    return np.where(d < delta, d * d / 2, delta * (d - delta / 2))


def smooth_l1(x, t, beta=1.0):
    d = np.abs(x - t)
    return d if beta == 0 else np.where(d < beta, d * d / (2 * beta), d - beta / 2)


def bce(p, t, weight=1.0):
    with np.errstate(divide="ignore"):
        return -weight * (t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log1p(-p), -100))


def bce_logits(x, t, weight=1.0, pos_weight=1.0):
    return -weight * (pos_weight * t * np.log(sigmoid(x)) + (1 - t) * np.log(sigmoid(-x)))


def kl(x, t, reduction="mean", log_target=False):
    p = np.exp(t) if log_target else t
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.where(p > 0, p * ((t if log_target else np.log(t)) - x), 0.0)
    return loss.sum() / len(x) if reduction == "batchmean" else REDUCE[reduction](loss)


def multi_margin(x, t, p=1, margin=1.0, weight=None):
    rows = np.arange(len(x))
    loss = np.maximum(0, margin - x[rows, t][:, None] + x) ** p
    loss[rows, t] = 0
    return (loss * (1 if weight is None else weight[t][:, None])).sum(1) / x.shape[1]


def cosine_embedding(a, b, t, margin=0.0):
    cos = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.where(t == 1, 1 - cos, np.maximum(0, cos - margin))


def triplet(a, p, n, margin=1.0, swap=False, norm=2.0):
    def d(x, y):
        return (np.abs(x - y + 1e-6) ** norm).sum(-1) ** (1 / norm)

    far = np.minimum(d(a, n), d(p, n)) if swap else d(a, n)
    return np.maximum(0, margin + d(a, p) - far)


def poisson(x, t, log_input=True, full=False):
    loss = np.exp(x) - t * x if log_input else x - t * np.log(x + 1e-8)
    big = np.where(t > 1, t, 1.0)
    return loss + full * np.where(t > 1, big * np.log(big) - big + 0.5 * np.log(2 * np.pi * big), 0.0)


def gaussian(x, t, var, full=False):
    return 0.5 * (np.log(var) + (x - t) ** 2 / var + full * np.log(2 * np.pi))


PAIR = (A((5, 7)), A((5, 7)))
TARGET = A((5, 7), 0.0, 1.0)
x, y = lamella.zeros(3, 4), lamella.zeros(3, 1)


def shape_and_reduction(op, **k):
    fn = getattr(ops, op)
    return [
        Bad(lambda: fn(x, y, **k), ValueError, f"[{op}] target must have input's shape (3, 4), got (3, 1)"),
        Bad(lambda: fn(x, x, reduction="avg", **k), ValueError, f"[{op}] reduction must be 'none', 'mean' or 'sum', got 'avg'"),
    ]


CASES = [
    Case("mse_loss", ops.mse_loss, reduced(lambda x, t: (x - t) ** 2), each_reduction(*PAIR), bad=shape_and_reduction("mse_loss")),
    Case("l1_loss", ops.l1_loss, reduced(lambda x, t: abs(x - t)), each_reduction(*PAIR), bad=shape_and_reduction("l1_loss")),
    Case(
        "smooth_l1_loss",
        ops.smooth_l1_loss,
        reduced(smooth_l1),
        [*each_reduction(*PAIR), S(*PAIR, beta=0.3), S(*PAIR, beta=0)],
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
        bad=[
            *shape_and_reduction("huber_loss"),
            Bad(lambda: ops.huber_loss(x, x, delta=0), ValueError, "[huber_loss] delta must be positive, got 0"),
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
        bad=shape_and_reduction("poisson_nll_loss"),
    ),
    Case(
        "gaussian_nll_loss",
        ops.gaussian_nll_loss,
        reduced(gaussian),
        [*each_reduction(*PAIR, A((5, 7), 0.5, 2.0)), S(*PAIR, A((5, 7), 0.5, 2.0), full=True)],
        bad=[
            Bad(lambda: ops.gaussian_nll_loss(x, y, x), ValueError, "[gaussian_nll_loss] target must have input's shape"),
            Bad(lambda: ops.gaussian_nll_loss(x, x, y), ValueError, "[gaussian_nll_loss] var must have input's shape"),
            Bad(lambda: ops.gaussian_nll_loss(x, x, x - 1), ValueError, "[gaussian_nll_loss] var must not be negative"),
        ],
    ),
    Case(
        "binary_cross_entropy",
        ops.binary_cross_entropy,
        reduced(bce),
        [
            *each_reduction(A((5, 7), 0.05, 0.95), TARGET),
            S(A((5, 7), 0.05, 0.95), TARGET, weight=A((5, 7), 0.5, 2.0)),
        ],
        bad=[
            *shape_and_reduction("binary_cross_entropy"),
            Bad(lambda: ops.binary_cross_entropy(x + 2, x), ValueError, "[binary_cross_entropy] input must be in [0, 1]"),
            Bad(lambda: ops.binary_cross_entropy(x, x, weight=y), ValueError, "[binary_cross_entropy] weight must have input's"),
        ],
    ),
    Case(
        "binary_cross_entropy edges",
        ops.binary_cross_entropy,
        reduced(bce),
        [S(A((4,), special=(0.0, 1.0, 0.0, 1.0)), A((4,), special=(0.0, 1.0, 1.0, 0.0)), reduction="none")],
        grad=False,
        grad2=False,
    ),
    Case(
        "binary_cross_entropy_with_logits",
        ops.binary_cross_entropy_with_logits,
        reduced(bce_logits),
        [
            *each_reduction(A((5, 7), special=(30.0, -30.0)), TARGET),
            S(A((5, 7)), TARGET, weight=A((5, 7), 0.5, 2.0)),
            S(A((5, 7)), TARGET, pos_weight=A((7,), 0.5, 2.0)),
        ],
        bad=[
            *shape_and_reduction("binary_cross_entropy_with_logits"),
            Bad(
                lambda: ops.binary_cross_entropy_with_logits(y, y, pos_weight=lamella.ones(4)),
                ValueError,
                "[binary_cross_entropy_with_logits] pos_weight",
            ),
        ],
    ),
    Case(
        "kl_div",
        ops.kl_div,
        kl,
        [
            *each_reduction(A((5, 7)), A((5, 7), 0.05, 1.0)),
            S(A((5, 7)), A((5, 7), 0.05, 1.0), reduction="batchmean"),
            S(A((5, 7)), A((5, 7)), log_target=True),
            S(A((5, 7)), A((5, 7), 0.05, 1.0, special=(0.0, 0.0), grad=False)),
        ],
        bad=shape_and_reduction("kl_div"),
    ),
    Case(
        "hinge_loss",
        by_sign(ops.hinge_loss),
        by_sign(reduced(lambda x, t, squared=False: np.maximum(0, 1 - t * x) ** (1 + squared))),
        [*each_reduction(A((5, 7)), signs(5, 7)), S(A((5, 7)), signs(5, 7), squared=True)],
        bad=shape_and_reduction("hinge_loss"),
    ),
    Case(
        "soft_margin_loss",
        by_sign(ops.soft_margin_loss),
        by_sign(reduced(lambda x, t: np.log1p(np.exp(-t * x)))),
        each_reduction(A((5, 7)), signs(5, 7)),
        bad=shape_and_reduction("soft_margin_loss"),
    ),
    Case(
        "hinge_embedding_loss",
        by_sign(ops.hinge_embedding_loss),
        by_sign(reduced(lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(0, margin - x)))),
        [*each_reduction(A((5, 7)), signs(5, 7)), S(A((5, 7)), signs(5, 7), margin=0.5)],
        bad=shape_and_reduction("hinge_embedding_loss"),
    ),
    Case(
        "margin_ranking_loss",
        by_sign(ops.margin_ranking_loss),
        by_sign(reduced(lambda a, b, t, margin=0.0: np.maximum(0, margin - t * (a - b)))),
        [*each_reduction(A((7,)), A((7,)), signs(7)), S(A((7,)), A((7,)), signs(7), margin=0.5)],
        bad=[
            Bad(lambda: ops.margin_ranking_loss(x, y, x), ValueError, "[margin_ranking_loss] input2 must have input's shape"),
            Bad(lambda: ops.margin_ranking_loss(x, x, y), ValueError, "[margin_ranking_loss] target must have input's shape"),
        ],
    ),
    Case(
        "multi_margin_loss",
        ops.multi_margin_loss,
        reduced(multi_margin),
        [
            *each_reduction(A((5, 4)), I((5,), 0, 4)),
            S(A((5, 4)), I((5,), 0, 4), p=2),
            S(A((5, 4)), I((5,), 0, 4), weight=A((4,), 0.5, 2.0), margin=0.7),
        ],
        bad=[
            Bad(lambda: ops.multi_margin_loss(x, y), ValueError, "[multi_margin_loss] target must be (N,) for input (N, C)"),
            Bad(lambda: ops.multi_margin_loss(x, lamella.tensor([0, 4, 1])), IndexError, "target must be in [0, 4)"),
            Bad(lambda: ops.multi_margin_loss(x, lamella.tensor([0, 3, 1]), p=3), ValueError, "p must be 1 or 2, got 3"),
        ],
    ),
    Case(
        "cosine_embedding_loss",
        by_sign(ops.cosine_embedding_loss),
        by_sign(reduced(cosine_embedding)),
        [*each_reduction(A((5, 7)), A((5, 7)), signs(5)), S(A((5, 7)), A((5, 7)), signs(5), margin=0.2)],
        bad=[Bad(lambda: ops.cosine_embedding_loss(x, x, y), ValueError, "target must have shape (3,), got (3, 1)")],
    ),
    Case(
        "triplet_margin_loss",
        ops.triplet_margin_loss,
        reduced(triplet),
        [
            *each_reduction(A((5, 7)), A((5, 7)), A((5, 7))),
            S(A((5, 7)), A((5, 7)), A((5, 7)), margin=0.5, swap=True),
        ],
        bad=[Bad(lambda: ops.triplet_margin_loss(x, y, x), ValueError, "[triplet_margin_loss] positive must have input's shape")],
    ),
]
