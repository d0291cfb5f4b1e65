# SPDX-License-Identifier: MIT
"""Losses of images and of masks."""

from __future__ import annotations

from .. import functional as F
from ._base import Loss

__all__ = ["DiceLoss", "PerceptualLoss", "SSIMLoss", "StyleLoss", "TotalVariationLoss"]


class DiceLoss(Loss):
    """1 - overlap of masks: see `functional.dice_loss`."""

    def __init__(self, smooth=1.0, reduction="mean"):
        super().__init__(reduction)
        self.smooth = smooth

    def forward(self, input, target):
        return F.dice_loss(input, target, self.smooth, self.reduction)


class SSIMLoss(Loss):
    """1 - structural similarity: see `functional.ssim`."""

    def __init__(self, data_range=1.0, kernel_size=11, sigma=1.5, k1=0.01, k2=0.03, reduction="mean"):
        super().__init__(reduction)
        self.data_range, self.kernel_size, self.sigma, self.k1, self.k2 = data_range, kernel_size, sigma, k1, k2

    def forward(self, input, target):
        return F.ssim_loss(
            input, target, self.data_range, self.kernel_size, self.sigma, self.k1, self.k2, self.reduction
        )


class TotalVariationLoss(Loss):
    """|differences| between neighbours, summed over each image: see `functional.total_variation_loss`."""

    def forward(self, input):
        return F.total_variation_loss(input, self.reduction)


class PerceptualLoss(Loss):
    """Squared differences in the features of a network, which is not trained: see `functional.perceptual_loss`.

    features: a function, or a Module, which becomes a submodule.
    """

    def __init__(self, features, weights=None, reduction="mean"):
        super().__init__(reduction)
        self.features, self.weights = features, weights

    def forward(self, input, target):
        return F.perceptual_loss(input, target, self.features, self.weights, self.reduction)


class StyleLoss(PerceptualLoss):
    """The same between Gram matrices of the features: see `functional.style_loss`."""

    def forward(self, input, target):
        return F.style_loss(input, target, self.features, self.weights, self.reduction)
