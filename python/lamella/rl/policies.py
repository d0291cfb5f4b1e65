# SPDX-License-Identifier: MIT
"""The networks agents make for themselves, and what one of a user's own must look like."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn, ops
from ..distributions import Categorical, Independent, Normal
from ..nn import init
from .spaces import features, is_discrete


def mlp(sizes: Sequence[int], activation: Any = nn.Tanh, gain: float | None = None, flatten: bool = False) -> nn.Sequential:
    """Linear layers of these sizes with the activation between; with a gain, orthogonal weights (sqrt(2) in the hidden
    layers, gain in the last) and biases of 0 (Engstrom et al. 2020: what PPO's results rest on)."""
    layers: list[Any] = [nn.Flatten()] if flatten else []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        last = i == len(sizes) - 2
        linear = nn.Linear(a, b)
        if gain is not None:
            init.orthogonal_(linear.weight, gain if last else 2**0.5)
            init.zeros_(linear.bias)
        layers += [linear] if last else [linear, activation()]
    return nn.Sequential(*layers)


def _flat(space: Any) -> bool:
    """Whether observations must be flattened first."""
    return not isinstance(space, int) and not is_discrete(space) and len(space.shape) != 1


class QNetwork(nn.Module):
    """Q(s, .): observations (N, ...) -> (N, actions), an MLP with ReLU (DQN, Mnih et al. 2015).

    dueling: Q = V + A - mean_a A from two heads over the last hidden layer (Wang et al. 2016). observation_space: a space, or
    the length of a vector.
    """

    def __init__(self, observation_space: Any, actions: int, hidden: Sequence[int] = (64, 64), dueling: bool = False) -> None:
        flat = _flat(observation_space)
        sizes = [features(observation_space), *hidden]
        self.dueling = dueling
        if dueling:
            body = mlp(sizes, nn.ReLU, flatten=flat)
            self.body = nn.Sequential(*body, nn.ReLU())
            self.value, self.advantage = nn.Linear(sizes[-1], 1), nn.Linear(sizes[-1], actions)
        else:
            self.net = mlp([*sizes, actions], nn.ReLU, flatten=flat)

    def forward(self, observations):
        if not self.dueling:
            return self.net(observations)
        h = self.body(observations)
        advantage = self.advantage(h)  # (N, actions)
        return self.value(h) + (advantage - advantage.mean(1, keepdim=True))


class ActorCritic(nn.Module):
    """A policy and a value function. actor: observations (N, ...) -> logits (N, n) of Discrete actions, or means (N, d) of
    Box actions, whose deviations e^log_std are one parameter for each; critic: observations -> values (N, 1).

    The two may be any modules: `PPO(env, policy=ActorCritic(my_actor, my_critic))`; box: d, for Box actions.
    """

    def __init__(self, actor: Any, critic: Any, box: int | None = None, log_std: float = 0.0) -> None:
        self.actor, self.critic = actor, critic
        self.log_std = None if box is None else nn.Parameter(ops.full((box,), log_std))

    @classmethod
    def of(
        cls, observation_space: Any, action_space: Any, hidden: Sequence[int] = (64, 64), activation: Any = nn.Tanh, box: bool = False
    ) -> Any:
        """Two MLPs for these spaces; an int stands for a vector of that length, or for as many Discrete actions (with box:
        for a vector of them)."""
        flat, box = _flat(observation_space), box or not (isinstance(action_space, int) or is_discrete(action_space))
        n, body = features(action_space), [features(observation_space), *hidden]
        actor, critic = mlp([*body, n], activation, 0.01, flat), mlp([*body, 1], activation, 1.0, flat)
        return cls(actor, critic, n if box else None)

    def distribution(self, observations):
        """The policy's distribution of actions."""
        out = self.actor(observations)
        if self.log_std is None:
            return Categorical(logits=out)
        return Independent(Normal(out, self.log_std.exp()), 1)

    def value(self, observations):
        """(N, ...) -> (N)."""
        return self.critic(observations).flatten()

    def forward(self, observations):
        return self.actor(observations), self.value(observations)

    def choose(self, observations: Any, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """Actions as NumPy, outside of the graph: the mode, or a draw (the greatest of logits and Gumbel noise: a draw of
        softmax(logits))."""
        out = self.actor(observations).numpy()
        if self.log_std is None:
            return (out if deterministic else out + rng.gumbel(size=out.shape)).argmax(1)
        if deterministic:
            return out
        return (out + np.exp(self.log_std.detach().numpy()) * rng.standard_normal(out.shape)).astype(np.float32)
