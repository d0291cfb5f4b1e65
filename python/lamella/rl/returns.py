# SPDX-License-Identifier: MIT
"""Returns and advantages of steps laid out (time, environments): NumPy, without a loop over time."""

from __future__ import annotations

import numpy as np


def backward_recurrence(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """y_t = x_t + factor_t y_(t+1), with y = 0 after the end, along axis 0; float64.

    In log2(T) passes (Hillis and Steele 1986): after the pass with offset k, y_t holds the terms of the 2 k steps from t,
    and the factor their product.
    """
    y, c = np.array(x, np.float64), np.array(np.broadcast_to(factor, x.shape), np.float64)
    k = 1
    while k < len(y):
        y[:-k] += c[:-k] * y[k:]  # the right side is evaluated before it is added
        c[:-k] *= c[k:]
        k *= 2
    return y


def discounted_returns(rewards: np.ndarray, ended: np.ndarray, gamma: float = 0.99, tail: np.ndarray | None = None) -> np.ndarray:
    """G_t = r_t + gamma G_(t+1) within an episode: rewards and ended (T, N), ended true at an episode's last step.

    tail (T, N): what is added to the reward where one is cut, gamma V(successor) (zeros: nothing).

    >>> from lamella.rl import discounted_returns
    >>> import numpy as np
    >>> discounted_returns(np.ones((3, 1)), np.array([[0], [0], [1]], bool), gamma=0.5)[:, 0].tolist()
    [1.75, 1.5, 1.0]
    """
    rewards = rewards if tail is None else rewards + tail
    return backward_recurrence(rewards, gamma * ~np.asarray(ended, bool))


def gae(
    rewards: np.ndarray,
    values: np.ndarray,
    next_values: np.ndarray,
    ended: np.ndarray,
    gamma: float = 0.99,
    gae_lambda: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """(advantages, returns) by generalised advantage estimation (Schulman et al. 2016), all (T, N).

    delta_t = r_t + gamma V(s'_t) - V(s_t);  A_t = delta_t + gamma lambda A_(t+1) within an episode;  returns = A + V.

    next_values are of the states the steps led to: 0 where the episode terminated, the value of its last state where it was
    truncated. ended is true for both. gae_lambda 1: returns less values; 0: the one-step difference.
    """
    delta = rewards + gamma * next_values - values
    advantages = backward_recurrence(delta, gamma * gae_lambda * ~np.asarray(ended, bool))
    return advantages, advantages + values
