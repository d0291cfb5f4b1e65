# SPDX-License-Identifier: MIT
"""Advantage actor-critic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn import functional as F
from ..ops import from_numpy
from ..optim import RMSprop
from .on_policy import OnPolicy, explained_variance
from .schedules import Setting


class A2C(OnPolicy):
    """Advantage actor-critic, in step (Mnih et al. 2016): every n_steps of all environments, one update of the policy by
    -log pi(a | s) A and of the critic by (V - return)^2. Discrete or Box actions.

    The loss is policy + vf_coef value - ent_coef entropy. gae_lambda 1: A is the n-step return less V. policy: an
    ActorCritic of one's own. normalize_obs, normalize_reward: by their running deviations; observations also by their mean.
    """

    def __init__(
        self,
        env: Any,
        policy: Any = None,
        *,
        learning_rate: Setting = 7e-4,
        n_steps: int = 5,
        gamma: float = 0.99,
        gae_lambda: float = 1.0,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float | None = 0.5,
        normalize_advantage: bool = False,
        normalize_obs: bool = False,
        normalize_reward: bool = False,
        hidden: Sequence[int] = (64, 64),
        n_envs: int | None = None,
        vectorization: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._prepare(locals(), RMSprop, alpha=0.99, eps=1e-5)

    def _iterate(self) -> dict[str, float]:
        rate, rollout = self._set_rate(), self._rollout()
        advantages = rollout.advantages
        if self.normalize_advantage:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        pi = self.network.distribution(rollout.inputs)
        policy_loss = F.policy_gradient_loss(pi.log_prob(rollout.actions), from_numpy(advantages))
        value_loss = F.value_loss(self.network.value(rollout.inputs), from_numpy(rollout.returns))
        entropy = pi.entropy().mean()
        self._descend(policy_loss + self.vf_coef * value_loss - self.ent_coef * entropy)
        return {
            "policy_loss": policy_loss.item(),
            "value_loss": value_loss.item(),
            "entropy": entropy.item(),
            "explained_variance": explained_variance(rollout.values, rollout.returns),
            "learning_rate": rate,
        }
