# SPDX-License-Identifier: MIT
"""What all losses share: checks, reductions, and the fused losses of single elements."""

from __future__ import annotations

from ... import _core
from ...autograd import is_grad_enabled, record, vjp


def same_shape(op, input, target, name="target"):
    if input.shape != target.shape:
        raise ValueError(f"[{op}] {name} must have input's shape {tuple(input.shape)}, got {tuple(target.shape)}")


def check_reduction(op, reduction):
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"[{op}] reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


def reduce(op, loss, reduction):
    check_reduction(op, reduction)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def weighted(op, loss, weight, reduction):
    """The loss times `weight` (its shape): 'mean' divides by the sum of the weights, as PyTorch's regression losses do."""
    same_shape(op, loss, weight, "weight")
    check_reduction(op, reduction)
    loss = loss * weight
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.sum() / weight.sum()


def pointwise(op, kind, unfused, input, target, reduction, p=0.0):
    """The kernel's loss `kind`, with its reduction; unfused(input, target, p) is what it computes, without reduction."""
    same_shape(op, input, target)
    check_reduction(op, reduction)
    if input.dtype is not target.dtype or not input.dtype.is_floating_point:
        return reduce(op, unfused(input, target, p), reduction)
    loss = _core.loss_fwd(kind, input, target, reduction, p)
    return record(loss, pointwise_vjp, (input, target), (input, target, kind, unfused, reduction, p))


def pointwise_vjp(node, dy):
    input, target, kind, unfused, reduction, p = node.ctx
    if is_grad_enabled():
        return vjp(lambda x, t: reduce(kind, unfused(x, t, p), reduction), (input, target), dy)
    dx = _core.loss_bwd(kind, input, target, dy, reduction, p) if node.needs[0] or kind in _OF_DIFFERENCE else None
    if not node.needs[1]:
        return dx, None
    if kind in _OF_DIFFERENCE:
        return dx, -dx
    if kind in _OF_PRODUCT:  # f(input target) has the same derivative in both, with the other's factor
        return dx, _core.loss_bwd(kind, target, input, dy, reduction, p)
    (dt,) = vjp(lambda t: reduce(kind, unfused(input.detach(), t, p), reduction), (target,), dy.detach())
    return dx, dt.detach()


_OF_DIFFERENCE = ("mse", "l1", "huber", "log_cosh", "quantile")
_OF_PRODUCT = ("hinge", "squared_hinge", "soft_margin")
