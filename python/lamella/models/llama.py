# SPDX-License-Identifier: MIT
"""Llama (Touvron et al. 2023) with Hugging Face's parameter names: RMS norm first, rotary positions, SwiGLU, and fewer
heads of keys and values than of queries (Ainslie et al. 2023)."""

from __future__ import annotations

from .. import nn
from ..nn import functional as F
from .gpt import visible

__all__ = ["Llama"]


class Attention(nn.Module):
    """Causal self-attention with grouped queries: (N, T, E) -> (N, T, E)."""

    def __init__(self, hidden, heads, kv_heads, head_dim, bias):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.q_proj = nn.Linear(hidden, heads * head_dim, bias=bias)
        self.k_proj = nn.Linear(hidden, kv_heads * head_dim, bias=bias)
        self.v_proj = nn.Linear(hidden, kv_heads * head_dim, bias=bias)
        self.o_proj = nn.Linear(heads * head_dim, hidden, bias=bias)

    def forward(self, x, rotary, mask, is_causal, past):
        n, t, _ = x.shape
        q = self.q_proj(x).reshape(n, t, self.heads, self.head_dim).transpose(1, 2)  # (N, heads, T, D)
        k = self.k_proj(x).reshape(n, t, self.kv_heads, self.head_dim).transpose(1, 2)  # (N, kv_heads, T, D)
        v = self.v_proj(x).reshape(n, t, self.kv_heads, self.head_dim).transpose(1, 2)
        start = 0 if past is None else past[2]
        q, k = rotary(q, start), rotary(k, start)
        if past is not None:
            cache, layer, _ = past
            k, v = cache.update(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, mask, 0.0, is_causal, enable_gqa=self.heads != self.kv_heads)
        return self.o_proj(y.transpose(1, 2).reshape(n, t, -1))


class SwiGLU(nn.Module):
    """down(silu(gate(x)) up(x)) (Shazeer 2020): (N, T, E) -> (N, T, E)."""

    def __init__(self, hidden, intermediate):
        super().__init__()
        self.gate_proj = nn.Linear(hidden, intermediate, bias=False)
        self.up_proj = nn.Linear(hidden, intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, hidden, intermediate, heads, kv_heads, head_dim, eps, bias):
        super().__init__()
        self.self_attn = Attention(hidden, heads, kv_heads, head_dim, bias)
        self.mlp = SwiGLU(hidden, intermediate)
        self.input_layernorm = nn.RMSNorm(hidden, eps=eps)
        self.post_attention_layernorm = nn.RMSNorm(hidden, eps=eps)

    def forward(self, x, rotary, mask=None, is_causal=True, past=None):
        x = x + self.self_attn(self.input_layernorm(x), rotary, mask, is_causal, past)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedding, blocks and the last norm: integers (N, T) -> (N, T, E)."""

    def __init__(self, vocab_size, hidden, intermediate, layers, heads, kv_heads, head_dim, eps, base, bias):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, hidden)
        blocks = [Block(hidden, intermediate, heads, kv_heads, head_dim, eps, bias) for _ in range(layers)]
        self.layers = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(hidden, eps=eps)
        self.rotary = nn.RotaryEmbedding(head_dim, base)

    def forward(self, idx, cache=None, attention_mask=None):
        start, t = 0 if cache is None else cache.length, idx.shape[1]
        mask, is_causal = visible(t, start + t, attention_mask)
        x = self.embed_tokens(idx)
        for i, block in enumerate(self.layers):
            x = block(x, self.rotary, mask, is_causal, None if cache is None else (cache, i, start))
        return self.norm(x)


class Llama(nn.Module):
    """Integers (N, T) -> logits of the next token (N, T, vocab_size).

    Arguments are named as in a Hugging Face config.json; the defaults are TinyLlama's, of 1.1 billion parameters. Weights
    start normal with deviation 0.02. ValueError unless num_key_value_heads divides num_attention_heads, and those
    hidden_size where no head_dim is given. Rotary positions are relative, so padding in front shifts nothing.
    """

    def __init__(
        self,
        vocab_size=32000,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        head_dim=None,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
        attention_bias=False,
        tie_word_embeddings=False,
    ):
        super().__init__()
        heads, kv_heads = num_attention_heads, num_key_value_heads or num_attention_heads
        if head_dim is None and hidden_size % heads:
            raise ValueError(f"[Llama] num_attention_heads must divide hidden_size {hidden_size}, got {heads}")
        if heads % kv_heads:
            raise ValueError(f"[Llama] num_key_value_heads must divide num_attention_heads {heads}, got {kv_heads}")
        self.model = Decoder(
            vocab_size, hidden_size, intermediate_size, num_hidden_layers, heads, kv_heads,
            head_dim or hidden_size // heads, rms_norm_eps, rope_theta, attention_bias,
        )  # fmt: skip
        self.lm_head = nn.Linear(hidden_size, vocab_size, bias=False)
        if tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
        for path, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
            elif path.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, idx, cache=None, attention_mask=None):
        """`cache`: what `new_cache` gives; `idx` follows what it holds. attention_mask (N, T), with what the cache holds
        before it: 0 where idx is padding."""
        return self.lm_head(self.model(idx, cache, attention_mask))

    def new_cache(self):
        """An empty key/value cache."""
        return nn.KeyValueCache(len(self.model.layers))
