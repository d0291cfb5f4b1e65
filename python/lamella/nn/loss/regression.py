# SPDX-License-Identifier: MIT
"""Losses of real numbers."""

from __future__ import annotations

from .. import functional as F
from ._base import Loss

__all__ = [
    "GaussianNLLLoss",
    "HuberLoss",
    "L1Loss",
    "LogCoshLoss",
    "MSELoss",
    "PoissonNLLLoss",
    "QuantileLoss",
    "SmoothL1Loss",
]


class MSELoss(Loss):
    """(input - target)^2: see `functional.mse_loss`."""

    def forward(self, input, target):
        return F.mse_loss(input, target, self.reduction)


class L1Loss(Loss):
    """|input - target|."""

    def forward(self, input, target):
        return F.l1_loss(input, target, self.reduction)


class SmoothL1Loss(Loss):
    """d^2 / (2 beta) below beta, else |d| - beta / 2."""

    def __init__(self, reduction="mean", beta=1.0):
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """d^2 / 2 below delta, else delta (|d| - delta / 2) (Huber 1964)."""

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input, target):
        return F.huber_loss(input, target, self.reduction, self.delta)


class LogCoshLoss(Loss):
    """log(cosh(input - target)): see `functional.log_cosh_loss`."""

    def forward(self, input, target):
        return F.log_cosh_loss(input, target, self.reduction)


class QuantileLoss(Loss):
    """Least where input is the q-quantile of target: see `functional.quantile_loss`."""

    def __init__(self, q=0.5, reduction="mean"):
        super().__init__(reduction)
        self.q = q

    def forward(self, input, target):
        return F.quantile_loss(input, target, self.q, self.reduction)

    def extra_repr(self):
        return f"q={self.q}"


class PoissonNLLLoss(Loss):
    """exp(input) - target input: see `functional.poisson_nll_loss`."""

    def __init__(self, log_input=True, full=False, eps=1e-8, reduction="mean"):
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input, target):
        return F.poisson_nll_loss(log_input, target, self.log_input, self.full, self.eps, self.reduction)


class GaussianNLLLoss(Loss):
    """(log var + (input - target)^2 / var) / 2."""

    def __init__(self, *, full=False, eps=1e-6, reduction="mean"):
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input, target, var):
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
