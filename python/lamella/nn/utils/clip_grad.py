# SPDX-License-Identifier: MIT
"""Gradient clipping."""

from __future__ import annotations

from ... import ops
from ...tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


def _gradients(parameters):
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in parameters if p.grad is not None]


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Scales all gradients, in place, so that their joint norm is at most max_norm; returns the norm before.

    One pass for the 2-norm. RuntimeError for a norm that is not finite, if asked for.
    """
    grads = _gradients(parameters)
    norm = ops.total_norm(grads, float(norm_type))
    if error_if_nonfinite and not ops.isfinite(norm).item():
        raise RuntimeError(f"[clip_grad_norm_] the gradients' norm must be finite, got {norm.item()}")
    scale = float(max_norm) / (norm.item() + 1e-6)
    if grads and scale < 1:
        ops.scale_(grads, scale)
    return norm


def clip_grad_value_(parameters, clip_value):
    """Limits every element of every gradient, in place, to [-clip_value, clip_value]."""
    for g in _gradients(parameters):
        g.clamp_(-float(clip_value), float(clip_value))
