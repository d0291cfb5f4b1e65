# SPDX-License-Identifier: MIT
"""What agents with a network share: its making from the seed, the optimiser, saving."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import optim
from ..autograd import no_grad
from ..nn.utils import clip_grad_norm_
from ..ops import from_numpy
from ..ops.random import fork_rng, manual_seed
from .agent import Agent
from .normalize import RunningMeanStd
from .spaces import encode, is_discrete, storage


class NetworkAgent(Agent):
    """Holds `network` and `optimizer`."""

    network: Any
    normalize_obs = False

    def _build(self, policy: Any, make_network: Any, optimizer: Any, **options: Any) -> None:
        """policy, or a network made from the agent's seed, and its optimiser."""
        with fork_rng():
            manual_seed(self.seed)
            self.network = make_network() if policy is None else policy
        self.optimizer: optim.Optimizer = optimizer(self.network.parameters(), lr=self._at(self.learning_rate), **options)
        self.obs_stats = RunningMeanStd(storage(self.envs.observation_space)[0])
        if self.normalize_obs and is_discrete(self.envs.observation_space):
            raise ValueError(f"[{type(self).__name__}] env must have Box observations for normalize_obs, got {self.envs.name}")

    def _inputs(self, observations: np.ndarray) -> Any:
        """Observations (N, ...) as the network's input."""
        if self.normalize_obs:
            return from_numpy(self.obs_stats.normalize(observations))
        return from_numpy(encode(self.envs.observation_space, observations))

    def _descend(self, loss: Any) -> None:
        """One step of the optimiser, gradients clipped."""
        self.optimizer.zero_grad()
        loss.backward()
        if self.max_grad_norm is not None:
            clip_grad_norm_(self._parameters(), self.max_grad_norm)
        self.optimizer.step()

    def _parameters(self) -> list[Any]:
        return self.optimizer.param_groups[0]["params"]

    def _set_rate(self) -> float:
        rate = self._at(self.learning_rate)
        self.optimizer.param_groups[0]["lr"] = rate
        return rate

    def weights(self) -> dict[str, Any]:
        """What acting needs: the network's state and the statistics of observations."""
        return {"network": self.network.state_dict(), "obs_stats": self.obs_stats.state_dict()}

    @no_grad()
    def load_weights(self, weights: dict[str, Any]) -> None:
        """Takes over what `weights()` gave."""
        self.network.load_state_dict(weights["network"])
        self.obs_stats.load_state_dict(weights["obs_stats"])

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), **self.weights(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.load_weights(state)
        self.optimizer.load_state_dict(state["optimizer"])
        super().load_state_dict(state)
