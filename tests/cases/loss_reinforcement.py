# SPDX-License-Identifier: MIT
"""Losses of policies and of value functions."""

import numpy as np

import lamella.ops as ops
from case import A, B, Bad, Case, S

from .loss import each_reduction, huber, reduced, x, y


def ppo(log_prob, old, advantage, clip_range=0.2):
    r = np.exp(log_prob - old)
    return -np.minimum(r * advantage, np.clip(r, 1 - clip_range, 1 + clip_range) * advantage)


def value(v, returns, old=None, clip_range=None):
    loss = (v - returns) ** 2
    return loss if clip_range is None else np.maximum(loss, (old + np.clip(v - old, -clip_range, clip_range) - returns) ** 2)


def td(v, reward, following, done, discount=0.99, delta=None):
    target = reward + discount * (1 - done) * following
    return (v - target) ** 2 if delta is None else huber(v, target, delta)


V, FIXED = A((9,)), A((9,), grad=False)

CASES = [
    Case(
        "policy_gradient_loss",
        ops.policy_gradient_loss,
        reduced(lambda p, a: -p * a),
        each_reduction(V, FIXED),
        bad=[Bad(lambda: ops.policy_gradient_loss(x, y), ValueError, "advantage must have input's shape (3, 4), got (3, 1)")],
    ),
    Case(
        "ppo_loss",
        ops.ppo_loss,
        reduced(ppo),
        [*each_reduction(V, FIXED, FIXED), S(V, FIXED, FIXED, clip_range=0.5)],
        tol={"float32": 1e-5},
        bad=[
            Bad(lambda: ops.ppo_loss(x, y, x), ValueError, "[ppo_loss] old_log_prob must have input's shape"),
            Bad(lambda: ops.ppo_loss(x, x, y), ValueError, "[ppo_loss] advantage must have input's shape"),
            Bad(lambda: ops.ppo_loss(x, x, x, -1), ValueError, "clip_range must not be negative, got -1"),
        ],
    ),
    Case(
        "value_loss",
        ops.value_loss,
        reduced(value),
        [*each_reduction(V, FIXED), *each_reduction(V, FIXED, FIXED, clip_range=0.3)],
        bad=[
            Bad(lambda: ops.value_loss(x, y), ValueError, "[value_loss] returns must have input's shape"),
            Bad(lambda: ops.value_loss(x, x, clip_range=0.2), ValueError, "old_value must be given with clip_range, got None"),
        ],
    ),
    Case(
        "td_loss",
        ops.td_loss,
        reduced(td),
        [*each_reduction(V, FIXED, FIXED, B((9,))), S(V, FIXED, FIXED, B((9,)), discount=0.5, delta=0.7)],
        bad=[
            Bad(lambda: ops.td_loss(x, x, x, y), ValueError, "[td_loss] done must have input's shape"),
            Bad(lambda: ops.td_loss(x, x, x, x, delta=0), ValueError, "delta must be positive, got 0"),
        ],
    ),
]
