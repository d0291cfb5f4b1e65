# SPDX-License-Identifier: MIT
"""Multi-head attention."""

from __future__ import annotations

from .. import _core
from ..ops import creation
from ..ops.attention import attend
from ..ops.elementwise import where
from ..ops.join import cat, split
from . import functional as F
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention of `num_heads` heads of embed_dim / num_heads features each, on projections of query, key and value
    (Vaswani et al. 2017); y = concat(heads) W_out^T + b_out.

    Parameters: in_proj_weight (3 embed_dim, embed_dim), or q_proj_weight, k_proj_weight, v_proj_weight where kdim or vdim
    differ; in_proj_bias, out_proj. add_bias_kv: a learned key and value in every sequence; add_zero_attn: one of zeros.
    dropout is that of the weights, in training mode.
    """

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ):
        if num_heads <= 0 or embed_dim <= 0 or embed_dim % num_heads:
            raise ValueError(f"[MultiheadAttention] num_heads must divide embed_dim, got {num_heads} and {embed_dim}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn

        def parameter(*shape):
            return Parameter(creation.empty(*shape, device=device, dtype=dtype))

        one = self.kdim == embed_dim and self.vdim == embed_dim
        self.in_proj_weight = parameter(3 * embed_dim, embed_dim) if one else None
        self.q_proj_weight = None if one else parameter(embed_dim, embed_dim)
        self.k_proj_weight = None if one else parameter(embed_dim, self.kdim)
        self.v_proj_weight = None if one else parameter(embed_dim, self.vdim)
        self.in_proj_bias = parameter(3 * embed_dim) if bias else None
        self.bias_k = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the starting values again: Glorot's for the projections, zero for their biases."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        self.out_proj.reset_parameters()
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        """query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim) -> (y (L, N, embed_dim), weights or None); with
        batch_first N comes first, and without a batch there is no N.

        key_padding_mask (N, S) and attn_mask (L, S) or (N num_heads, L, S) are PyTorch's: bool, True where a key takes NO
        part (the opposite of scaled_dot_product_attention), or floating, added. is_causal: key j takes part in query i
        if j <= i; an attn_mask says the same then, and is not read. need_weights: also the weights, (N, L, S) averaged
        over heads, or (N, num_heads, L, S); y is the same with and without. A query that sees no key gets out_proj of 0.
        ValueError for shapes.
        """
        self._check(query, key, value)
        batched, length = query.ndim == 3, 1 if self.batch_first else 0
        if not batched:
            query, key, value = _each(lambda x: x.unsqueeze(1 - length), query, key, value)
        q, k, v = self._project(query, key, value)
        n = query.shape[1 - length]
        if self.bias_k is not None:
            shape = (n, 1, self.embed_dim) if self.batch_first else (1, n, self.embed_dim)
            k, v = cat([k, self.bias_k.expand(shape)], length), cat([v, self.bias_v.expand(shape)], length)
        q, k, v = self._heads(q), self._heads(k), self._heads(v)
        if self.add_zero_attn:
            zero = creation.zeros((n, self.num_heads, 1, self.head_dim), dtype=k.dtype, device=k)
            k, v = cat([k, zero], 2), cat([v, zero], 2)
        s, extra = key.shape[length], k.shape[2] - key.shape[length]
        if is_causal and extra:  # what was added takes part everywhere
            attn_mask, is_causal = creation.ones((q.shape[2], s), dtype=_core.bool, device=q).triu(1), False
        mask = self._mask(None if is_causal else attn_mask, key_padding_mask, n, q.shape[2], s, extra)
        y = attend(q, k, v, mask, self.dropout if self.training else 0.0, is_causal, weights=need_weights)
        y, weights = y if need_weights else (y, None)
        y = self.out_proj(y.transpose(1, 2).reshape(n, q.shape[2], self.embed_dim))
        y = y if self.batch_first else y.transpose(0, 1)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return y.squeeze(1 - length), None if weights is None else weights.squeeze(0)
        return y, weights

    def _check(self, query, key, value):
        if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
            raise ValueError(
                "[MultiheadAttention] query, key and value must all have 2 or all 3 dimensions, got "
                f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
            )
        for name, x, size in (("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)):
            if x.shape[-1] != size:
                raise ValueError(f"[MultiheadAttention] {name} must have {size} features, got {tuple(x.shape)}")
        if key.shape[:-1] != value.shape[:-1]:
            raise ValueError(
                "[MultiheadAttention] key and value must have the same length and batch, got "
                f"{tuple(key.shape)} and {tuple(value.shape)}"
            )

    def _project(self, query, key, value):
        """q, k and v, by one product where they come from one tensor."""
        e, w, b = self.embed_dim, self.in_proj_weight, self.in_proj_bias
        if w is not None and query is key and key is value:
            return split(F.linear(query, w, b), e, -1)
        if w is None:
            ws = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        elif key is value:
            wq, wkv = split(w, (e, 2 * e))
            bq, bkv = (None, None) if b is None else split(b, (e, 2 * e))
            return F.linear(query, wq, bq), *split(F.linear(key, wkv, bkv), e, -1)
        else:
            ws = split(w, e)
        bs = (None, None, None) if b is None else split(b, e)
        return tuple(F.linear(x, w, b) for x, w, b in zip((query, key, value), ws, bs, strict=True))

    def _heads(self, x):
        """(N, heads, length, head_dim), a view."""
        x = x.reshape(*x.shape[:2], self.num_heads, self.head_dim)
        return x.permute(0, 2, 1, 3) if self.batch_first else x.permute(1, 2, 0, 3)

    def _mask(self, attn_mask, padding, n, length, s, extra):
        """Both as attend wants them, (N or 1, heads or 1, length or 1, s + extra), or None."""
        if attn_mask is not None:
            if tuple(attn_mask.shape) == (n * self.num_heads, length, s):
                attn_mask = attn_mask.reshape(n, self.num_heads, length, s)
            elif tuple(attn_mask.shape) != (length, s):
                raise ValueError(
                    f"[MultiheadAttention] attn_mask must have shape {(length, s)} or {(n * self.num_heads, length, s)}, "
                    f"got {tuple(attn_mask.shape)}"
                )
        if padding is not None:
            if tuple(padding.shape) != (n, s) and (n != 1 or tuple(padding.shape) != (s,)):
                raise ValueError(
                    f"[MultiheadAttention] key_padding_mask must have shape {(n, s)}, got {tuple(padding.shape)}"
                )
            padding = padding.reshape(n, 1, 1, s)
        masks = [m for m in (attn_mask, padding) if m is not None]
        if not masks:
            return None
        if all(m.dtype is _core.bool for m in masks):
            mask = ~masks[0] if len(masks) == 1 else ~(masks[0] | masks[1])
        else:
            minus_infinity = float("-inf")
            dtype = next(m.dtype for m in masks if m.dtype is not _core.bool)
            added = [where(m, minus_infinity, creation.zeros((), dtype=dtype, device=m)) if m.dtype is _core.bool else m for m in masks]
            mask = added[0] if len(added) == 1 else added[0] + added[1]
        if extra:
            open_ = creation.full((*mask.shape[:-1], extra), mask.dtype is _core.bool, mask.dtype, mask)
            mask = cat([mask, open_], -1)
        return mask

    def _label(self):
        return f"MultiheadAttention(embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first})"


def _each(f, query, key, value):
    """f of the three, once for each that is another object: self-attention stays recognisable."""
    done = {}
    for x in (query, key, value):
        if id(x) not in done:
            done[id(x)] = f(x)
    return tuple(done[id(x)] for x in (query, key, value))
