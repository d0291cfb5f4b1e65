# SPDX-License-Identifier: MIT
"""BERT (Devlin et al. 2018) with Hugging Face's parameter names: the encoder, its two pre-training tasks and heads for
fine-tuning."""

from __future__ import annotations

from .. import arange, nn, rand, randint, tanh, where, zeros, zeros_like
from .. import bool as boolean
from ..nn import functional as F

__all__ = ["Bert", "BertForPreTraining", "BertForSequenceClassification", "BertForTokenClassification", "mask_tokens"]

_EPS = 1e-12


class Embeddings(nn.Module):
    """norm(word + position + segment): integers (N, T), segments (N, T) -> (N, T, E)."""

    def __init__(self, vocab_size, hidden, positions, types, dropout):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, hidden, padding_idx=0)
        self.position_embeddings = nn.Embedding(positions, hidden)
        self.token_type_embeddings = nn.Embedding(types, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, idx, segments):
        x = self.word_embeddings(idx) + self.position_embeddings(arange(idx.shape[1])) + self.token_type_embeddings(segments)
        return self.dropout(self.LayerNorm(x))


class SelfAttention(nn.Module):
    """(N, T, E) -> the heads side by side (N, T, E); mask (N, 1, 1, T) or None."""

    def __init__(self, hidden, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)

    def forward(self, x, mask):
        n, t, e = x.shape
        q, k, v = (
            f(x).reshape(n, t, self.heads, e // self.heads).transpose(1, 2) for f in (self.query, self.key, self.value)
        )  # (N, heads, T, E / heads)
        y = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0)
        return y.transpose(1, 2).reshape(n, t, e)


class Output(nn.Module):
    """norm(dense(y) + x)."""

    def __init__(self, inner, hidden, dropout):
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(inner, hidden), nn.LayerNorm(hidden, eps=_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, y, x):
        return self.LayerNorm(self.dropout(self.dense(y)) + x)


class Attention(nn.Module):
    """Self-attention, then `Output`."""

    def __init__(self, hidden, heads, dropout):
        super().__init__()
        self.self, self.output = SelfAttention(hidden, heads, dropout), Output(hidden, hidden, dropout)

    def forward(self, x, mask):
        return self.output(self.self(x, mask), x)


class Layer(nn.Module):
    """Attention, then gelu of a wider layer: (N, T, E) -> (N, T, E)."""

    def __init__(self, hidden, heads, intermediate, dropout):
        super().__init__()
        self.attention = Attention(hidden, heads, dropout)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(hidden, intermediate)})
        self.output = Output(intermediate, hidden, dropout)

    def forward(self, x, mask):
        x = self.attention(x, mask)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """Integers (N, T) -> all tokens (N, T, hidden_size) and the pooled first one, tanh(dense(token 0)) (N, hidden_size).

    Arguments are named as in a Hugging Face config.json; the defaults are bert-base-uncased's, of 109.5 million parameters.
    Matrices start normal with deviation 0.02. `pooler=False`: without the pooled token, None then. ValueError unless
    num_attention_heads divides hidden_size.
    """

    def __init__(
        self,
        vocab_size=30522,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=512,
        type_vocab_size=2,
        dropout=0.1,
        pooler=True,
    ):
        super().__init__()
        if hidden_size % num_attention_heads:
            raise ValueError(f"[Bert] num_attention_heads must divide hidden_size {hidden_size}, got {num_attention_heads}")
        self.hidden_size, self.vocab_size = hidden_size, vocab_size
        self.embeddings = Embeddings(vocab_size, hidden_size, max_position_embeddings, type_vocab_size, dropout)
        layers = [Layer(hidden_size, num_attention_heads, intermediate_size, dropout) for _ in range(num_hidden_layers)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(hidden_size, hidden_size)}) if pooler else None
        _start(self)

    def forward(self, idx, attention_mask=None, token_type_ids=None):
        """attention_mask (N, T): 0 where idx is padding; token_type_ids (N, T): the segment, 0 or 1, of each token."""
        x = self.embeddings(idx, zeros_like(idx) if token_type_ids is None else token_type_ids)
        mask = None if attention_mask is None else attention_mask.to(boolean)[:, None, None, :]
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        return x, None if self.pooler is None else tanh(self.pooler["dense"](x[:, 0]))


def _start(model):
    """BERT's starting values."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


# ---- heads -----------------------------------------------------------------------------------------------------------
class PredictionHead(nn.Module):
    """Logits of the word at each place: (N, T, E) -> (N, T, vocab_size); `words` (vocab_size, E) is the embeddings' table."""

    def __init__(self, hidden, words):
        super().__init__()
        self.transform = nn.ModuleDict({"dense": nn.Linear(hidden, hidden), "LayerNorm": nn.LayerNorm(hidden, eps=_EPS)})
        self.decoder = nn.Linear(hidden, words.shape[0])
        self.decoder.weight = words
        self.bias = self.decoder.bias  # Hugging Face stores it under both names

    def forward(self, x):
        x = self.transform["LayerNorm"](F.gelu(self.transform["dense"](x)))
        return self.decoder(x)


class BertForPreTraining(nn.Module):
    """Integers (N, T) -> logits of masked words (N, T, vocab_size) and of whether the second sentence is not the one that
    followed (N, 2). Options are those of `Bert`."""

    def __init__(self, **options):
        super().__init__()
        self.bert = Bert(**options)
        words = self.bert.embeddings.word_embeddings.weight
        head = PredictionHead(self.bert.hidden_size, words)
        self.cls = nn.ModuleDict({"predictions": head, "seq_relationship": nn.Linear(self.bert.hidden_size, 2)})
        _start(self.cls)

    def forward(self, idx, attention_mask=None, token_type_ids=None):
        x, pooled = self.bert(idx, attention_mask, token_type_ids)
        return self.cls["predictions"](x), self.cls["seq_relationship"](pooled)

    def loss(self, idx, labels, is_random_next, attention_mask=None, token_type_ids=None):
        """The sum of both tasks' cross-entropies; labels (N, T) are -100 where nothing is to be predicted, and
        is_random_next (N) is 0 where the second sentence follows the first, else 1."""
        words, order = self(idx, attention_mask, token_type_ids)
        return F.cross_entropy(words.flatten(0, 1), labels.flatten()) + F.cross_entropy(order, is_random_next)


class BertForSequenceClassification(nn.Module):
    """Integers (N, T) -> (N, num_labels), from the pooled token. Options are those of `Bert`."""

    def __init__(self, num_labels=2, **options):
        super().__init__()
        self.bert = Bert(**options)
        self.dropout = nn.Dropout(options.get("dropout", 0.1))
        self.classifier = nn.Linear(self.bert.hidden_size, num_labels)
        _start(self.classifier)

    def forward(self, idx, attention_mask=None, token_type_ids=None):
        return self.classifier(self.dropout(self.bert(idx, attention_mask, token_type_ids)[1]))


class BertForTokenClassification(nn.Module):
    """Integers (N, T) -> a label of every token (N, T, num_labels). Options are those of `Bert`."""

    def __init__(self, num_labels=2, **options):
        super().__init__()
        self.bert = Bert(**{"pooler": False, **options})
        self.dropout = nn.Dropout(options.get("dropout", 0.1))
        self.classifier = nn.Linear(self.bert.hidden_size, num_labels)
        _start(self.classifier)

    def forward(self, idx, attention_mask=None, token_type_ids=None):
        return self.classifier(self.dropout(self.bert(idx, attention_mask, token_type_ids)[0]))


def mask_tokens(idx, mask_token, vocab_size, probability=0.15, special=(0,)):
    """(inputs, labels) of the masked language model: of the tokens chosen with that probability, 80 % become mask_token,
    10 % a random word and 10 % stay; labels are -100 elsewhere. Tokens of `special` are never chosen."""
    if not 0 <= probability <= 1:
        raise ValueError(f"[mask_tokens] probability must be in [0, 1], got {probability}")
    kept = zeros(idx.shape, dtype=boolean)
    for token in special:
        kept = kept | (idx == token)
    chosen = (rand(idx.shape) < probability) & ~kept
    how = rand(idx.shape)
    changed = where(how < 0.8, mask_token, where(how < 0.9, randint(0, vocab_size, idx.shape), idx))
    return where(chosen, changed, idx), where(chosen, idx, -100)


def from_huggingface(state):
    """A state_dict of Hugging Face's with these names: old checkpoints say gamma and beta and store position_ids; a bare
    BertModel's names get no prefix here, since `Bert` has none."""
    ends = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    renamed = {}
    for name, value in state.items():
        for old, new in ends.items():
            name = name.replace(old, new)
        if not name.endswith("position_ids"):
            renamed[name] = value
    return renamed
