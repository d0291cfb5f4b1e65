# SPDX-License-Identifier: MIT
"""Proximal policy optimisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import functional as F
from ..ops import from_numpy
from ..optim import Adam
from .on_policy import OnPolicy, explained_variance
from .schedules import Setting


class PPO(OnPolicy):
    """Proximal policy optimisation with the clipped objective (Schulman et al. 2017): Discrete or Box actions.

    Every n_steps of all environments, n_epochs passes over them in shuffled minibatches of batch_size. With the ratio
    r = pi(a | s) / pi_old(a | s), the loss is -min(r A, clip(r, 1 - clip_range, 1 + clip_range) A) + vf_coef (V - return)^2
    - ent_coef entropy; A by generalised advantage estimation, of mean 0 and deviation 1 in each minibatch.

    clip_range_vf: also limits how far V moves. target_kl: an update ends early once the mean of r - 1 - log r, an estimate
    of KL(pi_old || pi), exceeds 1.5 of it. The rest as in A2C.
    """

    def __init__(
        self,
        env: Any,
        policy: Any = None,
        *,
        learning_rate: Setting = 3e-4,
        n_steps: int = 128,
        batch_size: int = 256,
        n_epochs: int = 4,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: Setting = 0.2,
        clip_range_vf: float | None = None,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float | None = 0.5,
        target_kl: float | None = None,
        normalize_advantage: bool = True,
        normalize_obs: bool = False,
        normalize_reward: bool = False,
        hidden: Sequence[int] = (64, 64),
        n_envs: int | None = None,
        vectorization: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._prepare(locals(), Adam, eps=1e-5)

    def _iterate(self) -> dict[str, float]:
        rate, clip = self._set_rate(), self._at(self.clip_range)
        rollout = self._rollout()
        with no_grad():
            old = self.network.distribution(rollout.inputs).log_prob(rollout.actions)
        count, figures, kl = len(rollout.values), {}, 0.0
        for epoch in range(self.n_epochs):
            # the order of an epoch is applied once, to whole arrays; minibatches are then slices
            order = self.rng.permutation(count)
            chosen = from_numpy(order)
            inputs, actions, old_log_prob = (x.index_select(0, chosen) for x in (rollout.inputs, rollout.actions, old))
            advantages, returns, values = (x[order] for x in (rollout.advantages, rollout.returns, rollout.values))
            for begin in range(0, count, self.batch_size):
                part = slice(begin, begin + self.batch_size)
                rows = inputs[part], actions[part], old_log_prob[part], advantages[part], returns[part], values[part]
                figures, kl = self._update(*rows, clip, epoch == self.n_epochs - 1 and begin + self.batch_size >= count)
                if self._too_far(kl):
                    break
            if self._too_far(kl):
                break
        explained = explained_variance(rollout.values, rollout.returns)
        return {**figures, "explained_variance": explained, "learning_rate": rate, "clip_range": clip}

    def _update(
        self, inputs: Any, actions: Any, old: Any, advantages: np.ndarray, returns: np.ndarray, values: np.ndarray, clip: float, told: bool
    ) -> tuple[dict[str, float], float]:
        """One step on a minibatch; (figures if told, the estimate of KL if it is needed)."""
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        pi = self.network.distribution(inputs)
        log_prob = pi.log_prob(actions)
        policy_loss = F.ppo_loss(log_prob, old, from_numpy(advantages), clip)
        limit = self.clip_range_vf
        near = {} if limit is None else {"old_value": from_numpy(values), "clip_range": limit}
        value_loss = F.value_loss(self.network.value(inputs), from_numpy(returns), **near)
        entropy = pi.entropy().mean() if self.ent_coef or told else None
        loss = policy_loss + self.vf_coef * value_loss
        loss = loss - self.ent_coef * entropy if self.ent_coef else loss
        kl, figures = 0.0, {}
        if told or self.target_kl is not None:
            shift = (log_prob.detach() - old).numpy().astype(np.float64)
            kl = float(np.mean(np.expm1(shift) - shift))
            figures = {"policy_loss": policy_loss.item(), "value_loss": value_loss.item(), "kl": kl}
            figures["clip_fraction"] = float(np.mean(np.abs(np.expm1(shift)) > clip))
            if entropy is not None:
                figures["entropy"] = entropy.item()
        if not self._too_far(kl):
            self._descend(loss)
        return figures, kl

    def _too_far(self, kl: float) -> bool:
        return self.target_kl is not None and kl > 1.5 * self.target_kl
