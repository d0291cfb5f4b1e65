# SPDX-License-Identifier: MIT
"""Gated linear units: one half of the input, along dim, scales the other."""

from __future__ import annotations

from .. import _core
from ..autograd import is_grad_enabled, record, vjp
from .activation import gelu, sigmoid, silu

__all__ = ["geglu", "glu", "swiglu"]


def _gate(kind, input, dim):
    return record(_core.gate_fwd(kind, input, dim), gate_vjp, (input,), (kind, input, dim))


def gate_vjp(node, dy):
    kind, x, dim = node.ctx
    if is_grad_enabled():
        return vjp(lambda v: gate_unfused(kind, v, dim), (x,), dy)
    return (_core.gate_bwd(kind, x, dy, dim),)


def gate_unfused(kind, input, dim):
    n = input.shape[dim] // 2
    a, b = input.narrow(dim, 0, n), input.narrow(dim, n, n)
    return a * sigmoid(b) if kind == "glu" else silu(a) * b if kind == "swiglu" else gelu(a) * b


def glu(input, dim=-1):
    """a sigmoid(b), a and b being the halves of input along dim (Dauphin et al. 2017). ValueError if its size is odd."""
    return _gate("glu", input, dim)


def swiglu(input, dim=-1):
    """silu(a) b, a and b being the halves of input along dim (Shazeer 2020). ValueError if its size is odd."""
    return _gate("swiglu", input, dim)


def geglu(input, dim=-1):
    """gelu(a) b, a and b being the halves of input along dim (Shazeer 2020). ValueError if its size is odd."""
    return _gate("geglu", input, dim)
