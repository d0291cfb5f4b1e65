# SPDX-License-Identifier: MIT
"""The Transformer of "Attention is all you need" (Vaswani et al. 2017), for translation."""

from __future__ import annotations

import math

from .. import bool as boolean
from .. import nn
from ..nn import functional as F
from .generate import DecoderCache
from .gpt import visible

__all__ = ["TranslationTransformer"]


class TranslationTransformer(nn.Module):
    """Integers (N, S) and decoder inputs (N, T), which begin with `start` -> logits (N, T, target_size).

    Sinusoidal positions, embeddings times sqrt(d_model), norms last (norm_first: first); the defaults are the paper's
    base model. `share`: one table for source, target and logits, which needs equal sizes (ValueError). Parameter names
    below `transformer` are those of torch.nn.Transformer. `models.generate` decodes, with keys and values kept.
    """

    def __init__(
        self,
        source_size,
        target_size,
        d_model=512,
        nhead=8,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dim_feedforward=2048,
        dropout=0.1,
        norm_first=False,
        share=False,
        start=0,
        max_len=5000,
    ):
        super().__init__()
        if share and source_size != target_size:
            raise ValueError(f"[TranslationTransformer] share needs equal sizes, got {source_size} and {target_size}")
        self.start, self.d_model = start, d_model
        self.source = nn.Embedding(source_size, d_model)
        self.target = self.source if share else nn.Embedding(target_size, d_model)
        self.position = nn.SinusoidalPositionalEncoding(d_model, max_len, dropout, batch_first=True)
        self.transformer = nn.Transformer(
            d_model, nhead, num_encoder_layers, num_decoder_layers, dim_feedforward, dropout,
            batch_first=True, norm_first=norm_first,
        )  # fmt: skip
        self.head = nn.Linear(d_model, target_size)
        for table in (self.source, self.target):
            nn.init.normal_(table.weight, std=d_model**-0.5)
        if share:
            self.head.weight = self.target.weight

    def forward(self, idx, decoder_input, attention_mask=None):
        """attention_mask (N, S): 0 where idx is padding."""
        return self.decode(decoder_input, self.encode(idx, attention_mask))

    def _embed(self, table, idx, offset=0):
        return self.position(table(idx) * math.sqrt(self.d_model), offset)

    def encode(self, idx, attention_mask=None):
        """What decode reads: (the encoder's output (N, S, d_model), attention_mask)."""
        padding = None if attention_mask is None else ~attention_mask.to(boolean)
        return self.transformer.encoder(self._embed(self.source, idx), src_key_padding_mask=padding), attention_mask

    def decode(self, idx, memory, cache=None):
        """Logits (N, T, target_size) of what follows each of idx (N, T)."""
        start, t = 0 if cache is None else cache.length, idx.shape[1]
        memory, mask = memory
        crossed = None if mask is None else mask.to(boolean)[:, None, None, :]  # (N, 1, 1, S)
        causal = visible(t, start + t)
        x = self._embed(self.target, idx, start)
        for i, layer in enumerate(self.transformer.decoder.layers):
            past = None if cache is None else (cache, i)
            x = _decoder_layer(layer, x, memory, causal, crossed, past)
        return self.head(self.transformer.decoder.norm(x))

    def new_cache(self):
        """An empty cache of the decoder's keys and values, and of the encoder's output's."""
        return DecoderCache(len(self.transformer.decoder.layers))


def _decoder_layer(layer, x, memory, causal, crossed, past):
    """nn.TransformerDecoderLayer's forward, with keys and values kept."""

    def own(y):
        q, k, v = (_heads(part, layer.self_attn) for part in F.linear(y, *_weights(layer.self_attn, 0, 3)).chunk(3, -1))
        if past is not None:
            k, v = past[0].update(past[1], k, v)
        return layer.dropout1(_attend(layer.self_attn, q, k, v, *causal))

    def keys():
        parts = F.linear(memory, *_weights(layer.multihead_attn, 1, 3)).chunk(2, -1)
        return tuple(_heads(part, layer.multihead_attn) for part in parts)

    def other(y):
        k, v = keys() if past is None else past[0].crossed(past[1], keys)
        q = _heads(F.linear(y, *_weights(layer.multihead_attn, 0, 1)), layer.multihead_attn)
        return layer.dropout2(_attend(layer.multihead_attn, q, k, v, crossed, False))

    def forward(y):
        return layer.dropout3(layer.linear2(layer.dropout(layer.activation(layer.linear1(y)))))

    for norm, part in ((layer.norm1, own), (layer.norm2, other), (layer.norm3, forward)):
        x = x + part(norm(x)) if layer.norm_first else norm(x + part(x))
    return x


def _weights(attention, first, last):
    """Weight and bias of the projections first .. last - 1 of query, key and value."""
    e = attention.embed_dim
    return attention.in_proj_weight[first * e : last * e], attention.in_proj_bias[first * e : last * e]


def _heads(x, attention):
    return x.reshape(x.shape[0], x.shape[1], attention.num_heads, -1).transpose(1, 2)  # (N, heads, T, E / heads)


def _attend(attention, q, k, v, mask, is_causal):
    p = attention.dropout if attention.training else 0.0
    y = F.scaled_dot_product_attention(q, k, v, mask, p, is_causal)
    return attention.out_proj(y.transpose(1, 2).reshape(q.shape[0], q.shape[2], attention.embed_dim))
