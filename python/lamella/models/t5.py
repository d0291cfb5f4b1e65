# SPDX-License-Identifier: MIT
"""T5 (Raffel et al. 2019) with Hugging Face's parameter names: an encoder-decoder with relative position biases.

Norms are RMS norms and come first, nothing has a bias, scores are not divided by sqrt(head width). The biases of a stack
are those of its first layer.
"""

from __future__ import annotations

import math

from .. import arange, full_like, log, nn, where
from .. import bool as boolean
from ..nn import functional as F
from .generate import DecoderCache

__all__ = ["T5"]


def bucket(distance, bidirectional, buckets, max_distance):
    """The number of the bucket of key position - query position: half of the buckets hold one distance each, the others
    logarithmically wider ranges up to max_distance; one half of all is for keys that come after, if bidirectional."""
    if bidirectional:
        buckets //= 2
        start = (distance > 0).to(distance.dtype) * buckets
        distance = distance.abs()
    else:
        start, distance = 0, (0 - distance).clamp(min=0)
    exact = buckets // 2
    ratio = log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    wide = (exact + (ratio * (buckets - exact)).to(distance.dtype)).clamp(max=buckets - 1)
    return start + where(distance < exact, distance, wide)


class Attention(nn.Module):
    """(N, T, E), and (N, S, E) as `memory` -> (N, T, E)."""

    def __init__(self, d_model, heads, d_kv, buckets=None):
        super().__init__()
        self.heads, self.d_kv = heads, d_kv
        self.q, self.k, self.v = (nn.Linear(d_model, heads * d_kv, bias=False) for _ in range(3))
        self.o = nn.Linear(heads * d_kv, d_model, bias=False)
        if buckets is not None:
            self.relative_attention_bias = nn.Embedding(buckets, heads)

    def _split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.d_kv).transpose(1, 2)  # (N, heads, T, d_kv)

    def keys(self, x):
        """Keys and values of x."""
        return self._split(self.k(x)), self._split(self.v(x))

    def forward(self, x, k, v, bias):
        y = F.scaled_dot_product_attention(self._split(self.q(x)), k, v, bias, scale=1.0)
        return self.o(y.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1))


class SelfLayer(nn.Module):
    """x + attention of norm(x)."""

    def __init__(self, d_model, heads, d_kv, buckets, eps, dropout):
        super().__init__()
        self.SelfAttention = Attention(d_model, heads, d_kv, buckets)
        self.layer_norm, self.dropout = nn.RMSNorm(d_model, eps=eps), nn.Dropout(dropout)

    def forward(self, x, bias, past):
        y = self.layer_norm(x)
        k, v = self.SelfAttention.keys(y)
        if past is not None:
            cache, layer = past
            k, v = cache.update(layer, k, v)
        return x + self.dropout(self.SelfAttention(y, k, v, bias))


class CrossLayer(nn.Module):
    """x + attention of norm(x) to the encoder's output."""

    def __init__(self, d_model, heads, d_kv, eps, dropout):
        super().__init__()
        self.EncDecAttention = Attention(d_model, heads, d_kv)
        self.layer_norm, self.dropout = nn.RMSNorm(d_model, eps=eps), nn.Dropout(dropout)

    def forward(self, x, memory, mask, past):
        if past is None:
            k, v = self.EncDecAttention.keys(memory)
        else:
            k, v = past[0].crossed(past[1], lambda: self.EncDecAttention.keys(memory))
        return x + self.dropout(self.EncDecAttention(self.layer_norm(x), k, v, mask))


class Dense(nn.Module):
    """wo(relu(wi(x))), or of T5 1.1, `gated`, wo(gelu(wi_0(x)) wi_1(x))."""

    def __init__(self, d_model, d_ff, gated, dropout):
        super().__init__()
        self.gated, self.dropout = gated, nn.Dropout(dropout)
        for name in ("wi_0", "wi_1") if gated else ("wi",):
            setattr(self, name, nn.Linear(d_model, d_ff, bias=False))
        self.wo = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x):
        y = F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x) if self.gated else F.relu(self.wi(x))
        return self.wo(self.dropout(y))


class FeedForward(nn.Module):
    """x + dense of norm(x)."""

    def __init__(self, d_model, d_ff, gated, eps, dropout):
        super().__init__()
        self.DenseReluDense = Dense(d_model, d_ff, gated, dropout)
        self.layer_norm, self.dropout = nn.RMSNorm(d_model, eps=eps), nn.Dropout(dropout)

    def forward(self, x):
        return x + self.dropout(self.DenseReluDense(self.layer_norm(x)))


class Stack(nn.Module):
    """The blocks of the encoder or decoder: (N, T, E) -> (N, T, E)."""

    def __init__(self, embedding, layers, decoder, heads, d_kv, d_ff, gated, buckets, max_distance, eps, dropout):
        super().__init__()
        d_model = embedding.weight.shape[1]
        self.decoder, self.buckets, self.max_distance = decoder, buckets, max_distance
        self.embed_tokens = embedding
        blocks = []
        for i in range(layers):
            parts = [SelfLayer(d_model, heads, d_kv, None if i else buckets, eps, dropout)]
            parts += [CrossLayer(d_model, heads, d_kv, eps, dropout)] if decoder else []
            blocks.append(nn.ModuleDict({"layer": nn.ModuleList([*parts, FeedForward(d_model, d_ff, gated, eps, dropout)])}))
        self.block = nn.ModuleList(blocks)
        self.final_layer_norm, self.dropout = nn.RMSNorm(d_model, eps=eps), nn.Dropout(dropout)

    def bias(self, t, s):
        """(1, heads, t, s): of the last t of s positions; -infinity where a decoder may not look."""
        table = self.block[0]["layer"][0].SelfAttention.relative_attention_bias
        distance = arange(s)[None, :] - arange(s - t, s)[:, None]
        bias = table(bucket(distance, not self.decoder, self.buckets, self.max_distance)).permute(2, 0, 1)[None]
        return bias.masked_fill(distance > 0, -math.inf) if self.decoder else bias

    def forward(self, idx, mask=None, memory=None, memory_mask=None, cache=None):
        x, t = self.dropout(self.embed_tokens(idx)), idx.shape[1]
        bias = self.bias(t, t + (0 if cache is None else cache.length))
        if mask is not None:
            bias = bias.masked_fill(~mask.to(boolean)[:, None, None, :], -math.inf)  # (N, heads, t, s)
        crossed = None if memory_mask is None else memory_mask.to(boolean)[:, None, None, :]
        for i, block in enumerate(self.block):
            past = None if cache is None else (cache, i)
            x = block["layer"][0](x, bias, past)
            if self.decoder:
                x = block["layer"][1](x, memory, crossed, past)
            x = block["layer"][-1](x)
        return self.dropout(self.final_layer_norm(x))


class T5(nn.Module):
    """Integers (N, S) and decoder inputs (N, T) -> logits (N, T, vocab_size).

    Arguments are named as in a Hugging Face config.json; the defaults are t5-small's, of 60.5 million parameters.
    `shift` makes decoder inputs from labels. Logits are those of the last norm's output times
    d_model^-0.5, if scale_decoder_outputs, which is tie_word_embeddings unless given.
    """

    def __init__(
        self,
        vocab_size=32128,
        d_model=512,
        d_kv=64,
        d_ff=2048,
        num_layers=6,
        num_decoder_layers=None,
        num_heads=8,
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
        dropout_rate=0.1,
        layer_norm_epsilon=1e-6,
        is_gated_act=False,
        tie_word_embeddings=True,
        scale_decoder_outputs=None,
        start=0,
    ):
        super().__init__()
        scaled = tie_word_embeddings if scale_decoder_outputs is None else scale_decoder_outputs
        self.scale, self.start = d_model**-0.5 if scaled else 1.0, start
        self.shared = nn.Embedding(vocab_size, d_model)
        buckets = (relative_attention_num_buckets, relative_attention_max_distance)
        rest = (num_heads, d_kv, d_ff, is_gated_act, *buckets, layer_norm_epsilon, dropout_rate)
        self.encoder = Stack(self.shared, num_layers, False, *rest)
        self.decoder = Stack(self.shared, num_decoder_layers or num_layers, True, *rest)
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)
        if tie_word_embeddings:
            self.lm_head.weight = self.shared.weight
        for path, parameter in self.named_parameters():
            if parameter.ndim == 2:  # variance 1 / inputs (the paper's code), queries' also / d_kv for the missing scale
                fan = 1.0 if path == "shared.weight" else parameter.shape[1] * (d_kv if path.endswith(".q.weight") else 1)
                nn.init.normal_(parameter, std=d_model**-0.5 if path.endswith("bias.weight") else fan**-0.5)

    def forward(self, idx, decoder_input, attention_mask=None):
        """attention_mask (N, S): 0 where idx is padding."""
        return self.decode(decoder_input, self.encode(idx, attention_mask))

    def encode(self, idx, attention_mask=None):
        """What decode reads: (the encoder's output (N, S, d_model), attention_mask)."""
        return self.encoder(idx, attention_mask), attention_mask

    def decode(self, idx, memory, cache=None):
        """Logits (N, T, vocab_size) of what follows each of idx (N, T)."""
        x = self.decoder(idx, None, *memory, cache)
        return self.lm_head(x * self.scale)

    def new_cache(self):
        """An empty cache of the decoder's keys and values, and of the encoder's output's."""
        return DecoderCache(len(self.decoder.block))

    def shift(self, labels):
        """The decoder's inputs for these labels: the start token, then all but the last; -100 becomes the start token."""
        shifted = full_like(labels, self.start)
        shifted[:, 1:] = labels[:, :-1]
        return shifted.masked_fill(shifted == -100, self.start)
