# SPDX-License-Identifier: MIT
"""Softmax, and the losses that rest on it: cross-entropy and negative log-likelihood, fused with their reductions."""

from __future__ import annotations

from .. import _core
from ..autograd import is_grad_enabled, record, vjp
from ..precision import raised, regions
from .creation import arange
from .elementwise import clamp, exp, log, where
from .random import rand
from .reduce import amax, argmax

__all__ = ["cross_entropy", "gumbel_softmax", "log_softmax", "nll_loss", "softmax", "softmin"]


def _dim(op, input, dim):
    if dim is None:
        raise ValueError(f"[{op}] dim must be given for input {tuple(input.shape)}, got None: dim=-1 is the last one")
    return dim


# ---- softmax --------------------------------------------------------------------------------------------------------
def softmax(input, dim=None, dtype=None):
    """e^input / sum of e^input along `dim`, without overflow. `dtype`: input is converted first.

    A row of -inf only gives NaN, as in NumPy. IndexError for a dim out of range, TypeError for integers.
    """
    x = input if dtype is None else input.to(dtype)
    dim = _dim("softmax", x, dim)
    return record(_core.softmax_fwd(x, dim, False), softmax_vjp, (x,), (dim,), keep_output=True)


def softmax_vjp(node, dy):
    (dim,), y = node.ctx, node.output
    if is_grad_enabled():
        s = dy * y
        return (s - y * s.sum(dim, keepdim=True),)
    return (_core.softmax_bwd(y, dy, dim, False),)


def softmax_unfused(input, dim):
    e = exp(input - amax(input, dim, keepdim=True).detach())
    return e / e.sum(dim, keepdim=True)


def softmin(input, dim=None, dtype=None):
    """softmax(-input)."""
    return softmax(-input, _dim("softmin", input, dim), dtype)


def log_softmax(input, dim=None, dtype=None):
    """input - log(sum of e^input) along `dim`, without overflow and without the loss of log(softmax(input))."""
    x = input if dtype is None else input.to(dtype)
    dim = _dim("log_softmax", x, dim)
    return record(_core.softmax_fwd(x, dim, True), log_softmax_vjp, (x,), (dim,), keep_output=True)


def log_softmax_vjp(node, dy):
    (dim,), y = node.ctx, node.output
    if is_grad_enabled():
        return (dy - exp(y) * dy.sum(dim, keepdim=True),)
    return (_core.softmax_bwd(y, dy, dim, True),)


def log_softmax_unfused(input, dim):
    x = input - amax(input, dim, keepdim=True).detach()
    return x - log(exp(x).sum(dim, keepdim=True))


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """softmax((logits + g) / tau) along `dim`, g = -log(-log(u)) with u uniform: nearly one-hot samples of the classes, the
    more so the smaller tau, that pass gradients on (Jang et al. 2017, Maddison et al. 2017).

    hard: exactly one-hot, with the gradient of the soft sample. Takes one stream of the default generator. eps: unused,
    as in PyTorch. ValueError unless tau is positive.
    """
    if not tau > 0:
        raise ValueError(f"[gumbel_softmax] tau must be positive, got {tau}")
    u = clamp(rand(logits.shape, dtype=logits.dtype, device=logits), min=1e-30 if logits.dtype is not _core.float16 else 1e-7)
    y = softmax((logits - log(-log(u))) / tau, dim)
    if not hard:
        return y
    top = argmax(y, dim, keepdim=True)
    classes = arange(logits.shape[dim], device=logits).reshape((-1,) + (1,) * (logits.ndim - 1 - dim % logits.ndim))
    return where(classes == top, 1.0, 0.0).to(y.dtype) - y.detach() + y


# ---- cross-entropy --------------------------------------------------------------------------------------------------
def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """-log softmax(input)[target], in one pass over the logits.

    input: (C,), (N, C) or (N, C, d1, ...), raw scores. target: class indices () or (N,) or (N, d1, ...), integers; or
    class probabilities, of input's shape and floating. weight (C,) scales each class; `mean` divides by the sum of the
    targets' weights (by N d1 ... for probabilities). Targets equal to ignore_index count for nothing, whatever their
    logits. label_smoothing s replaces a target by (1 - s) of it and s / C of every class (Szegedy et al. 2016).

    Shapes never broadcast: ValueError. IndexError for an index out of range, TypeError for indices that are floats.
    """
    if regions:
        input, target, weight = raised(input, target, weight)
    if target.shape == input.shape and target.dtype.is_floating_point:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    return _cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing, False)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-input[target] of log-probabilities, as `log_softmax` gives them. Shapes, weight and errors: see cross_entropy."""
    if regions:
        input, weight = raised(input, weight)
    return _cross_entropy(input, target, weight, ignore_index, reduction, 0.0, True)


def _cross_entropy(input, target, weight, ignore_index, reduction, smoothing, log_probs):
    loss, lse, denominator, target = _core.cross_entropy_fwd(
        input, target, weight, ignore_index, reduction, smoothing, log_probs
    )
    ctx = (input, target, weight, lse, denominator, ignore_index, reduction, smoothing, log_probs)
    return record(loss, cross_entropy_vjp, (input,), ctx)


def cross_entropy_vjp(node, dy):
    input, target, weight, lse, denominator, *rest = node.ctx
    if is_grad_enabled():
        return vjp(lambda x: cross_entropy_unfused(x, target, weight, *rest), (input,), dy)
    return (_core.cross_entropy_bwd(input, target, weight, lse, denominator, dy, *rest),)


def cross_entropy_unfused(input, target, weight, ignore_index, reduction, smoothing, log_probs=False):
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    shape = (classes,) + (1,) * (input.ndim - dim - 1)
    logp = input if log_probs else log_softmax_unfused(input, dim)
    hit = target.unsqueeze(dim) == arange(classes, device=input).reshape(shape)
    if weight is not None:
        w = weight.to(input.dtype).reshape(shape)
        factor, logp = where(hit, w, 0.0).sum(dim), logp * w
    else:
        factor = target == target
    loss = where(hit, -logp, 0.0).sum(dim)
    if smoothing:
        loss = (1 - smoothing) * loss - (smoothing / classes) * logp.sum(dim)
    used = target != ignore_index
    loss = where(used, loss, 0.0)
    if reduction == "none":
        return loss
    return loss.sum() / where(used, factor, 0.0).sum() if reduction == "mean" else loss.sum()


def _soft_cross_entropy(input, target, weight, reduction, smoothing):
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"[cross_entropy] reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"[cross_entropy] label_smoothing must be in [0, 1], got {smoothing}")
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    if weight is not None:
        if tuple(weight.shape) != (classes,):
            raise ValueError(f"[cross_entropy] weight must have shape ({classes},), got {tuple(weight.shape)}")
        target = target * weight.reshape((classes,) + (1,) * (input.ndim - dim - 1))
    loss = -(log_softmax(input, dim) * target).sum(dim)
    if reduction == "none":
        return loss
    total = loss.sum() if reduction == "sum" else loss.mean()
    if total.item() != total.item() and bool((target != target).any()):
        raise ValueError("[cross_entropy] target must hold probabilities, got NaN")
    return total
