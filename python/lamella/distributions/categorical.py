# SPDX-License-Identifier: MIT
"""Categorical: one of k classes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from .. import ops
from ..autograd import no_grad
from ..nn import functional as F
from .distribution import Distribution

__all__ = ["Categorical"]


class Categorical(Distribution):
    """A class in 0 .. k - 1 with probabilities `probs` (..., k), scaled to sum to 1, or softmax(`logits`).

    >>> from lamella.distributions import Categorical
    >>> p = Categorical(logits=lamella.zeros(3, 4))
    >>> p.log_prob(lamella.tensor([0, 1, 2])).exp().tolist()
    [0.25, 0.25, 0.25]
    """

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("[Categorical] one of probs and logits must be given, got both or neither")
        given = logits if probs is None else probs
        if given.ndim < 1:
            raise ValueError("[Categorical] parameters must have at least one dimension, got a scalar")
        # log_prob and logits work from the logits as given: cross-entropy normalises them in the same pass
        self._logits = logits if probs is None else ops.log(probs / probs.sum(-1, keepdim=True))
        super().__init__(given.shape[:-1])

    @cached_property
    def logits(self) -> Any:
        """Log-probabilities."""
        return F.log_softmax(self._logits, -1)

    @cached_property
    def probs(self) -> Any:
        """Probabilities."""
        return F.softmax(self._logits, -1)

    @property
    def mode(self) -> Any:
        """The most probable class."""
        return self._logits.argmax(-1)

    @no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Any:
        """Classes, int64."""
        shape = self._extended(sample_shape)
        rows = self.probs.reshape(-1, self._logits.shape[-1])
        count = 1
        for n in shape[: len(shape) - len(self.batch_shape)]:
            count *= n
        if rows.shape[0] == 0 or count == 0:
            return ops.zeros(shape, dtype=ops.argmax(self._logits).dtype)
        return ops.multinomial(rows, count, True).t().reshape(shape)

    def log_prob(self, value: Any) -> Any:
        """log p(value) for classes that broadcast against the batch shape: minus the cross-entropy, one fused kernel."""
        shape = ops.broadcast_shapes(tuple(value.shape), self.batch_shape)
        k = self._logits.shape[-1]
        logits = self._logits if shape == self.batch_shape else self._logits.expand(*shape, k)
        value = value if tuple(value.shape) == shape else value.expand(shape)
        return -F.cross_entropy(logits.reshape(-1, k), value.reshape(-1), reduction="none").reshape(shape)

    def entropy(self) -> Any:
        """-sum p log p, in nats; classes of probability 0 count nothing."""
        return -(self.probs * self.logits.clamp(min=-3.4e38)).sum(-1)
