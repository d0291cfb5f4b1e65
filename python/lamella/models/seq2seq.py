# SPDX-License-Identifier: MIT
"""Recurrent encoder-decoders with attention: Bahdanau et al. 2014 (additive, before the step) and Luong et al. 2015
(multiplicative, after the step)."""

from __future__ import annotations

from .. import bmm, cat, nn, stack, tanh
from .. import bool as boolean
from ..nn import functional as F
from .generate import StateCache

__all__ = ["AdditiveAttention", "MultiplicativeAttention", "Seq2Seq"]


def _weigh(scores, mask, values):
    """softmax(scores) values: scores (N, T, S), values (N, S, E) -> (N, T, E) and the weights (N, T, S)."""
    if mask is not None:
        scores = scores.masked_fill(~mask.to(boolean)[:, None, :], float("-inf"))
    weights = F.softmax(scores, -1)
    return bmm(weights, values), weights


class AdditiveAttention(nn.Module):
    """Scores v . tanh(W q + U k) of query (N, T, Q) and memory (N, S, M): the context (N, T, M) and weights (N, T, S)."""

    def __init__(self, query_size, memory_size, hidden_size):
        super().__init__()
        self.query = nn.Linear(query_size, hidden_size, bias=False)
        self.key = nn.Linear(memory_size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, query, memory, mask=None, keys=None):
        """keys: self.key(memory), where it is known already."""
        keys = self.key(memory) if keys is None else keys
        hidden = tanh(self.query(query).unsqueeze(2) + keys.unsqueeze(1))  # (N, T, S, hidden)
        return _weigh(self.score(hidden).squeeze(-1), mask, memory)


class MultiplicativeAttention(nn.Module):
    """Scores q . W k, Luong's "general" form, otherwise as `AdditiveAttention`."""

    def __init__(self, query_size, memory_size):
        super().__init__()
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def forward(self, query, memory, mask=None):
        return _weigh(bmm(query, self.key(memory).transpose(1, 2)), mask, memory)


class Seq2Seq(nn.Module):
    """Integers (N, S) and decoder inputs (N, T), which begin with `start` -> logits (N, T, target_size).

    The encoder is a bidirectional GRU, the decoder a GRU that starts from tanh of the encoder's last states. "bahdanau":
    the state before a step asks for a context, which goes into that step beside the token, so steps come one by one.
    "luong": all steps run first, and each output asks; tanh(W [context; output]) is classified. `models.generate` decodes
    greedily, by sampling or with beams. ValueError for another `attention`.
    """

    def __init__(self, source_size, target_size, embedding_dim=128, hidden_size=128, attention="bahdanau", dropout=0.0,
                 start=0):  # fmt: skip
        super().__init__()
        if attention not in ("bahdanau", "luong"):
            raise ValueError(f"[Seq2Seq] attention must be 'bahdanau' or 'luong', got {attention!r}")
        self.kind, self.start, self.drop = attention, start, nn.Dropout(dropout)
        self.source, self.target = nn.Embedding(source_size, embedding_dim), nn.Embedding(target_size, embedding_dim)
        self.encoder = nn.GRU(embedding_dim, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * hidden_size, hidden_size)
        memory = 2 * hidden_size
        if attention == "bahdanau":
            self.attention = AdditiveAttention(hidden_size, memory, hidden_size)
            self.decoder = nn.GRU(embedding_dim + memory, hidden_size, batch_first=True)
            self.combine = nn.Linear(hidden_size + memory + embedding_dim, hidden_size)
        else:
            self.attention = MultiplicativeAttention(hidden_size, memory)
            self.decoder = nn.GRU(embedding_dim, hidden_size, batch_first=True)
            self.combine = nn.Linear(hidden_size + memory, hidden_size)
        self.head = nn.Linear(hidden_size, target_size)

    def forward(self, idx, decoder_input, attention_mask=None):
        """attention_mask (N, S): 0 where idx has ended."""
        return self.decode(decoder_input, self.encode(idx, attention_mask))

    def encode(self, idx, attention_mask=None):
        """What decode reads: outputs (N, S, 2 hidden), the decoder's first state (N, hidden), attention_mask."""
        x = self.drop(self.source(idx))
        if attention_mask is None:
            y, h = self.encoder(x)
        else:
            lengths = attention_mask.to(boolean).sum(1)
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, h = self.encoder(packed)
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=idx.shape[1])
        return y, tanh(self.bridge(cat([h[0], h[1]], 1))), attention_mask

    def decode(self, idx, memory, cache=None, need_weights=False):
        """Logits (N, T, target_size) of what follows each of idx (N, T); need_weights: also the weights (N, T, S)."""
        outputs, first, mask = memory
        state = first if cache is None or cache.state is None else cache.state  # (N, hidden)
        x = self.drop(self.target(idx))
        if self.kind == "luong":
            y, h = self.decoder(x, state.unsqueeze(0).contiguous())
            context, weights = self.attention(y, outputs, mask)
            parts, state = [y, context], h[0]
        else:
            ys, contexts, each, keys = [], [], [], self.attention.key(outputs)
            for t in range(x.shape[1]):
                context, weights = self.attention(state.unsqueeze(1), outputs, mask, keys)  # (N, 1, 2 hidden)
                y, h = self.decoder(cat([x[:, t : t + 1], context], 2), state.unsqueeze(0).contiguous())
                state = h[0]
                ys.append(y[:, 0])
                contexts.append(context[:, 0])
                each.append(weights[:, 0])
            parts, weights = [stack(ys, 1), stack(contexts, 1), x], stack(each, 1)
        if cache is not None:
            cache.state, cache.length = state, cache.length + idx.shape[1]
        logits = self.head(self.drop(tanh(self.combine(cat(parts, 2)))))
        return (logits, weights) if need_weights else logits

    def new_cache(self):
        """An empty cache of the decoder's state."""
        return StateCache(dim=0)
