# SPDX-License-Identifier: MIT
"""Losses of policies and of value functions."""

from __future__ import annotations

from .. import functional as F
from ._base import Loss

__all__ = ["PPOLoss", "PolicyGradientLoss", "TDLoss", "ValueLoss"]


class PolicyGradientLoss(Loss):
    """-log_prob advantage (REINFORCE): see `functional.policy_gradient_loss`."""

    def forward(self, log_prob, advantage):
        return F.policy_gradient_loss(log_prob, advantage, self.reduction)


class PPOLoss(Loss):
    """The clipped surrogate of proximal policy optimisation: see `functional.ppo_loss`."""

    def __init__(self, clip_range=0.2, reduction="mean"):
        super().__init__(reduction)
        self.clip_range = clip_range

    def forward(self, log_prob, old_log_prob, advantage):
        return F.ppo_loss(log_prob, old_log_prob, advantage, self.clip_range, self.reduction)


class ValueLoss(Loss):
    """(value - returns)^2, clipped as PPO's where clip_range is given: see `functional.value_loss`."""

    def __init__(self, clip_range=None, reduction="mean"):
        super().__init__(reduction)
        self.clip_range = clip_range

    def forward(self, value, returns, old_value=None):
        return F.value_loss(value, returns, old_value, self.clip_range, self.reduction)


class TDLoss(Loss):
    """The squared temporal difference: see `functional.td_loss`."""

    def __init__(self, discount=0.99, delta=None, reduction="mean"):
        super().__init__(reduction)
        self.discount, self.delta = discount, delta

    def forward(self, value, reward, next_value, done):
        return F.td_loss(value, reward, next_value, done, self.discount, self.delta, self.reduction)
