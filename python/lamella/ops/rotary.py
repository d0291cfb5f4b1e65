# SPDX-License-Identifier: MIT
"""Rotary positions: a linear map of each row, whose adjoint turns back."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from .join import cat, stack

__all__ = ["rotary_embedding"]


def rotary_embedding(input, cos, sin, interleaved=False):
    """Each pair (a, b) of features of input (..., T, E) at position t becomes (a cos - b sin, b cos + a sin), with cos and
    sin (T, R / 2) of its angle (Su et al. 2021). Of the first R <= E features, a_i and b_i are i and R / 2 + i (GPT-NeoX,
    Llama), or interleaved 2 i and 2 i + 1 (RoFormer, GPT-J); the rest stay. cos and sin take no gradient. ValueError for
    shapes, TypeError for dtypes.

    >>> F.rotary_embedding(lamella.tensor([[1.0, 2.0]]), lamella.tensor([[0.0]]), lamella.tensor([[1.0]])).tolist()
    [[-2.0, 1.0]]
    """
    return _rotary(input, cos.detach(), sin.detach(), bool(interleaved), False)


def _rotary(x, *options):
    return record(_core.rotary(x, *options), rotary_vjp, (x,), options)


def rotary_vjp(node, dy):
    *options, inverse = node.ctx
    return (_rotary(dy, *options, not inverse),)


def rotary_unfused(input, cos, sin, interleaved=False):
    pairs = cos.shape[-1]
    turned, rest = input[..., : 2 * pairs], input[..., 2 * pairs :]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        y = stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(turned.shape)
    else:
        a, b = turned[..., :pairs], turned[..., pairs:]
        y = cat([a * cos - b * sin, b * cos + a * sin], -1)
    return cat([y, rest], -1)
