# SPDX-License-Identifier: MIT
"""Gradient clipping: one pass over all gradients, in a fixed order, whatever their number."""

from __future__ import annotations

from ... import ops
from ...tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _gradients(parameters):
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in parameters if p.grad is not None]


def _contiguous(tensors):
    """Those that a pass over memory can write, and the others."""
    plain = [t for t in tensors if t.is_contiguous()]
    return plain, [t for t in tensors if not t.is_contiguous()] if len(plain) < len(tensors) else []


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of the vector of all tensors' norms, so for most p the p-norm of all their elements.

    RuntimeError for a norm that is not finite, if asked for. `foreach` is PyTorch's; there is one way here.
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm = ops.total_norm(tensors, float(norm_type))
    if error_if_nonfinite and not ops.isfinite(norm).item():
        raise RuntimeError(
            f"[get_total_norm] the norm of order {float(norm_type)} must be finite, got {norm.item()}; "
            "error_if_nonfinite=False lets it pass"
        )
    return norm


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scales all gradients, in place, by max_norm / (total_norm + 1e-6) where that is below 1."""
    if isinstance(total_norm, Tensor) and total_norm.is_cuda:  # without waiting for the GPU
        scale = (float(max_norm) / (total_norm.double() + 1e-6)).clamp(max=1.0)
    else:
        scale = float(max_norm) / (float(total_norm) + 1e-6)
        if scale >= 1:
            return
    plain, strided = _contiguous(_gradients(parameters))
    if plain:
        ops.scale_(plain, scale)
    for g in strided:
        g.mul_(scale)


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scales all gradients, in place, so that their joint norm is at most max_norm; returns the norm before.

    A norm that is NaN makes every gradient NaN, as in PyTorch. RuntimeError for one that is not finite, if asked for.
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    norm = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, norm)
    return norm


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Limits every element of every gradient, in place, to [-clip_value, clip_value]."""
    limit = float(clip_value)
    plain, strided = _contiguous(_gradients(parameters))
    if plain:
        ops.clamp_all_(plain, -limit, limit)
    for g in strided:
        g.clamp_(-limit, limit)
