# SPDX-License-Identifier: MIT
"""Scaled dot-product attention, fused: weights are made block by block and never stored."""

from __future__ import annotations

import math

from .. import _core
from ..autograd import is_grad_enabled, record, vjp
from ..precision import lower, regions
from .creation import ones
from .elementwise import where
from .gemm import matmul
from .random import _dropout, default_generator
from .reduce import amax
from .softmax import softmax

__all__ = ["scaled_dot_product_attention"]

_NAME = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """dropout(softmax(scale query key^T + attn_mask)) value (Vaswani et al. 2017): query (..., L, E), key (..., S, E),
    value (..., S, Ev) -> (..., L, Ev); leading dimensions broadcast.

    attn_mask, broadcast to (..., L, S): bool, True where a key takes part, or floating, added to the scores. is_causal:
    key j takes part in query i if j <= i (no attn_mask then). scale: 1 / sqrt(E) unless given. dropout_p is applied
    whatever the mode: pass 0.0 in evaluation. enable_gqa: the heads of key and value (dimension -3) divide the query's,
    and each serves that many in a row.

    A query that sees no key gives zeros, and a key that a query does not see leaves no trace in its row: not even NaN.
    ValueError for shapes, TypeError for dtypes.
    """
    if is_causal and attn_mask is not None:
        raise ValueError(f"[{_NAME}] attn_mask must be None with is_causal=True, got one of shape {tuple(attn_mask.shape)}")
    return attend(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def attend(query, key, value, mask, dropout_p=0.0, is_causal=False, scale=None, grouped=False, weights=False):
    """scaled_dot_product_attention, where mask and is_causal may both hold; with `weights` also these, (..., L, S)."""
    if regions:
        query, key, value, mask = lower(query, key, value, mask)
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim < 2:
            raise ValueError(f"[{_NAME}] {name} must have at least 2 dimensions, got {tuple(x.shape)}")
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"[{_NAME}] dropout_p must be in [0, 1], got {dropout_p}")
    seed = stream = 0
    if dropout_p > 0:
        seed, stream = default_generator._seed, default_generator._stream
        default_generator._stream = stream + 1
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    options = (float(scale), float(dropout_p), bool(is_causal), bool(grouped), seed, stream)
    y, lse = _core.attention_fwd(query, key, value, mask, *options)
    inputs = (query, key, value, mask)
    y = record(y, attention_vjp, inputs, (*inputs, lse, options), keep_output=True)
    return (y, attention_weights(query, key, mask, *options)) if weights else y


def attention_vjp(node, dy):
    *inputs, lse, options = node.ctx
    if is_grad_enabled():
        return vjp(lambda *args: attention_unfused(*args, *options), inputs, dy)
    if node.needs[3]:  # the gradient of a mask is as large as the weights are
        grads = vjp(lambda *args: attention_unfused(*args, *options), inputs, dy)
        return tuple(None if g is None else g.detach() for g in grads)
    return (*_core.attention_bwd(*inputs, node.output, lse, dy, *options), None)


def attention_unfused(query, key, value, mask, *options):
    p = attention_weights(query, key, mask, *options)
    return matmul(p, repeat_heads(value, query) if options[3] else value)


def attention_weights(query, key, mask, scale, dropout_p, is_causal, grouped, seed, stream):
    """dropout(softmax(scale query key^T + mask)) (..., L, S); zeros for a query that sees no key."""
    s = matmul(query * scale, (repeat_heads(key, query) if grouped else key).transpose(-2, -1))
    minus_infinity = float("-inf")
    if mask is not None and mask.dtype is not _core.bool:
        s = where(mask == minus_infinity, minus_infinity, s + mask.to(s.dtype))
    elif mask is not None:
        s = where(mask, s, minus_infinity)
    if is_causal:
        s = where(ones(s.shape[-2:], dtype=_core.bool, device=s).tril(), s, minus_infinity)
    if (mask is None and not is_causal) or s.shape[-1] == 0:
        p = softmax(s, -1)
    else:
        blind = amax(s.detach(), -1, keepdim=True) == minus_infinity
        p = where(blind, 0.0, softmax(where(blind, 0.0, s), -1))
    return _dropout(p, dropout_p, 1, seed, stream) if dropout_p > 0 else p  # the kernel drops what this drops


def repeat_heads(x, query):
    """(..., heads, n, e) -> (..., heads of query, n, e), each head several times in a row."""
    *lead, heads, n, e = x.shape
    times = query.shape[-3] // heads
    return x.unsqueeze(-3).expand(*lead, heads, times, n, e).reshape(*lead, heads * times, n, e)
