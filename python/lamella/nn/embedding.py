# SPDX-License-Identifier: MIT
"""Embedding tables."""

from __future__ import annotations

from ..autograd import no_grad
from ..ops import creation, index, index_bag
from . import init
from .module import Module
from .parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    def _setup(self, num_embeddings, embedding_dim, padding_idx, weight, device, dtype):
        op = type(self).__name__
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"[{op}] padding_idx must be in [{-num_embeddings}, {num_embeddings}), got {padding_idx}")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        if weight is None:
            self.weight = Parameter(creation.empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
            self.reset_parameters()
        elif tuple(weight.shape) != (num_embeddings, embedding_dim):
            raise ValueError(f"[{op}] _weight must have shape {(num_embeddings, embedding_dim)}, got {tuple(weight.shape)}")
        else:
            self.weight = Parameter(weight)

    def reset_parameters(self):
        """Draws the starting values again: normal, the padding row zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].zero_()

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, *args, **kwargs):
        """A layer with the given (num_embeddings, embedding_dim) table; not trained if `freeze`. The rest as in __init__."""
        layer = cls(*embeddings.shape, *args, _weight=embeddings, **kwargs)
        layer.weight.requires_grad_(not freeze)
        return layer

    def _shown(self, **defaults):
        named = [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return ", ".join([f"{self.num_embeddings}, {self.embedding_dim}", *named])


class Embedding(_Table):
    """A table: integers (...) -> rows (..., embedding_dim) of weight (num_embeddings, embedding_dim), normal at the start.

    The row `padding_idx` starts at zero and takes no gradient; max_norm, norm_type, scale_grad_by_freq, sparse: see
    `functional.embedding`. IndexError for indices outside the table.
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
        _weight=None,
        _freeze=False,
        device=None,
        dtype=None,
    ):
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self._setup(num_embeddings, embedding_dim, padding_idx, _weight, device, dtype)
        if _freeze:
            self.weight.requires_grad_(False)

    def forward(self, input):
        return index.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self):
        return self._shown(padding_idx=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, sparse=False)


class EmbeddingBag(_Table):
    """Sums, means or maxima of rows of a table, (bags, embedding_dim): see `functional.embedding_bag`.

    forward(input (bags, n)), or forward(input (count), offsets (bags)), with per_sample_weights of input's shape where
    mode is "sum".
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        mode="mean",
        sparse=False,
        _weight=None,
        include_last_offset=False,
        padding_idx=None,
        device=None,
        dtype=None,
    ):
        self.max_norm, self.norm_type, self.mode = max_norm, norm_type, mode
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.include_last_offset = include_last_offset
        self._setup(num_embeddings, embedding_dim, padding_idx, _weight, device, dtype)

    def forward(self, input, offsets=None, per_sample_weights=None):
        return index_bag.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self):
        shown = self._shown(max_norm=None, norm_type=2, scale_grad_by_freq=False)
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{shown}, mode={self.mode!r}{padding}"
