# SPDX-License-Identifier: MIT
"""Deep Q-learning."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import functional as F
from ..ops import from_numpy
from ..optim import Adam
from .buffers import ReplayBuffer
from .network_agent import NetworkAgent
from .policies import QNetwork
from .schedules import LinearSchedule, Setting
from .spaces import encode, start, storage


class DQN(NetworkAgent):
    """Q-learning with a network, a replay buffer and a target network (Mnih et al. 2015): Discrete actions, off-policy.

    For transitions drawn from the buffer, Q(s, a) moves towards r + gamma max_a' Q_target(s', a'), without the second term
    where s' is terminal, by the Huber loss. double: a' is the online network's choice, worth what the target network says,
    which takes away most of the maximum's bias (van Hasselt, Guez and Silver 2016).

    exploration: the chance of a random action, a number or a schedule. Every `train_freq` steps come `gradient_steps`
    updates of `batch_size` transitions each, once `learning_starts` steps were made; every `target_update_interval` steps the
    target network is moved to the online one by the share `tau`. policy: a module (N, ...) -> (N, actions) of one's own.

    ValueError for an environment whose actions are not Discrete.
    """

    def __init__(
        self,
        env: Any,
        policy: Any = None,
        *,
        learning_rate: Setting = 1e-3,
        buffer_size: int = 100_000,
        learning_starts: int = 1000,
        batch_size: int = 64,
        gamma: float = 0.99,
        train_freq: int = 4,
        gradient_steps: int = 1,
        target_update_interval: int = 500,
        tau: float = 1.0,
        exploration: Setting = LinearSchedule(1.0, 0.05, 0.1),  # noqa: B008  it is frozen
        double: bool = True,
        dueling: bool = False,
        hidden: Sequence[int] = (64, 64),
        max_grad_norm: float | None = 10.0,
        n_envs: int | None = None,
        vectorization: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._start(locals())
        space = self.envs.observation_space
        self.actions = int(self.envs.action_space.n)
        self._build(policy, lambda: QNetwork(space, self.actions, hidden, dueling), Adam)
        self.target = copy.deepcopy(self.network)
        shape, dtype = storage(space)
        self.buffer = ReplayBuffer(buffer_size, shape, dtype)
        self.updates, self._synced = 0, 0

    @no_grad()
    def _choose(self, observations: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        n, epsilon = len(observations), 0.0 if deterministic else self._at(self.exploration)
        random = rng.random(n) < epsilon if epsilon > 0 else np.zeros(n, bool)
        if random.all():
            return self._to_env(rng.integers(0, self.actions, n))
        actions = self.network(self._inputs(observations)).numpy().argmax(1)
        if random.any():
            actions[random] = rng.integers(0, self.actions, int(random.sum()))
        return self._to_env(actions)

    def _iterate(self) -> dict[str, float]:
        envs, first = self.envs, start(self.envs.action_space)
        for _ in range(max(1, self.train_freq // envs.n)):
            before = self._observations
            actions = self._choose(before, False, self.rng)
            self._observations, rewards, terminated, _, successors = envs.step(actions)
            rows = (before, actions - first, rewards, successors, terminated)
            idle = getattr(envs, "idle", None)
            if idle is not None and idle.any():
                rows = tuple(x[~idle] for x in rows)
            self.buffer.add(*rows)
            self.steps += envs.n
        if self.steps < self.learning_starts:
            return {}
        if self.steps - self._synced >= self.target_update_interval:
            self._synced = self.steps
            self._sync()
        return self._train()

    @no_grad()
    def _sync(self) -> None:
        for ours, theirs in zip(self.target.parameters(), self.network.parameters(), strict=True):
            ours.copy_(theirs) if self.tau == 1 else ours.lerp_(theirs, self.tau)

    def _train(self) -> dict[str, float]:
        n, space, rate = self.batch_size, self.envs.observation_space, self._set_rate()
        drawn = self.buffer.sample(n * self.gradient_steps, self.rng)  # one gather for all updates
        rows = [from_numpy(encode(space, drawn[0])), from_numpy(drawn[1]), *map(from_numpy, (drawn[2], drawn[4]))]
        after = from_numpy(encode(space, drawn[3]))
        with no_grad():  # the target network rests meanwhile
            worth = self.target(after)
            best = None if self.double else worth.max(1).values
        loss = None
        for i in range(0, n * self.gradient_steps, n):
            x, action, reward, done = (r[i : i + n] for r in rows)
            if self.double:
                with no_grad():
                    choice = self.network(after[i : i + n]).argmax(1, keepdim=True)
                    following = worth[i : i + n].gather(1, choice).flatten()
            else:
                following = best[i : i + n]
            value = self.network(x).gather(1, action.unsqueeze(1)).flatten()
            loss = F.td_loss(value, reward, following, done, self.gamma, delta=1.0)
            self._descend(loss)
            self.updates += 1
        return {"loss": loss.item(), "value": value.mean().item(), "epsilon": self._at(self.exploration), "learning_rate": rate}

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "target": self.target.state_dict(),
            "buffer": self.buffer.state_dict(),
            "updates": self.updates,
            "synced": self._synced,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.target.load_state_dict(state["target"])
        self.buffer.load_state_dict(state["buffer"])
        self.updates, self._synced = state["updates"], state["synced"]
