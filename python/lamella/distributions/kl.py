# SPDX-License-Identifier: MIT
"""Kullback-Leibler divergences in closed form."""

from __future__ import annotations

from typing import Any

from .. import ops
from .categorical import Categorical
from .distribution import Distribution, Independent
from .normal import Normal

__all__ = ["kl_divergence"]


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """KL(p || q) = E_p[log p - log q], in nats, for two of one kind. TypeError for pairs without a closed form here.

    Categorical: sum p (log p - log q). Normal: log(s_q / s_p) + (s_p^2 + (m_p - m_q)^2) / (2 s_q^2) - 1/2.
    """
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        terms = p.probs * (p.logits - q.logits)
        return ops.where(p.probs == 0, ops.zeros_like(terms), terms).sum(-1)  # 0 log 0 = 0
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale).square()
        return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())
    if isinstance(p, Independent) and isinstance(q, Independent):
        if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
            raise ValueError(
                f"[kl_divergence] events must have one shape, got {p.event_shape} and {q.event_shape}"
            )
        return p._sum(kl_divergence(p.base_dist, q.base_dist))
    raise TypeError(f"[kl_divergence] p and q must be of one kind, got {type(p).__name__} and {type(q).__name__}")
