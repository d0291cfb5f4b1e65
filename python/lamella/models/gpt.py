# SPDX-License-Identifier: MIT
"""GPT-2 (Radford et al. 2019): decoder blocks with the norm first, learned positions, tied embeddings.

Parameter names are GPT-2's own, which Hugging Face and nanoGPT share. Linear weights are (out, in), as everywhere here;
Hugging Face's GPT-2 stores those of a block as (in, out): `from_huggingface` turns them.
"""

from __future__ import annotations

import math

from .. import arange, nn, ones
from .. import bool as boolean
from ..nn import functional as F

__all__ = ["GPT", "from_huggingface"]


def visible(t, s, attention_mask=None):
    """(attn_mask, is_causal) for the last t of s positions, each of which sees those before it and itself; attention_mask
    (N, s): 1 or True where there is a token, 0 where there is padding. No mask is made where none is needed."""
    if attention_mask is None and t in (1, s):
        return None, t == s
    mask = ones(t, s, dtype=boolean).tril(s - t)
    if attention_mask is not None:
        mask = mask & attention_mask.to(boolean)[:, None, None, -s:]  # (N, 1, t, s)
    return mask, False


class Attention(nn.Module):
    """Causal self-attention of several heads: (N, T, E) -> (N, T, E)."""

    def __init__(self, n_embd, n_head, dropout, bias):
        super().__init__()
        self.n_head, self.dropout = n_head, dropout
        self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=bias)  # q, k, v
        self.c_proj = nn.Linear(n_embd, n_embd, bias=bias)
        self.resid_dropout = nn.Dropout(dropout)

    def forward(self, x, mask, is_causal, past=None):
        n, t, e = x.shape
        q, k, v = (
            part.reshape(n, t, self.n_head, e // self.n_head).transpose(1, 2) for part in self.c_attn(x).split(e, dim=2)
        )  # (N, heads, T, E / heads)
        if past is not None:
            cache, layer = past
            k, v = cache.update(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0, is_causal)
        return self.resid_dropout(self.c_proj(y.transpose(1, 2).reshape(n, t, e)))


class MLP(nn.Module):
    """(N, T, E) -> (N, T, E) by way of 4 E and GELU, in GPT-2's tanh form."""

    def __init__(self, n_embd, dropout, bias):
        super().__init__()
        self.c_fc = nn.Linear(n_embd, 4 * n_embd, bias=bias)
        self.c_proj = nn.Linear(4 * n_embd, n_embd, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout(self.c_proj(F.gelu(self.c_fc(x), approximate="tanh")))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, n_embd, n_head, dropout, bias):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(n_embd), Attention(n_embd, n_head, dropout, bias)
        self.ln_2, self.mlp = nn.LayerNorm(n_embd), MLP(n_embd, dropout, bias)

    def forward(self, x, mask=None, is_causal=True, past=None):
        x = x + self.attn(self.ln_1(x), mask, is_causal, past)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Embeddings, blocks and the last norm: integers (N, T) -> (N, T, E)."""

    def __init__(self, vocab_size, block_size, n_layer, n_head, n_embd, dropout, bias):
        super().__init__()
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.wpe = nn.Embedding(block_size, n_embd)
        self.drop = nn.Dropout(dropout)
        self.h = nn.ModuleList([Block(n_embd, n_head, dropout, bias) for _ in range(n_layer)])
        self.ln_f = nn.LayerNorm(n_embd)

    def forward(self, idx, cache=None, attention_mask=None):
        start, t = 0 if cache is None else cache.length, idx.shape[1]
        positions = arange(start, start + t)
        if attention_mask is not None:  # (N, start + t): positions count tokens, not padding
            positions = (attention_mask.to(idx.dtype).cumsum(1) - 1).clamp(min=0)[:, start:]
        x = self.drop(self.wte(idx) + self.wpe(positions))
        mask, is_causal = visible(t, start + t, attention_mask)
        for i, block in enumerate(self.h):
            x = block(x, mask, is_causal, None if cache is None else (cache, i))
        return self.ln_f(x)


class GPT(nn.Module):
    """Integers (N, T), T at most block_size, -> logits of the next token (N, T, vocab_size).

    The defaults are GPT-2's smallest, of 124 million parameters. Weights start normal with deviation 0.02, those that
    end a residual branch with 0.02 / sqrt(2 n_layer) (Radford et al. 2019, 2.3). `tied`: lm_head.weight is
    transformer.wte.weight. ValueError unless n_head divides n_embd.
    """

    def __init__(
        self, vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768, dropout=0.0, bias=True, tied=True
    ):
        super().__init__()
        if n_embd % n_head:
            raise ValueError(f"[GPT] n_head must divide n_embd {n_embd}, got {n_head}")
        self.block_size = block_size
        self.transformer = Transformer(vocab_size, block_size, n_layer, n_head, n_embd, dropout, bias)
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        if tied:
            self.lm_head.weight = self.transformer.wte.weight
        for path, parameter in self.named_parameters():
            if path.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                last = path.endswith("c_proj.weight")
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * n_layer) if last else 0.02)

    def forward(self, idx, cache=None, attention_mask=None):
        """`cache`: what `new_cache` gives; keys and values are added to it, and `idx` follows what it holds.
        attention_mask (N, T), with what the cache holds before it: 0 where idx is padding, on either side."""
        return self.lm_head(self.transformer(idx, cache, attention_mask))

    def new_cache(self):
        """An empty key/value cache."""
        return nn.KeyValueCache(len(self.transformer.h))

    def generate(self, idx, max_new_tokens, temperature=1.0, top_k=None, **options):
        """idx (N, T) with max_new_tokens more: see `models.generate`, whose other options are taken too. Each time
        block_size is full, the later half is read anew and goes on."""
        from .generate import generate

        return generate(self, idx, max_new_tokens, temperature=temperature, top_k=top_k, **options)


def from_huggingface(state):
    """The state_dict of Hugging Face's GPT2LMHeadModel, or of its GPT2Model, with this module's names and layout: (in, out)
    weights are transposed, the stored causal masks left out."""
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    prefix = "" if any(name.startswith("transformer.") for name in state) else "transformer."
    return {
        name if name.startswith("lm_head.") else prefix + name: value.T if name.endswith(turned) else value
        for name, value in state.items()
        if not name.endswith((".attn.bias", ".attn.masked_bias"))
    }
