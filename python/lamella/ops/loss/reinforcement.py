# SPDX-License-Identifier: MIT
"""Losses of policies and of value functions; what is estimated elsewhere (advantages, returns) gets no gradient."""

from __future__ import annotations

from ..elementwise import clamp, exp, maximum, minimum, square
from ._common import check_reduction, pointwise, reduce, same_shape
from .unfused import huber, mse

__all__ = ["policy_gradient_loss", "ppo_loss", "td_loss", "value_loss"]


def policy_gradient_loss(log_prob, advantage, reduction="mean"):
    """-log_prob advantage: log_prob of the actions taken, advantage what they were worth (return, or return less a
    baseline) (REINFORCE, Williams 1992)."""
    same_shape("policy_gradient_loss", log_prob, advantage, "advantage")
    return reduce("policy_gradient_loss", -(log_prob * advantage.detach()), reduction)


def ppo_loss(log_prob, old_log_prob, advantage, clip_range=0.2, reduction="mean"):
    """-min(r advantage, clamp(r, 1 - clip_range, 1 + clip_range) advantage), r = e^(log_prob - old_log_prob) (Schulman et
    al. 2017). ValueError for a negative clip_range."""
    op = "ppo_loss"
    same_shape(op, log_prob, old_log_prob, "old_log_prob")
    same_shape(op, log_prob, advantage, "advantage")
    if clip_range < 0:
        raise ValueError(f"[{op}] clip_range must not be negative, got {clip_range}")
    advantage, ratio = advantage.detach(), exp(log_prob - old_log_prob.detach())
    return reduce(op, -minimum(ratio * advantage, clamp(ratio, 1 - clip_range, 1 + clip_range) * advantage), reduction)


def value_loss(value, returns, old_value=None, clip_range=None, reduction="mean"):
    """(value - returns)^2. With old_value and clip_range: the greater of that and the same of value kept within clip_range
    of old_value (as PPO's authors do)."""
    op = "value_loss"
    same_shape(op, value, returns, "returns")
    returns = returns.detach()
    if clip_range is None:
        return pointwise(op, "mse", mse, value, returns, reduction)
    if old_value is None:
        raise ValueError(f"[{op}] old_value must be given with clip_range, got None")
    same_shape(op, value, old_value, "old_value")
    check_reduction(op, reduction)
    old = old_value.detach()
    near = old + clamp(value - old, -clip_range, clip_range)
    return reduce(op, maximum(square(value - returns), square(near - returns)), reduction)


def td_loss(value, reward, next_value, done, discount=0.99, delta=None, reduction="mean"):
    """The squared temporal difference (reward + discount (1 - done) next_value - value)^2; no gradient goes to next_value
    (Sutton 1988; Q-learning, where next_value is the greatest over actions). delta: huber_loss with it instead (DQN).

    value, reward, next_value, done: one shape; done is bool or 0 and 1, true where the episode ended.
    """
    op = "td_loss"
    for name, x in (("reward", reward), ("next_value", next_value), ("done", done)):
        same_shape(op, value, x, name)
    if delta is not None and delta <= 0:
        raise ValueError(f"[{op}] delta must be positive, got {delta}")
    target = reward + discount * ((1 - done.to(value.dtype)) * next_value.detach())
    if delta is None:
        return pointwise(op, "mse", mse, value, target.detach(), reduction)
    return pointwise(op, "huber", huber, value, target.detach(), reduction, float(delta))
