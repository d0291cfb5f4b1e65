# SPDX-License-Identifier: MIT
"""Losses of probabilities, scores and labels."""

import numpy as np

import lamella
import lamella.ops as ops
from case import A, B, Bad, Case, I, S

from .loss import KERNELS, REDUCE, TARGET, by_sign, each_reduction, reduced, shape_and_reduction, signs, x, y
from .softmax import cross_entropy, log_softmax


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


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


def distillation(x, teacher, target=None, temperature=2.0, alpha=0.5):
    q, p = log_softmax(x / temperature, 1), log_softmax(teacher / temperature, 1)
    loss = temperature**2 * (np.exp(p) * (p - q)).sum(1)
    return loss if target is None else alpha * loss + (1 - alpha) * cross_entropy(x, target, reduction="none")


def sigmoid_focal(x, t, alpha=0.25, gamma=2, reduction="none"):
    p = np.where(t == 1, sigmoid(x), sigmoid(-x))
    weight = np.where(t == 1, alpha, 1 - alpha) if alpha >= 0 else 1
    return REDUCE[reduction](-weight * (1 - p) ** gamma * np.log(p))


def focal(x, t, weight=None, gamma=2.0, ignore_index=-100, reduction="mean"):
    nll = cross_entropy(x, t, ignore_index=ignore_index, reduction="none")
    used = t != ignore_index
    factor = np.where(used, 1.0 if weight is None else weight[np.where(used, t, 0)], 0.0)
    loss = factor * nll * (1 - np.exp(-nll)) ** gamma
    return {"none": lambda: loss, "sum": loss.sum, "mean": lambda: loss.sum() / factor.sum()}[reduction]()


def multi_margin(x, t, p=1, margin=1.0, weight=None):
    if x.ndim == 1:
        return multi_margin(x[None], t.reshape(1), p, margin, weight)[0]
    rows = np.arange(len(x))
    loss = np.maximum(0, margin - x[rows, t][:, None] + x) ** p
    loss[rows, t] = 0
    return (loss * (1 if weight is None else weight[t][:, None])).sum(1) / x.shape[1]


def multilabel_margin(x, t):
    if x.ndim == 1:
        return multilabel_margin(x[None], t[None])[0]
    losses = []
    for row, labels in zip(x, t, strict=True):
        labels = labels[: list(labels).index(-1)] if -1 in labels else labels
        others = [c for c in range(len(row)) if c not in labels]
        losses.append(sum(max(0, 1 - row[i] + row[c]) for i in labels for c in others) / len(row))
    return np.array(losses)


def as_float(fn):
    """Boolean targets as 0.0 and 1.0."""
    return lambda x, t, *args, **k: fn(x, t * 1.0, *args, **k)


LISTS = np.array([[3, 0, -1, 1], [-1, 0, 0, 0], [0, 1, 2, 3], [2, 2, -1, -1], [1, -1, -1, -1]])
LOGITS, LABELS = A((5, 4)), I((5,), 0, 4)

CASES = [
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
            Bad(lambda: ops.binary_cross_entropy(y, y, weight=x), ValueError, "[binary_cross_entropy] weight, broadcast, must have input's"),
        ],
        kernels=KERNELS,
    ),
    Case(
        "binary_cross_entropy edges",
        ops.binary_cross_entropy,
        reduced(bce),
        [S(A((4,), special=(0.0, 1.0, 0.0, 1.0)), A((4,), special=(0.0, 1.0, 1.0, 0.0)), reduction="none")],
        grad=False,
        grad2=False,
        kernels=KERNELS,
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
        kernels=KERNELS,
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
        kernels=KERNELS,
    ),
    Case(
        "soft_margin_loss",
        by_sign(ops.soft_margin_loss),
        by_sign(reduced(lambda x, t: np.log1p(np.exp(-t * x)))),
        each_reduction(A((5, 7)), signs(5, 7)),
        bad=shape_and_reduction("soft_margin_loss"),
        kernels=KERNELS,
    ),
    Case(
        "multi_margin_loss",
        ops.multi_margin_loss,
        reduced(multi_margin),
        [
            *each_reduction(A((5, 4)), I((5,), 0, 4)),
            S(A((5, 4)), I((5,), 0, 4), p=2),
            S(A((4,)), I((), 0, 4)),
            S(A((5, 4)), I((5,), 0, 4), weight=A((4,), 0.5, 2.0), margin=0.7),
        ],
        bad=[
            Bad(lambda: ops.multi_margin_loss(x, y), ValueError, "[multi_margin_loss] target must be (N,) for input (N, C)"),
            Bad(lambda: ops.multi_margin_loss(x, lamella.tensor([0, 4, 1])), IndexError, "target must be in [0, 4)"),
            Bad(lambda: ops.multi_margin_loss(x, lamella.tensor([0, 3, 1]), p=3), ValueError, "p must be 1 or 2, got 3"),
        ],
    ),
    Case(
        "distillation_loss",
        ops.distillation_loss,
        reduced(distillation),
        [
            *each_reduction(LOGITS, A((5, 4), grad=False)),
            S(LOGITS, A((5, 4), grad=False), LABELS, temperature=4.0, alpha=0.3),
            S(A((2, 3, 4)), A((2, 3, 4), grad=False), I((2, 4), 0, 3), reduction="none"),
        ],
        bad=[
            Bad(lambda: ops.distillation_loss(x, y), ValueError, "[distillation_loss] teacher must have input's shape (3, 4), got (3, 1)"),
            Bad(lambda: ops.distillation_loss(x, x, temperature=0), ValueError, "temperature must be positive, got 0"),
        ],
    ),
    Case(
        "sigmoid_focal_loss",
        as_float(ops.sigmoid_focal_loss),
        sigmoid_focal,
        [*each_reduction(A((5, 7)), B((5, 7))), S(A((5, 7)), B((5, 7)), alpha=-1, gamma=1.5), S(A((5, 7)), B((5, 7)), gamma=1)],
        kernels=KERNELS,
        bad=shape_and_reduction("sigmoid_focal_loss"),
    ),
    Case(
        "focal_loss",
        ops.focal_loss,
        focal,
        [
            *each_reduction(LOGITS, LABELS),
            S(LOGITS, LABELS, weight=A((4,), 0.5, 2.0, grad=False), gamma=1.5, ignore_index=1),
            S(A((2, 3, 4)), I((2, 4), 0, 3), weight=A((3,), 0.5, 2.0, grad=False), gamma=1, reduction="none"),
            S(LOGITS, LABELS, gamma=0),
        ],
        bad=[
            Bad(lambda: ops.focal_loss(x, lamella.tensor([0, 1, 2]), gamma=-1), ValueError, "[focal_loss] gamma must not be negative, got -1"),
            Bad(lambda: ops.focal_loss(x, lamella.tensor([0, 1, 2]), reduction="avg"), ValueError, "[focal_loss] reduction must be"),
        ],
    ),
    Case(
        "multilabel_margin_loss",
        ops.multilabel_margin_loss,
        reduced(multilabel_margin),
        [*each_reduction(LOGITS, LISTS), S(A((4,)), LISTS[0]), S(LOGITS, np.full((5, 4), -1))],
        layouts=False,
        bad=[
            Bad(lambda: ops.multilabel_margin_loss(x, lamella.full((3, 4), 4)), IndexError, "target must be in [-1, 4), got values from 4 to 4"),
            *shape_and_reduction("multilabel_margin_loss"),
        ],
    ),
    Case(
        "multilabel_soft_margin_loss",
        ops.multilabel_soft_margin_loss,
        reduced(lambda x, t, weight=1.0: bce_logits(x, t, weight).mean(-1)),
        [*each_reduction(A((5, 7)), TARGET), S(A((5, 7)), TARGET, weight=A((7,), 0.5, 2.0))],
        kernels=KERNELS,
        bad=shape_and_reduction("multilabel_soft_margin_loss"),
    ),
]
