# SPDX-License-Identifier: MIT
"""Losses of probabilities, scores and labels."""

from __future__ import annotations

from .. import functional as F
from ._base import Loss, WeightedLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CrossEntropyLoss",
    "DistillationLoss",
    "FocalLoss",
    "HingeLoss",
    "KLDivLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "SigmoidFocalLoss",
    "SoftMarginLoss",
    "SquaredHingeLoss",
]


# ---- probabilities --------------------------------------------------------------------------------------------------
class BCELoss(WeightedLoss):
    """-(t log p + (1 - t) log(1 - p)) of probabilities p: see `functional.binary_cross_entropy`."""

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(WeightedLoss):
    """Binary cross-entropy of logits, stable for any size: see `functional.binary_cross_entropy_with_logits`."""

    def __init__(self, weight=None, reduction="mean", pos_weight=None):
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class CrossEntropyLoss(WeightedLoss):
    """-log softmax(input)[target], fused: see `functional.cross_entropy`."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        super().__init__(weight, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(WeightedLoss):
    """-input[target] of log-probabilities: see `functional.nll_loss`."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class KLDivLoss(Loss):
    """target (log target - input): see `functional.kl_div`; reduction may also be batchmean."""

    reductions = ("none", "mean", "sum", "batchmean")

    def __init__(self, reduction="mean", log_target=False):
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input, target):
        return F.kl_div(input, target, self.reduction, self.log_target)


class CTCLoss(Loss):
    """Labels of a sequence without their places in it: see `functional.ctc_loss`."""

    def __init__(self, blank=0, reduction="mean", zero_infinity=False):
        super().__init__(reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs, targets, input_lengths, target_lengths):
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


class DistillationLoss(Loss):
    """A teacher's softened probabilities as targets: see `functional.distillation_loss`."""

    def __init__(self, temperature=2.0, alpha=0.5, reduction="mean"):
        super().__init__(reduction)
        self.temperature, self.alpha = temperature, alpha

    def forward(self, input, teacher, target=None):
        return F.distillation_loss(input, teacher, target, self.temperature, self.alpha, self.reduction)

    def extra_repr(self):
        return f"temperature={self.temperature}, alpha={self.alpha}"


class FocalLoss(WeightedLoss):
    """Cross-entropy that well classified examples hardly count in: see `functional.focal_loss`."""

    def __init__(self, weight=None, gamma=2.0, ignore_index=-100, reduction="mean"):
        super().__init__(weight, reduction)
        self.gamma, self.ignore_index = gamma, ignore_index

    def forward(self, input, target):
        return F.focal_loss(input, target, self.weight, self.gamma, self.ignore_index, self.reduction)

    def extra_repr(self):
        return f"gamma={self.gamma}"


class SigmoidFocalLoss(Loss):
    """Focal loss of binary logits: see `functional.sigmoid_focal_loss`."""

    def __init__(self, alpha=0.25, gamma=2.0, reduction="mean"):
        super().__init__(reduction)
        self.alpha, self.gamma = alpha, gamma

    def forward(self, input, target):
        return F.sigmoid_focal_loss(input, target, self.alpha, self.gamma, self.reduction)

    def extra_repr(self):
        return f"alpha={self.alpha}, gamma={self.gamma}"


# ---- margins --------------------------------------------------------------------------------------------------------
class HingeLoss(Loss):
    """max(0, 1 - target input), target -1 or 1."""

    def forward(self, input, target):
        return F.hinge_loss(input, target, reduction=self.reduction)


class SquaredHingeLoss(Loss):
    """max(0, 1 - target input)^2, target -1 or 1."""

    def forward(self, input, target):
        return F.squared_hinge_loss(input, target, self.reduction)


class SoftMarginLoss(Loss):
    """log(1 + e^(-target input)), target -1 or 1."""

    def forward(self, input, target):
        return F.soft_margin_loss(input, target, self.reduction)


class MultiMarginLoss(WeightedLoss):
    """Every other class's score a margin below the target's: see `functional.multi_margin_loss`."""

    def __init__(self, p=1, margin=1.0, weight=None, reduction="mean"):
        super().__init__(weight, reduction)
        self.p, self.margin = p, margin

    def forward(self, input, target):
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)


class MultiLabelMarginLoss(Loss):
    """The same with several targets: see `functional.multilabel_margin_loss`."""

    def forward(self, input, target):
        return F.multilabel_margin_loss(input, target, self.reduction)


class MultiLabelSoftMarginLoss(WeightedLoss):
    """Binary cross-entropy of logits, averaged over classes: see `functional.multilabel_soft_margin_loss`."""

    def forward(self, input, target):
        return F.multilabel_soft_margin_loss(input, target, self.weight, self.reduction)
