# SPDX-License-Identifier: MIT
"""Recurrent models of text: language models, classifiers and taggers."""

from __future__ import annotations

from .. import arange, cat, nn
from .. import bool as boolean

__all__ = ["LSTMLanguageModel", "RecurrentClassifier", "RecurrentLanguageModel", "RecurrentTagger"]

_CELLS = ("RNN", "LSTM", "GRU")


def _cell(owner, name):
    if name not in _CELLS:
        raise ValueError(f"[{owner}] cell must be one of {', '.join(_CELLS)}, got {name!r}")
    return getattr(nn, name)


class RecurrentLanguageModel(nn.Module):
    """Embedding, recurrent layers, logits: integers (N, T) -> (N, T, vocab_size) and the state: h, of LSTM (h, c), each
    (layers, N, hidden).

    Parameter names are those of PyTorch's word_language_model example: encoder, rnn, decoder. `tied`: the decoder's
    weight is the encoder's (Press and Wolf 2017), which needs embedding_dim = hidden_size (ValueError).
    """

    def __init__(self, vocab_size, embedding_dim=256, hidden_size=256, num_layers=2, dropout=0.0, tied=False, cell="LSTM"):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocab_size, embedding_dim)
        made = _cell(type(self).__name__, cell)
        self.rnn = made(embedding_dim, hidden_size, num_layers, batch_first=True, dropout=dropout)
        self.decoder = nn.Linear(hidden_size, vocab_size)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        if tied:
            if embedding_dim != hidden_size:
                name = type(self).__name__
                raise ValueError(
                    f"[{name}] embedding_dim must be hidden_size where tied, got {embedding_dim} and {hidden_size}"
                )
            self.decoder.weight = self.encoder.weight

    def forward(self, idx, state=None):
        y, state = self.rnn(self.drop(self.encoder(idx)), state)
        return self.decoder(self.drop(y)), state

    def generate(self, idx, max_new_tokens, **options):
        """idx (N, T) with max_new_tokens more: see `models.generate`, whose options are taken."""
        from .generate import generate

        return generate(_Stepper(self), idx, max_new_tokens, **options)


class LSTMLanguageModel(RecurrentLanguageModel):
    """`RecurrentLanguageModel` with LSTM layers."""


class _Stepper:
    """A recurrent language model as `generate` calls it."""

    def __init__(self, model):
        self.model = model

    def new_cache(self):
        from .generate import StateCache

        return StateCache()

    def __call__(self, idx, cache, attention_mask):
        if attention_mask is not None:
            raise ValueError("[generate] prompt must have one length for a recurrent model, got padding")
        logits, cache.state = self.model(idx, cache.state)
        cache.length += idx.shape[1]
        return logits


class RecurrentClassifier(nn.Module):
    """Integers (N, T) -> (N, classes). `pool`: "last", of the last state of each direction of the last layer, or the "mean"
    or "max" over the last layer's outputs, which learns from far fewer texts.

    `lengths` (N), if given, says how much of each row counts: the rest is not read. Dropout is on the embeddings, between
    layers, and before the head. ValueError for another `pool`.
    """

    def __init__(self, vocab_size, classes=2, embedding_dim=128, hidden_size=128, num_layers=1, bidirectional=False,
                 dropout=0.0, cell="LSTM", pool="last"):  # fmt: skip
        super().__init__()
        if pool not in ("last", "mean", "max"):
            raise ValueError(f"[RecurrentClassifier] pool must be 'last', 'mean' or 'max', got {pool!r}")
        self.embedding, self.pool = nn.Embedding(vocab_size, embedding_dim), pool
        self.sides = 2 if bidirectional else 1
        options = {"batch_first": True, "bidirectional": bidirectional, "dropout": dropout if num_layers > 1 else 0.0}
        self.rnn = _cell("RecurrentClassifier", cell)(embedding_dim, hidden_size, num_layers, **options)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(self.sides * hidden_size, classes)

    def forward(self, idx, lengths=None):
        x = self.drop(self.embedding(idx))
        if lengths is not None:
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, state = self.rnn(x)
        if self.pool == "last":
            h = state[0] if isinstance(state, tuple) else state  # (layers * sides, N, hidden)
            return self.head(self.drop(cat([h[i] for i in range(-self.sides, 0)], 1)))
        if lengths is not None:
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=idx.shape[1])
        return self.head(self.drop(self._pooled(y, lengths)))

    def _pooled(self, y, lengths):
        """(N, T, sides * hidden), zeros behind each row's end -> (N, sides * hidden)."""
        if self.pool == "mean":
            return y.mean(1) if lengths is None else y.sum(1) / lengths.unsqueeze(1).to(y.dtype)
        if lengths is not None:
            y = y.masked_fill((arange(y.shape[1])[None, :] >= lengths[:, None]).unsqueeze(2), float("-inf"))
        return y.amax(1)


class RecurrentTagger(nn.Module):
    """A label for every token, seen from both sides (Graves and Schmidhuber 2005): integers (N, T) -> (N, T, tags).

    `attention_mask` (N, T), if given, is 0 where a row has ended: padding is not read, and its logits are the head's bias.
    """

    def __init__(self, vocab_size, tags, embedding_dim=128, hidden_size=128, num_layers=1, dropout=0.0, cell="LSTM"):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        options = {"batch_first": True, "bidirectional": True, "dropout": dropout}
        self.rnn = _cell("RecurrentTagger", cell)(embedding_dim, hidden_size, num_layers, **options)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden_size, tags)

    def forward(self, idx, attention_mask=None):
        x = self.drop(self.embedding(idx))
        if attention_mask is None:
            return self.head(self.drop(self.rnn(x)[0]))
        lengths = attention_mask.to(boolean).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=idx.shape[1])
        return self.head(self.drop(y))
