# SPDX-License-Identifier: MIT
"""Losses of probabilities, scores and labels."""

from __future__ import annotations

from ... import _core
from ..activation import logsigmoid, relu, sigmoid
from ..elementwise import clamp, exp, expm1, log, square, where
from ..index import gather
from ..softmax import cross_entropy, log_softmax, softmax
from ._common import check_reduction, pointwise, reduce, same_shape
from .unfused import bce, bce_logits, hinge, soft_margin, squared_hinge

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "distillation_loss",
    "focal_loss",
    "hinge_loss",
    "kl_div",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "sigmoid_focal_loss",
    "soft_margin_loss",
    "squared_hinge_loss",
]


# ---- probabilities --------------------------------------------------------------------------------------------------
def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """-(target log(input) + (1 - target) log(1 - input)), logarithms not below -100. weight: broadcasts to input's shape.

    ValueError for an input outside [0, 1].
    """
    op = "binary_cross_entropy"
    same_shape(op, input, target)
    check_reduction(op, reduction)
    low, high = (input.detach().min().item(), input.detach().max().item()) if input.numel() else (0, 1)
    if low < 0 or high > 1:
        raise ValueError(f"[{op}] input must be in [0, 1], got values from {low} to {high}: logits take the with_logits form")
    if weight is None:
        return pointwise(op, "bce", bce, input, target, reduction)
    return _weigh(op, input, pointwise(op, "bce", bce, input, target, "none"), weight, reduction)


def _weigh(op, input, loss, weight, reduction):
    loss = loss * weight
    same_shape(op, input, loss, "weight, broadcast,")
    return reduce(op, loss, reduction)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """binary_cross_entropy(sigmoid(input), target) without overflow.

    weight broadcasts to input's shape. pos_weight scales target's part; it broadcasts likewise (one per class, say).
    """
    op = "binary_cross_entropy_with_logits"
    if pos_weight is None:
        if weight is None:
            return pointwise(op, "bce_logits", bce_logits, input, target, reduction)
        loss = pointwise(op, "bce_logits", bce_logits, input, target, "none")
    else:
        same_shape(op, input, target)
        loss = (1 - target) * input - (1 + (pos_weight - 1) * target) * logsigmoid(input)
        same_shape(op, input, loss, "pos_weight, broadcast,")
    return reduce(op, loss, reduction) if weight is None else _weigh(op, input, loss, weight, reduction)


def kl_div(input, target, reduction="mean", log_target=False):
    """target (log(target) - input), input being log-probabilities; target, too, with log_target. 0 where target is 0.

    reduction 'batchmean' is the sum over the first dimension's size: the divergence as it is defined.
    """
    same_shape("kl_div", input, target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        some = target > 0
        loss = where(some, target * (log(where(some, target, 1.0)) - input), 0.0)
    if reduction == "batchmean":
        return loss.sum() / (loss.shape[0] if loss.ndim else 1)
    return reduce("kl_div", loss, reduction)


def distillation_loss(input, teacher, target=None, temperature=2.0, alpha=0.5, reduction="mean"):
    """temperature^2 KL(softmax(teacher / temperature) || softmax(input / temperature)), the factor keeping its gradient's
    size whatever the temperature (Hinton, Vinyals and Dean 2015).

    input, teacher: logits (N, C) or (N, C, d1, ...); no gradient goes to the teacher. With target (class indices, as
    cross_entropy takes them): alpha times that plus (1 - alpha) cross_entropy(input, target). 'none' gives (N, d1, ...),
    'mean' averages over these. ValueError for shapes and unless temperature is positive.
    """
    op = "distillation_loss"
    same_shape(op, input, teacher, "teacher")
    check_reduction(op, reduction)
    if temperature <= 0:
        raise ValueError(f"[{op}] temperature must be positive, got {temperature}")
    dim = 0 if input.ndim == 1 else 1
    t = teacher.detach() * (1 / temperature)
    student = log_softmax(input * (1 / temperature), dim)
    loss = (softmax(t, dim) * (log_softmax(t, dim) - student)).sum(dim) * temperature**2
    if target is not None:
        loss = alpha * loss + (1 - alpha) * cross_entropy(input, target, reduction="none")
    return reduce(op, loss, reduction)


# ---- focal ----------------------------------------------------------------------------------------------------------
def _focus(p, gamma):
    """p^gamma, p in [0, 1]; its derivative at 0 is 0 for every gamma."""
    if gamma == 2:
        return square(p)
    return p if gamma == 1 else clamp(p, min=1e-12) ** gamma


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2, reduction="none"):
    """alpha_t (1 - p_t)^gamma binary cross-entropy of logits, p_t the probability of what is true (Lin et al. 2017).

    targets: inputs' shape, 0 or 1. alpha_t is alpha where it is 1, else 1 - alpha; a negative alpha leaves it out.
    Arguments and defaults are torchvision's.
    """
    op = "sigmoid_focal_loss"
    loss = pointwise(op, "bce_logits", bce_logits, inputs, targets, "none")
    wrong = sigmoid(inputs) * (1 - 2 * targets) + targets  # 1 - p_t
    loss = loss * _focus(wrong, gamma)
    if alpha >= 0:
        loss = loss * (targets * (2 * alpha - 1) + (1 - alpha))
    return reduce(op, loss, reduction)


def focal_loss(input, target, weight=None, gamma=2.0, ignore_index=-100, reduction="mean"):
    """(1 - p)^gamma cross_entropy(input, target), p the probability that softmax gives to the target (Lin et al. 2017).

    Shapes, weight, ignore_index and the mean are cross_entropy's. ValueError for a negative gamma.
    """
    if gamma < 0:
        raise ValueError(f"[focal_loss] gamma must not be negative, got {gamma}")
    check_reduction("focal_loss", reduction)
    nll = cross_entropy(input, target, ignore_index=ignore_index, reduction="none")
    loss = nll * _focus(-expm1(-nll), gamma)
    used = target != ignore_index
    factor = used.to(loss.dtype) if weight is None else where(used, weight[where(used, target, 0)], 0.0)
    loss = loss if weight is None else loss * factor
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.sum() / factor.sum()


# ---- margins --------------------------------------------------------------------------------------------------------
def hinge_loss(input, target, squared=False, reduction="mean"):
    """max(0, 1 - target input), target -1 or 1 (Cortes and Vapnik 1995)."""
    if squared:
        return squared_hinge_loss(input, target, reduction)
    return pointwise("hinge_loss", "hinge", hinge, input, target, reduction)


def squared_hinge_loss(input, target, reduction="mean"):
    """max(0, 1 - target input)^2, target -1 or 1."""
    return pointwise("squared_hinge_loss", "squared_hinge", squared_hinge, input, target, reduction)


def soft_margin_loss(input, target, reduction="mean"):
    """log(1 + e^(-target input)), target -1 or 1."""
    return pointwise("soft_margin_loss", "soft_margin", soft_margin, input, target, reduction)


def _check_classes(op, target, classes):
    if target.numel() and not bool(((target >= 0) & (target < classes)).all()):
        raise IndexError(f"[{op}] target must be in [0, {classes}), got values from {target.min().item()} to {target.max().item()}")


def _positions(classes, like):
    return _core.arange_int(0, 1, classes, _core.int64, like)


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, reduction="mean"):
    """sum over the other classes c of max(0, margin - input[target] + input[c])^p, over C (Crammer and Singer 2001).

    input: (N, C) or (C,). target: (N,) or (), class indices. weight (C,): of the target's class. p is 1 or 2.
    """
    op = "multi_margin_loss"
    check_reduction(op, reduction)
    if input.ndim not in (1, 2) or tuple(target.shape) != tuple(input.shape[:-1]):
        raise ValueError(f"[{op}] target must be (N,) for input (N, C), got {tuple(target.shape)} for {tuple(input.shape)}")
    if p not in (1, 2):
        raise ValueError(f"[{op}] p must be 1 or 2, got {p}")
    classes = input.shape[-1]
    _check_classes(op, target, classes)
    at = target.unsqueeze(-1)
    loss = relu(input + (margin - gather(input, -1, at)))
    if p == 2:
        loss = square(loss)
    # the target itself gives margin^p, without gradient
    loss = (loss.sum(-1) - float(margin if margin > 0 else 0) ** p) * (1 / classes)
    return reduce(op, loss if weight is None else loss * weight[target], reduction)


def multilabel_margin_loss(input, target, reduction="mean"):
    """sum over the targets t and the other classes c of max(0, 1 - input[t] + input[c]), over C.

    input: (N, C) or (C,). target: input's shape, integers: class indices, ended by -1.
    """
    op = "multilabel_margin_loss"
    same_shape(op, input, target)
    check_reduction(op, reduction)
    if input.ndim not in (1, 2):
        raise ValueError(f"[{op}] input must have shape (N, C) or (C,), got {tuple(input.shape)}")
    single = input.ndim == 1
    if single:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    rows, classes = input.shape
    if target.numel() and not bool(((target >= -1) & (target < classes)).all()):
        raise IndexError(f"[{op}] target must be in [-1, {classes}), got values from {target.min().item()} to {target.max().item()}")
    listed = (target < 0).to(_core.int64).cumsum(1) == 0
    most = int(listed.sum(1).max().item()) if target.numel() else 0
    listed, target = listed[:, :most], target[:, :most]
    at = where(listed, target, 0)
    hits = _core.full((rows, classes), 0, _core.int64, at).scatter_add(1, at, listed.to(_core.int64))
    margin = 1 - gather(input, 1, at).unsqueeze(2) + input.unsqueeze(1)  # (N, targets, C)
    loss = where(listed.unsqueeze(2) & (hits == 0).unsqueeze(1), relu(margin), 0.0).sum((1, 2)) * (1 / (classes or 1))
    return reduce(op, loss[0] if single else loss, reduction)


def multilabel_soft_margin_loss(input, target, weight=None, reduction="mean"):
    """The mean over classes (the last dimension) of binary cross-entropy of logits. weight (C,) scales each class."""
    op = "multilabel_soft_margin_loss"
    if weight is None and reduction == "mean":
        return pointwise(op, "bce_logits", bce_logits, input, target, "mean")
    check_reduction(op, reduction)
    loss = pointwise(op, "bce_logits", bce_logits, input, target, "none")
    return reduce(op, (loss if weight is None else loss * weight).mean(-1), reduction)
