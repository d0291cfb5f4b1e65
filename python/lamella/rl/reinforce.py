# SPDX-License-Identifier: MIT
"""Policy gradients from whole episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import functional as F
from ..ops import from_numpy
from ..optim import Adam
from .envs import EnvLoop
from .on_policy import OnPolicy, Rollout, explained_variance
from .returns import discounted_returns
from .schedules import Setting
from .spaces import storage


class REINFORCE(OnPolicy):
    """-log pi(a | s) G, G the discounted return from there to the episode's end (Williams 1992): Discrete or Box actions.

    Every environment plays one episode, from its first step to its last, then comes one update. baseline: a critic V,
    trained by (V - G)^2, is taken off G, which leaves the gradient's expectation and takes away much of its variance; where
    an episode is truncated, V of its last state stands for what was cut off. Without one, G is taken as it is.

    ValueError for a gymnasium.vector.VectorEnv, whose environments cannot be stepped singly.
    """

    def __init__(
        self,
        env: Any,
        policy: Any = None,
        *,
        learning_rate: Setting = 3e-3,
        gamma: float = 0.99,
        baseline: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float | None = 0.5,
        normalize_advantage: bool = True,
        normalize_obs: bool = False,
        hidden: Sequence[int] = (64, 64),
        n_envs: int | None = None,
        vectorization: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._prepare(locals(), Adam)
        if not isinstance(self.envs, EnvLoop):
            raise ValueError(f"[REINFORCE] env must be an id or single environments, got the vector {self.envs.name}")

    @no_grad()
    def _episodes(self) -> Rollout:
        """One episode of every environment, laid out (time, environments), then flattened without what lies beyond the ends.

        Episodes begin together: an environment's next one has begun by itself when its last ended.
        """
        envs, network, n = self.envs, self.network, self.envs.n
        rows, observation = np.arange(n), self._observations
        steps: list[tuple[np.ndarray, ...]] = []
        tails: list[tuple[int, int, np.ndarray]] = []
        while rows.size:
            actions = network.choose(self._inputs(observation), False, self.rng)
            after, rewards, terminated, truncated, successors = envs.step(self._to_env(actions), rows)
            ended = terminated | truncated
            tails += [(len(steps), int(rows[i]), successors[i]) for i in np.flatnonzero(truncated & ~terminated)]
            steps.append((rows, observation, actions, rewards, ended))
            rows, observation = rows[~ended], after[~ended]
        self._observations = envs.observations.copy()
        rewards, ended = np.zeros((len(steps), n)), np.ones((len(steps), n), bool)
        played, tail = np.zeros((len(steps), n), bool), np.zeros((len(steps), n))
        for t, (chosen, _, _, reward, end) in enumerate(steps):
            rewards[t, chosen], ended[t, chosen], played[t, chosen] = reward, end, True
        inputs = self._inputs(np.concatenate([step[1] for step in steps]))
        values = np.zeros(len(inputs), np.float32)
        if self.baseline:
            values = network.value(inputs).numpy()
            if tails:
                last = network.value(self._inputs(np.array([o for _, _, o in tails]))).numpy()
                for (t, i, _), value in zip(tails, last, strict=True):
                    tail[t, i] = self.gamma * value
        returns = discounted_returns(rewards, ended, self.gamma, tail)[played].astype(np.float32)
        actions = np.concatenate([step[2] for step in steps]).astype(storage(envs.action_space)[1], copy=False)
        self.steps += len(returns)
        if self.normalize_obs:
            self.obs_stats.update(np.concatenate([step[1] for step in steps]))
        return Rollout(inputs, from_numpy(actions), values, returns - values, returns)

    def _iterate(self) -> dict[str, float]:
        rate, rollout = self._set_rate(), self._episodes()
        advantages = rollout.advantages
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        pi = self.network.distribution(rollout.inputs)
        policy_loss = F.policy_gradient_loss(pi.log_prob(rollout.actions), from_numpy(advantages))
        entropy = pi.entropy().mean()
        loss = policy_loss - self.ent_coef * entropy if self.ent_coef else policy_loss
        figures = {"policy_loss": policy_loss.item(), "entropy": entropy.item(), "learning_rate": rate}
        if self.baseline:
            value_loss = F.value_loss(self.network.value(rollout.inputs), from_numpy(rollout.returns))
            loss = loss + self.vf_coef * value_loss
            explained = explained_variance(rollout.values, rollout.returns)
            figures |= {"value_loss": value_loss.item(), "explained_variance": explained}
        self._descend(loss)
        return figures
