# SPDX-License-Identifier: MIT
"""A recurrent language model."""

from __future__ import annotations

from .. import nn

__all__ = ["LSTMLanguageModel"]


class LSTMLanguageModel(nn.Module):
    """Embedding, LSTM layers, logits: integers (N, T) -> (N, T, vocab_size) and the state (h, c), each (layers, N, hidden).

    Parameter names are those of PyTorch's word_language_model example: encoder, rnn, decoder. `tied`: the decoder's
    weight is the encoder's (Press and Wolf 2017), which needs embedding_dim = hidden_size (ValueError).
    """

    def __init__(self, vocab_size, embedding_dim=256, hidden_size=256, num_layers=2, dropout=0.0, tied=False):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocab_size, embedding_dim)
        self.rnn = nn.LSTM(embedding_dim, hidden_size, num_layers, batch_first=True, dropout=dropout)
        self.decoder = nn.Linear(hidden_size, vocab_size)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        if tied:
            if embedding_dim != hidden_size:
                raise ValueError(
                    f"[LSTMLanguageModel] embedding_dim must be hidden_size where tied, got {embedding_dim} and {hidden_size}"
                )
            self.decoder.weight = self.encoder.weight

    def forward(self, idx, state=None):
        y, state = self.rnn(self.drop(self.encoder(idx)), state)
        return self.decoder(self.drop(y)), state
