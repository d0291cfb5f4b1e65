# SPDX-License-Identifier: MIT
"""Dropout layers: active in training mode only."""

from __future__ import annotations

from ..ops import random
from .module import Module

__all__ = [
    "AlphaDropout",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "StochasticDepth",
]


class _Dropout(Module):
    _function = None

    def __init__(self, p=0.5, inplace=False):
        if not 0 <= p <= 1:
            raise ValueError(f"[{type(self).__name__}] p must be in [0, 1], got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input):
        return type(self)._function(input, self.p, self.training, self.inplace)

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Elements are zeroed with chance p, the others scaled by 1 / (1 - p): see `functional.dropout`."""

    _function = staticmethod(random.dropout)


class Dropout1d(_Dropout):
    """Whole channels of (N, C, L) are zeroed with chance p."""

    _function = staticmethod(random.dropout1d)


class Dropout2d(_Dropout):
    """Whole channels of (N, C, H, W) are zeroed with chance p."""

    _function = staticmethod(random.dropout2d)


class Dropout3d(_Dropout):
    """Whole channels of (N, C, D, H, W) are zeroed with chance p."""

    _function = staticmethod(random.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks, keeping mean and variance: see `functional.alpha_dropout`."""

    _function = staticmethod(random.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (N, C, ...)."""

    _function = staticmethod(random.feature_alpha_dropout)


class StochasticDepth(Module):
    """A residual branch dropped with chance p in training (Huang et al. 2016): all of it (mode "batch"), or each sample by
    itself ("row"). torchvision's name and arguments."""

    def __init__(self, p, mode):
        if not 0 <= p <= 1:
            raise ValueError(f"[StochasticDepth] p must be in [0, 1], got {p}")
        if mode not in ("batch", "row"):
            raise ValueError(f"[StochasticDepth] mode must be 'batch' or 'row', got {mode!r}")
        self.p, self.mode = p, mode

    def forward(self, input):
        return random.stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self):
        return f"p={self.p}, mode={self.mode}"


class DropPath(Module):
    """Stochastic depth by samples under timm's name; without scale_by_keep what is kept is not scaled."""

    def __init__(self, drop_prob=0.0, scale_by_keep=True):
        if not 0 <= drop_prob <= 1:
            raise ValueError(f"[DropPath] drop_prob must be in [0, 1], got {drop_prob}")
        self.drop_prob, self.scale_by_keep = drop_prob, scale_by_keep

    def forward(self, input):
        y = random.stochastic_depth(input, self.drop_prob, "row", self.training)
        return y if self.scale_by_keep or not self.training else y * (1 - self.drop_prob)

    def extra_repr(self):
        return f"drop_prob={self.drop_prob:.3f}"
