# SPDX-License-Identifier: MIT
"""Norm, scaling and limits of many tensors in one pass each (gradient clipping)."""

from __future__ import annotations

import math

from .. import _core
from .creation import tensor
from .reduce import norm

__all__ = ["clamp_all_", "scale_", "total_norm"]


def total_norm(tensors, p=2.0):
    """The p-norm of all elements of all tensors, as a scalar tensor; in fixed order. One pass for p of 1, 2 and inf."""
    if not tensors:
        return tensor(0.0)
    if p in (1.0, 2.0, math.inf):
        total = _core.grad_norm(tensors, p)
    else:
        norms = [norm(t, p).item() for t in tensors]
        if p == 0:
            total = float(sum(n != 0 for n in norms))
        else:
            total = min(norms) if p == -math.inf else sum(n**p for n in norms) ** (1 / p)
    return tensor(total, dtype=_core.float64 if any(t.dtype is _core.float64 for t in tensors) else _core.float32)


def scale_(tensors, scale):
    """Multiplies all tensors by a number, in place."""
    _core.scale_all(tensors, scale)


def clamp_all_(tensors, low, high):
    """Limits every element of all tensors to [low, high], in place; NaN stays."""
    _core.clamp_all(tensors, low, high)
