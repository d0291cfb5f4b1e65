# SPDX-License-Identifier: MIT
"""What A2C and PPO share: a rollout of n steps from every environment, its values, advantages and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..ops import from_numpy
from .network_agent import NetworkAgent
from .normalize import RunningMeanStd
from .policies import ActorCritic
from .returns import backward_recurrence, gae
from .spaces import features, is_discrete, storage


@dataclass
class Rollout:
    """Steps in one long row, ready to learn from: time by environments, flattened, without idle ones."""

    inputs: Any  # (M, ...) what the network reads
    actions: Any  # (M) int64 or (M, d) float32
    values: np.ndarray  # (M) float32, V before the update
    advantages: np.ndarray
    returns: np.ndarray


class OnPolicy(NetworkAgent):
    """The rollout is acted with the actor alone; values of all its states are computed afterwards in one batch."""

    _actions_kinds = ("Discrete", "Box")
    _n_envs = 8
    normalize_reward = False

    def _prepare(self, arguments: dict[str, Any], optimizer: Any, **options: Any) -> None:
        self._start(arguments)
        spaces = self.envs.observation_space, self.envs.action_space
        self._build(arguments["policy"], lambda: ActorCritic.of(*spaces, self.hidden), optimizer, **options)
        box = storage(spaces[1])[0]
        if (self.network.log_std is None) != (not box) or (box and len(box) != 1):
            kind = f"Box actions of shape ({len(self.network.log_std)},)" if self.network.log_std is not None else "Discrete actions"
            raise ValueError(f"[{type(self).__name__}] policy must be for {spaces[1]}, got one for {kind}")
        self.reward_stats = RunningMeanStd()
        self._discounted = np.zeros(self.envs.n)  # the running discounted return of every environment

    def network_sizes(self) -> dict[str, Any]:
        """What ActorCritic.of must be given to make this network again, where the agent made it; box: of Box actions."""
        spaces = self.envs.observation_space, self.envs.action_space
        box = not is_discrete(spaces[1])
        sizes = {"observation_space": features(spaces[0]), "action_space": features(spaces[1])}
        return {**sizes, "hidden": list(self.hidden), "box": box}

    @no_grad()
    def _choose(self, observations: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        return self._to_env(self.network.choose(self._inputs(observations), deterministic, rng))

    @no_grad()
    def _rollout(self) -> Rollout:
        """n_steps of every environment; truncated episodes are worth what the critic says of their last state."""
        envs, network, steps, n = self.envs, self.network, self.n_steps, self.envs.n
        shape, dtype = storage(envs.observation_space)
        action_shape, action_dtype = storage(envs.action_space)
        observations = np.empty((steps + 1, n, *shape), dtype)
        actions = np.empty((steps, n, *action_shape), action_dtype)
        rewards, terminated, ended = np.empty((steps, n)), np.empty((steps, n), bool), np.empty((steps, n), bool)
        idle = np.zeros((steps, n), bool)
        cut: list[tuple[int, int, np.ndarray]] = []  # (t, environment, last observation) of truncated episodes
        observation = self._observations
        for t in range(steps):
            observations[t] = observation
            actions[t] = chosen = network.choose(self._inputs(observation), False, self.rng)
            observation, rewards[t], terminated[t], truncated, successors = envs.step(self._to_env(chosen))
            ended[t] = terminated[t] | truncated
            if truncated.any():
                cut += [(t, i, successors[i]) for i in np.flatnonzero(truncated & ~terminated[t])]
            if getattr(envs, "idle", None) is not None:
                idle[t] = envs.idle
        observations[steps] = self._observations = observation
        self.steps += steps * n
        lasts = [last for _, _, last in cut]
        states = np.concatenate([observations.reshape(-1, *shape), np.array(lasts, dtype).reshape(-1, *shape)])
        inputs = self._inputs(states)
        values = network.value(inputs).numpy().astype(np.float64)
        after = values[(steps + 1) * n :]
        values = values[: (steps + 1) * n].reshape(steps + 1, n)
        following = np.where(ended, 0.0, values[1:])
        for (t, i, _), value in zip(cut, after, strict=True):
            following[t, i] = value
        if self.normalize_reward:
            rewards = self._scaled(rewards, ended)
        advantages, returns = gae(rewards, values[:-1], following, ended, self.gamma, self.gae_lambda)
        rollout = Rollout(
            inputs[: steps * n],
            from_numpy(actions.reshape(-1, *action_shape)),
            *(x.reshape(-1).astype(np.float32) for x in (values[:-1], advantages, returns)),
        )
        if self.normalize_obs:
            self.obs_stats.update(observations[:-1].reshape(-1, *shape))
        if idle.any():
            kept = np.flatnonzero(~idle.reshape(-1))
            rollout = Rollout(*(x[from_numpy(kept)] if not isinstance(x, np.ndarray) else x[kept] for x in vars(rollout).values()))
        return rollout

    def _scaled(self, rewards: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """Rewards over the deviation of the running discounted return R_t = gamma R_(t-1) + r_t (0 before an episode)."""
        begins = np.concatenate([np.zeros_like(ended[:1]), ended[:-1]])
        factor, first = self.gamma * ~begins, rewards.copy()
        first[0] += self.gamma * self._discounted
        running = backward_recurrence(first[::-1], factor[::-1])[::-1]
        self.reward_stats.update(running.reshape(-1))
        self._discounted = np.where(ended[-1], 0.0, running[-1])
        return self.reward_stats.scale(rewards)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "reward_stats": self.reward_stats.state_dict(), "discounted": self._discounted}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.reward_stats.load_state_dict(state["reward_stats"])
        if len(state["discounted"]) == self.envs.n:
            self._discounted = np.array(state["discounted"])


def explained_variance(values: np.ndarray, returns: np.ndarray) -> float:
    """1 - Var(returns - values) / Var(returns): 1 for a perfect critic, 0 for a constant one."""
    spread = float(np.var(returns))
    return 1 - float(np.var(returns - values)) / spread if spread > 0 else 0.0
