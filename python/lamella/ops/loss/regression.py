# SPDX-License-Identifier: MIT
"""Losses made of elementwise ops. Input and target must have the same shape: nothing broadcasts silently.

`reduction` is 'none', 'mean' (over all elements) or 'sum'. ValueError for shapes that differ and for other reductions.
Cross-entropy and nll_loss are in softmax.py.
"""

from __future__ import annotations

import math

from .. import _core
from ..autograd import record
from .activation import logsigmoid, relu, softplus
from .elementwise import abs, clamp, exp, log, log1p, square, where

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
]


def _same_shape(op, input, target, name="target"):
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(f"[{op}] {name} must have input's shape {tuple(input.shape)}, got {tuple(target.shape)}")


def _reduce(op, loss, reduction):
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction != "none":
        raise ValueError(f"[{op}] reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    return loss


# ---- regression -----------------------------------------------------------------------------------------------------
def mse_loss(input, target, reduction="mean"):
    """(input - target)^2."""
    _same_shape("mse_loss", input, target)
    return _reduce("mse_loss", square(input - target), reduction)


def l1_loss(input, target, reduction="mean"):
    """|input - target|; its derivative at 0 is 0."""
    _same_shape("l1_loss", input, target)
    return _reduce("l1_loss", abs(input - target), reduction)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2 (Girshick 2015). beta 0 is l1_loss."""
    _same_shape("smooth_l1_loss", input, target)
    if beta < 0:
        raise ValueError(f"[smooth_l1_loss] beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    d = abs(input - target)
    return _reduce("smooth_l1_loss", where(d < beta, square(d) * (0.5 / beta), d - 0.5 * beta), reduction)


def huber_loss(input, target, reduction="mean", delta=1.0):
    """d^2 / 2 where d = |input - target| < delta, else delta (d - delta / 2) (Huber 1964)."""
    _same_shape("huber_loss", input, target)
    if delta <= 0:
        raise ValueError(f"[huber_loss] delta must be positive, got {delta}")
    d = abs(input - target)
    return _reduce("huber_loss", where(d < delta, 0.5 * square(d), delta * (d - 0.5 * delta)), reduction)


def poisson_nll_loss(input, target, log_input=True, full=False, eps=1e-8, reduction="mean"):
    """e^input - target input, or input - target log(input + eps) without log_input.

    full: adds Stirling's target log(target) - target + log(2 pi target) / 2 where target > 1.
    """
    _same_shape("poisson_nll_loss", input, target)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        t = where(target > 1, target, 1.0)
        stirling = t * log(t) - t + 0.5 * log(2 * math.pi * t)
        loss = loss + where(target > 1, stirling, 0.0)
    return _reduce("poisson_nll_loss", loss, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log(v) + (input - target)^2 / v) / 2 with v = max(var, eps) held constant below eps; full adds log(2 pi) / 2.

    var: input's shape. ValueError where it is negative.
    """
    _same_shape("gaussian_nll_loss", input, target)
    _same_shape("gaussian_nll_loss", input, var, "var")
    if bool((var < 0).any()):
        raise ValueError("[gaussian_nll_loss] var must not be negative, got values below 0")
    v = clamp(var, min=eps)
    loss = 0.5 * (log(v) + square(input - target) / v)
    return _reduce("gaussian_nll_loss", loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# ---- probabilities --------------------------------------------------------------------------------------------------
def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """-(target log(input) + (1 - target) log(1 - input)), logarithms not below -100. weight: input's shape.

    ValueError for an input outside [0, 1].
    """
    op = "binary_cross_entropy"
    _same_shape(op, input, target)
    low, high = (input.detach().min().item(), input.detach().max().item()) if input.numel() else (0, 1)
    if not (low >= 0 and high <= 1):
        raise ValueError(f"[{op}] input must be in [0, 1], got values from {low} to {high}: logits take the with_logits form")
    p, t = input.detach(), target.detach()
    loss = -(t * clamp(log(p), min=-100.0) + (1 - t) * clamp(log1p(-p), min=-100.0))
    loss = record(loss, binary_cross_entropy_vjp, (input, target), (input, target))
    if weight is not None:
        _same_shape(op, input, weight, "weight")
        loss = loss * weight
    return _reduce(op, loss, reduction)


def binary_cross_entropy_vjp(node, dy):
    p, t = node.ctx
    dp = dy * (p - t) / clamp(p * (1 - p), min=1e-12) if node.needs[0] else None
    dt = dy * (clamp(log1p(-p), min=-100.0) - clamp(log(p), min=-100.0)) if node.needs[1] else None
    return dp, dt


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """binary_cross_entropy(sigmoid(input), target) without overflow.

    weight: input's shape. pos_weight scales target's part; it broadcasts to input's shape (one per class, say).
    """
    op = "binary_cross_entropy_with_logits"
    _same_shape(op, input, target)
    if pos_weight is None:
        loss = softplus(input) - target * input
    else:
        loss = (1 - target) * input - (1 + (pos_weight - 1) * target) * logsigmoid(input)
        _same_shape(op, input, loss, "pos_weight, broadcast,")
    if weight is not None:
        _same_shape(op, input, weight, "weight")
        loss = loss * weight
    return _reduce(op, loss, reduction)


def kl_div(input, target, reduction="mean", log_target=False):
    """target (log(target) - input), input being log-probabilities; target, too, with log_target. 0 where target is 0.

    reduction 'batchmean' is the sum over the first dimension's size: the divergence as it is defined.
    """
    _same_shape("kl_div", input, target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        some = target > 0
        loss = where(some, target * (log(where(some, target, 1.0)) - input), 0.0)
    if reduction == "batchmean":
        return loss.sum() / (loss.shape[0] if loss.ndim else 1)
    return _reduce("kl_div", loss, reduction)


# ---- margins --------------------------------------------------------------------------------------------------------
def hinge_loss(input, target, squared=False, reduction="mean"):
    """max(0, 1 - target input), target -1 or 1; squared on demand (Cortes and Vapnik 1995)."""
    _same_shape("hinge_loss", input, target)
    loss = relu(1 - target * input)
    return _reduce("hinge_loss", square(loss) if squared else loss, reduction)


def soft_margin_loss(input, target, reduction="mean"):
    """log(1 + e^(-target input)), target -1 or 1."""
    _same_shape("soft_margin_loss", input, target)
    return _reduce("soft_margin_loss", softplus(-(target * input)), reduction)


def hinge_embedding_loss(input, target, margin=1.0, reduction="mean"):
    """input where target is 1, max(0, margin - input) where it is -1."""
    _same_shape("hinge_embedding_loss", input, target)
    return _reduce("hinge_embedding_loss", where(target == 1, input, relu(margin - input)), reduction)


def margin_ranking_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """max(0, -target (input1 - input2) + margin): target 1 ranks input1 higher, -1 input2."""
    _same_shape("margin_ranking_loss", input1, input2, "input2")
    _same_shape("margin_ranking_loss", input1, target)
    return _reduce("margin_ranking_loss", relu(margin - target * (input1 - input2)), reduction)


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, reduction="mean"):
    """sum over the other classes of max(0, margin - input[target] + input[c])^p, over C; input (N, C), target (N,)."""
    op = "multi_margin_loss"
    if input.ndim != 2 or tuple(target.shape) != tuple(input.shape[:1]):
        raise ValueError(f"[{op}] target must be (N,) for input (N, C), got {tuple(target.shape)} for {tuple(input.shape)}")
    if p not in (1, 2):
        raise ValueError(f"[{op}] p must be 1 or 2, got {p}")
    classes = input.shape[1]
    if target.numel() and not bool(((target >= 0) & (target < classes)).all()):
        raise IndexError(f"[{op}] target must be in [0, {classes}), got values from {target.min().item()} to {target.max().item()}")
    hit = target.unsqueeze(1) == _core.arange_int(0, 1, classes, _core.int64)
    own = where(hit, input, 0.0).sum(1, keepdim=True)
    loss = relu(margin - own + input)
    loss = where(hit, 0.0, square(loss) if p == 2 else loss)
    if weight is not None:
        loss = loss * where(hit, weight, 0.0).sum(1, keepdim=True)
    return _reduce(op, loss.sum(1) * (1 / classes), reduction)


def _norm(x, p=2.0, eps=0.0):
    if p == 2:
        return (square(x).sum(-1) + eps) ** 0.5
    return (abs(x) ** p).sum(-1) ** (1 / p)


def cosine_embedding_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1; cos between rows of input1 and input2 (N, D) or (D,)."""
    op = "cosine_embedding_loss"
    _same_shape(op, input1, input2, "input2")
    if tuple(target.shape) != tuple(input1.shape[:-1]):
        raise ValueError(f"[{op}] target must have shape {tuple(input1.shape[:-1])}, got {tuple(target.shape)}")
    tiny = 1e-12
    cos = (input1 * input2).sum(-1) / (((square(input1).sum(-1) + tiny) * (square(input2).sum(-1) + tiny)) ** 0.5)
    return _reduce(op, where(target == 1, 1 - cos, relu(cos - margin)), reduction)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-norm of the difference + eps along the last dim.

    swap: the smaller of d(anchor, negative) and d(positive, negative) (Balntas et al. 2016).
    """
    op = "triplet_margin_loss"
    _same_shape(op, anchor, positive, "positive")
    _same_shape(op, anchor, negative, "negative")
    near, far = _norm(anchor - positive + eps, p), _norm(anchor - negative + eps, p)
    if swap:
        other = _norm(positive - negative + eps, p)
        far = where(other < far, other, far)
    return _reduce(op, relu(margin + near - far), reduction)
