# SPDX-License-Identifier: MIT
"""Losses of distances and similarities between embeddings."""

from __future__ import annotations

from .. import functional as F
from ._base import Loss

__all__ = [
    "ContrastiveLoss",
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "InfoNCELoss",
    "MarginRankingLoss",
    "NTXentLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "TripletSemiHardLoss",
]


class HingeEmbeddingLoss(Loss):
    """input where target is 1, max(0, margin - input) where it is -1."""

    def __init__(self, margin=1.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input, target):
        return F.hinge_embedding_loss(input, target, self.margin, self.reduction)


class MarginRankingLoss(Loss):
    """max(0, -target (input1 - input2) + margin)."""

    def __init__(self, margin=0.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class ContrastiveLoss(Loss):
    """Pairs drawn together, or pushed a margin apart: see `functional.contrastive_loss`."""

    def __init__(self, margin=1.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.contrastive_loss(input1, input2, target, self.margin, self.reduction)


class CosineEmbeddingLoss(Loss):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1."""

    def __init__(self, margin=0.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class TripletMarginLoss(Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin)."""

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class TripletMarginWithDistanceLoss(Loss):
    """TripletMarginLoss with any distance function of two batches of rows."""

    def __init__(self, *, distance_function=None, margin=1.0, swap=False, reduction="mean"):
        super().__init__(reduction)
        self.distance_function, self.margin, self.swap = distance_function, margin, swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletSemiHardLoss(Loss):
    """Triplets mined from a batch and its labels: see `functional.triplet_semihard_loss`."""

    def __init__(self, margin=1.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input, labels):
        return F.triplet_semihard_loss(input, labels, self.margin, self.reduction)


class InfoNCELoss(Loss):
    """Each query's own key among all keys: see `functional.info_nce_loss`."""

    def __init__(self, temperature=0.1, symmetric=False, reduction="mean"):
        super().__init__(reduction)
        self.temperature, self.symmetric = temperature, symmetric

    def forward(self, query, positive_key, negative_keys=None):
        return F.info_nce_loss(query, positive_key, negative_keys, self.temperature, self.symmetric, self.reduction)


class NTXentLoss(Loss):
    """Two views of each example among all views of a batch (SimCLR): see `functional.nt_xent_loss`."""

    def __init__(self, temperature=0.5, reduction="mean"):
        super().__init__(reduction)
        self.temperature = temperature

    def forward(self, input1, input2):
        return F.nt_xent_loss(input1, input2, self.temperature, self.reduction)
