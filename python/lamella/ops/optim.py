# SPDX-License-Identifier: MIT
"""Norm and scaling of many tensors in one pass each (gradient clipping)."""

from __future__ import annotations

from .. import _core
from .creation import tensor
from .reduce import norm

__all__ = ["scale_", "total_norm"]


def total_norm(tensors, p=2.0):
    """The p-norm of all elements of all tensors, as a scalar tensor; in fixed order."""
    if not tensors:
        return tensor(0.0)
    if p == 2.0:
        return tensor(_core.grad_norm(tensors))
    norms = [norm(t, p).item() for t in tensors]
    return tensor(max(norms) if p == float("inf") else sum(n**p for n in norms) ** (1 / p))


def scale_(tensors, scale):
    """Multiplies all tensors by a number, in place."""
    _core.scale_all(tensors, scale)
