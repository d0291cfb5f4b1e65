# SPDX-License-Identifier: MIT
"""Positional encodings: sinusoidal, learned, rotary, and ALiBi's biases."""

from __future__ import annotations

import math

from ..ops import creation
from ..ops.rotary import rotary_embedding
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

__all__ = ["ALiBi", "LearnedPositionalEncoding", "RotaryEmbedding", "SinusoidalPositionalEncoding"]


class _Added(Module):
    """x + the first rows of a table, with dropout."""

    def _setup(self, d_model, max_len, dropout, batch_first):
        self.d_model, self.max_len, self.dropout, self.batch_first = d_model, max_len, dropout, batch_first

    def forward(self, input, offset=0):
        """input (T, N, d_model), with batch_first (N, T, d_model) -> the same; offset: the position of the first."""
        op, dim = type(self).__name__, input.ndim - 2 if self.batch_first else 0
        if input.ndim not in (2, 3) or input.shape[-1] != self.d_model:
            raise ValueError(f"[{op}] input must have 2 or 3 dimensions and {self.d_model} features, got {tuple(input.shape)}")
        n = input.shape[dim]
        if offset < 0 or offset + n > self.max_len:
            raise ValueError(f"[{op}] input must end within {self.max_len} positions, got {n} from {offset} on")
        table = self._table()[offset : offset + n].to(input.dtype)
        if input.ndim == 3 and not self.batch_first:
            table = table.unsqueeze(1)
        return F.dropout(input + table, self.dropout, self.training)

    def extra_repr(self):
        return f"{self.d_model}, max_len={self.max_len}, dropout={self.dropout}, batch_first={self.batch_first}"


class SinusoidalPositionalEncoding(_Added):
    """x + p, where p at position t has sin(t w_i) and cos(t w_i) at 2 i and 2 i + 1, w_i = 10000^(-2 i / d_model)
    (Vaswani et al. 2017, 3.5). The table is no part of the state_dict."""

    def __init__(self, d_model, max_len=5000, dropout=0.0, batch_first=False, device=None, dtype=None):
        self._setup(d_model, max_len, dropout, batch_first)
        angle = _angles(max_len, d_model + d_model % 2, 10000.0)
        table = creation.empty(max_len, d_model + d_model % 2, dtype=angle.dtype, device=angle)
        table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()
        dtype = dtype or creation.get_default_dtype()
        self.register_buffer("pe", table[:, :d_model].to(dtype).contiguous(), persistent=False)

    def _table(self):
        return self.pe


class LearnedPositionalEncoding(_Added):
    """x + rows of `weight` (max_len, d_model), which is trained (Gehring et al. 2017); it starts normal with deviation 0.02."""

    def __init__(self, d_model, max_len=5000, dropout=0.0, batch_first=False, device=None, dtype=None):
        self._setup(d_model, max_len, dropout, batch_first)
        self.weight = Parameter(creation.empty(max_len, d_model, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the starting values again."""
        init.normal_(self.weight, std=0.02)

    def _table(self):
        return self.weight


class RotaryEmbedding(Module):
    """Turns pairs of features of queries and keys (..., T, E) by angles t base^(-2 i / dim), so that their product depends
    on the distance alone (Su et al. 2021). dim: how many of the features, from the first on. See `functional.rotary_embedding`.

    forward(x, offset=0): the position of x's first row is `offset`. Tables of cosines and sines grow as they are needed.
    """

    def __init__(self, dim, base=10000.0, interleaved=False, max_len=2048):
        if dim < 2 or dim % 2:
            raise ValueError(f"[RotaryEmbedding] dim must be even and positive, got {dim}")
        self.dim, self.base, self.interleaved = dim, float(base), interleaved
        self._grow(max_len)

    def _grow(self, length):
        angle = _angles(length, self.dim, self.base)
        single = creation.get_default_dtype()
        self._tables = angle.cos().to(single), angle.sin().to(single)

    def forward(self, input, offset=0):
        end = offset + input.shape[-2]
        if end > self._tables[0].shape[0]:
            self._grow(max(end, 2 * self._tables[0].shape[0]))
        cos, sin = (table[offset:end] for table in self._tables)
        return rotary_embedding(input, cos, sin, self.interleaved)

    def extra_repr(self):
        return f"{self.dim}, base={self.base}, interleaved={self.interleaved}"


class ALiBi(Module):
    """Biases -slope_h (i - j) of key j in query i's scores, (num_heads, L, S), for scaled_dot_product_attention's attn_mask
    (Press et al. 2022); slopes are 2^(-8 h / num_heads), h from 1, or between those of the powers of two around.

    forward(L, S): the last query stands at the last key. With causal, keys after the query have -infinity; without, the
    distance counts in both directions.

    >>> nn.ALiBi(2)(2, 2)[0].tolist()
    [[0.0, -inf], [-0.0625, 0.0]]
    """

    def __init__(self, num_heads, causal=True):
        self.num_heads, self.causal = num_heads, causal
        power = 2 ** math.floor(math.log2(num_heads))
        slopes = [2 ** (-8 * h / power) for h in range(1, power + 1)]
        slopes += [2 ** (-4 * h / power) for h in range(1, 2 * (num_heads - power) + 1, 2)]
        self.register_buffer("slopes", creation.tensor(slopes), persistent=False)

    def forward(self, query_length, key_length=None):
        s = query_length if key_length is None else key_length
        i = creation.arange(s - query_length, s, device=self.slopes).unsqueeze(1)
        distance = (i - creation.arange(s, device=self.slopes)).to(self.slopes.dtype)
        bias = self.slopes.reshape(-1, 1, 1) * (0 - distance.abs())
        return bias.masked_fill(distance < 0, float("-inf")) if self.causal else bias

    def extra_repr(self):
        return f"{self.num_heads}, causal={self.causal}"


def _angles(length, dim, base):
    """t base^(-2 i / dim), (length, dim / 2), in float64."""
    import numpy as np

    frequency = base ** (-np.arange(0, dim, 2) / dim)
    return creation.from_numpy(np.outer(np.arange(length), frequency))
