# SPDX-License-Identifier: MIT
"""Norm, scaling and limits of many tensors in one pass each (gradient clipping), and penalties on them."""

from __future__ import annotations

import math

from .. import _core
from ..autograd import record
from .creation import tensor
from .elementwise import sign
from .reduce import norm

__all__ = ["clamp_all_", "elastic_net_penalty", "l1_penalty", "l2_penalty", "scale_", "soft_threshold_", "total_norm"]


def total_norm(tensors, p=2.0):
    """The p-norm of all elements of all tensors, as a scalar tensor; in fixed order. One pass for p of 1, 2 and inf."""
    if not tensors:
        return tensor(0.0)
    if p in (1.0, 2.0, math.inf):
        total = _core.grad_norm(tensors, p)
        return _core.cast(total, _wide(tensors))
    else:
        norms = [norm(t, p).item() for t in tensors]
        if p == 0:
            total = float(sum(n != 0 for n in norms))
        else:
            total = min(norms) if p == -math.inf else sum(n**p for n in norms) ** (1 / p)
    return tensor(total, dtype=_wide(tensors))


def _wide(tensors):
    return _core.float64 if any(t.dtype is _core.float64 for t in tensors) else _core.float32


def scale_(tensors, scale):
    """Multiplies all tensors, in place, by a number, or by that in a float64 tensor beside them, whose value nobody waits for."""
    if isinstance(scale, _core.TensorBase):
        _core.scale_all(tensors, 1.0, scale)
    else:
        _core.scale_all(tensors, scale)


def clamp_all_(tensors, low, high):
    """Limits every element of all tensors to [low, high], in place; NaN stays."""
    _core.clamp_all(tensors, low, high)


# ---- penalties ------------------------------------------------------------------------------------------------------
def _listed(op, parameters):
    tensors = [parameters] if isinstance(parameters, _core.TensorBase) else list(parameters)
    if not tensors:
        raise ValueError(f"[{op}] parameters must hold at least one tensor, got none")
    return tensors


def elastic_net_penalty(parameters, l1, l2):
    """l1 sum |p| + l2 / 2 sum p^2 over all elements of all tensors, as a scalar (Zou and Hastie 2005).

    Add it to the loss. Its gradient is l1 sign(p) + l2 p: l2 acts as the weight_decay of SGD does. Sums are in a fixed
    order, in float64. For zeros that are exact use `soft_threshold_` after each step in place of l1.

    >>> p = lamella.tensor([3.0, -1.0], requires_grad=True)
    >>> penalty = lamella.optim.elastic_net_penalty([p], l1=0.5, l2=0.25)
    >>> penalty.backward()
    >>> penalty.item(), p.grad.tolist()
    (3.25, [1.25, -0.75])
    """
    tensors = _listed("elastic_net_penalty", parameters)
    if l1 < 0 or l2 < 0:
        raise ValueError(f"[elastic_net_penalty] l1 and l2 must not be negative, got {l1} and {l2}")
    total = _core.grad_norm(tensors, 1.0) * l1 if l1 else None
    if l2:
        squares = _core.grad_norm(tensors, 2.0) ** 2 * (0.5 * l2)
        total = squares if total is None else total + squares
    value = tensor(0.0, dtype=_wide(tensors), device=tensors[0]) if total is None else _core.cast(total, _wide(tensors))
    return record(value, penalty_vjp, tuple(tensors), (l1, l2, *tensors))


def penalty_vjp(node, dy):
    l1, l2, *tensors = node.ctx
    gradients = []
    for need, p in zip(node.needs, tensors, strict=True):
        scale = dy.to(p.dtype)
        parts = [scale * l1 * sign(p)] * bool(l1) + [scale * l2 * p] * bool(l2) or [p * 0]
        gradients.append(sum(parts[1:], parts[0]) if need else None)
    return tuple(gradients)


def elastic_net_penalty_unfused(parameters, l1, l2):
    return sum(l1 * abs(p).sum() + 0.5 * l2 * (p * p).sum() for p in parameters)


def l1_penalty(parameters, weight):
    """weight sum |p| over all elements of all tensors, as a scalar to add to the loss (lasso)."""
    return elastic_net_penalty(parameters, weight, 0.0)


def l2_penalty(parameters, weight):
    """weight / 2 sum p^2 over all elements of all tensors, as a scalar to add to the loss (ridge)."""
    return elastic_net_penalty(parameters, 0.0, weight)


def soft_threshold_(parameters, amount):
    """p <- sign(p) max(|p| - amount, 0), in place, for all: the proximal step of an L1 penalty, decoupled from the
    gradient. After an optimiser's step, with amount = lr * l1, it makes weights exactly zero (ISTA, Daubechies et al. 2004).

    >>> p = lamella.tensor([0.5, -2.0, 3.0])
    >>> lamella.optim.soft_threshold_([p], 1.0)
    >>> p.tolist()
    [0.0, -1.0, 2.0]
    """
    if amount < 0:
        raise ValueError(f"[soft_threshold_] amount must not be negative, got {amount}")
    tensors = _listed("soft_threshold_", parameters)
    _core.optim_step("soft_threshold_", "soft_threshold", tensors, tensors, [], (), (amount,), 0.0, 1.0, False)
