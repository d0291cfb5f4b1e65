# SPDX-License-Identifier: MIT
"""Tables of action values: Q-learning and SARSA, for Discrete observations and actions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .agent import Agent
from .envs import EnvLoop
from .schedules import LinearSchedule, Setting
from .spaces import start


class _Tabular(Agent):
    """Q as rows of Python numbers while learning: a step touches two rows, for which NumPy is the slower."""

    _observations_kinds = ("Discrete",)

    def _open(self, arguments: dict[str, Any]) -> None:
        self._start(arguments)
        op = type(self).__name__
        if not isinstance(self.envs, EnvLoop) or self.envs.n != 1:
            raise ValueError(f"[{op}] env must be one environment, got {self.envs.n} of {self.envs.name}")
        self._first = start(self.envs.observation_space), start(self.envs.action_space)
        self._table = [[float(self.initial)] * int(self.envs.action_space.n) for _ in range(int(self.envs.observation_space.n))]
        self._next: int | None = None  # SARSA: the action that was chosen for the next step

    @property
    def q(self) -> np.ndarray:
        """Q(s, a), (states, actions)."""
        return np.array(self._table)

    @property
    def policy(self) -> np.ndarray:
        """The greedy action of every state."""
        return self.q.argmax(1)

    def _choose(self, observations: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        epsilon = 0.0 if deterministic else self._at(self.epsilon)
        rows = self._table
        chosen = [rows[s - self._first[0]] for s in observations.tolist()]
        actions = np.array([row.index(max(row)) for row in chosen])
        random = rng.random(len(actions)) < epsilon
        return self._to_env(np.where(random, rng.integers(0, len(rows[0]), len(actions)), actions))

    def _explore(self, state: int, epsilon: float) -> int:
        """Epsilon-greedy; among equals a random one, without which an empty table leads nowhere."""
        row = self._table[state]
        u = self._uniform()
        if u < epsilon:
            return int(u / epsilon * len(row))
        best = max(row)
        if row.count(best) == 1:
            return row.index(best)
        ties = [a for a, value in enumerate(row) if value == best]
        return ties[int(self._uniform() * len(ties))]

    def _uniform(self) -> float:
        if not self._drawn:
            self._drawn = self.rng.random(256).tolist()
        return self._drawn.pop()

    def _iterate(self) -> dict[str, float]:
        envs, rows, (s0, a0) = self.envs, self._table, self._first
        self._drawn: list[float] = []
        state, error, count = int(self._observations[0]) - s0, 0.0, 100
        epsilon, alpha, gamma = self._at(self.epsilon), self._at(self.learning_rate), self.gamma
        for _ in range(count):
            action = self._explore(state, epsilon) if self._next is None else self._next
            after, goal, terminated, truncated, successor = envs.advance(0, action + a0)
            self._next = None
            if not terminated:
                goal += gamma * self._worth(int(successor) - s0, epsilon)
                if truncated:
                    self._next = None  # it was for the state the episode was cut at
            difference = goal - rows[state][action]
            rows[state][action] += alpha * difference
            error += abs(difference)
            state = int(after) - s0
        self.steps += count
        envs.observations[0] = after
        self._observations = envs.observations.copy()
        return {"td_error": error / count, "epsilon": epsilon, "learning_rate": alpha}

    def _worth(self, state: int, epsilon: float) -> float:
        raise TypeError(f"[{type(self).__name__}] _worth must be defined by the subclass")

    def weights(self) -> np.ndarray:
        """The table."""
        return self.q

    def load_weights(self, weights: np.ndarray) -> None:
        """Takes over a table. ValueError for one of another size."""
        if weights.shape != self.q.shape:
            raise ValueError(f"[{type(self).__name__}] table must have shape {self.q.shape}, got {weights.shape}")
        self._table = weights.tolist()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "q": self.q, "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.load_weights(state["q"])
        super().load_state_dict(state)
        self._next = state["next"]


class QLearning(_Tabular):
    """Q(s, a) += learning_rate (r + gamma max_a' Q(s', a') - Q(s, a)) (Watkins 1989): off-policy, it learns what the greedy
    policy is worth while it walks epsilon-greedily. The second term is left out where s' is terminal.

    learning_rate, epsilon: numbers or schedules. initial: where the table starts; above what can be earned, every action is
    tried. ValueError for an environment whose observations or actions are not Discrete.
    """

    def __init__(
        self,
        env: Any,
        *,
        learning_rate: Setting = 0.1,
        gamma: float = 0.99,
        epsilon: Setting = LinearSchedule(1.0, 0.05, 0.8),  # noqa: B008  it is frozen
        initial: float = 0.0,
        n_envs: int | None = None,
        vectorization: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._open(locals())

    def _worth(self, state: int, epsilon: float) -> float:
        return max(self._table[state])


class SARSA(_Tabular):
    """Q(s, a) += learning_rate (r + gamma Q(s', a') - Q(s, a)), a' the action taken next (Rummery and Niranjan 1994):
    on-policy, it learns what its own epsilon-greedy walk is worth, and so keeps away from where a random step is dear.

    expected: the mean of Q(s', .) under the policy in place of a' (van Seijen et al. 2009), of the same expectation with
    less noise. Else as QLearning.
    """

    def __init__(
        self,
        env: Any,
        *,
        learning_rate: Setting = 0.1,
        gamma: float = 0.99,
        epsilon: Setting = LinearSchedule(1.0, 0.05, 0.8),  # noqa: B008  it is frozen
        initial: float = 0.0,
        expected: bool = False,
        n_envs: int | None = None,
        vectorization: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._open(locals())

    def _worth(self, state: int, epsilon: float) -> float:
        row = self._table[state]
        if self.expected:
            return (1 - epsilon) * max(row) + epsilon * sum(row) / len(row)
        self._next = self._explore(state, epsilon)
        return row[self._next]


# ---- models of environments ------------------------------------------------------------------------------------------
def _model(env: Any) -> tuple[np.ndarray, np.ndarray]:
    """(p (S, A, S), expected rewards (S, A)) of an environment that tells its model: env.unwrapped.P[s][a] =
    [(probability, next state, reward, terminated), ...], as Gymnasium's toy_text. Ways into a terminal state have no p."""
    table = getattr(getattr(env, "unwrapped", env), "P", None)
    if table is None:
        raise ValueError(f"[value_iteration] env must tell its model as env.unwrapped.P, got {type(env).__name__}")
    p, r = np.zeros((len(table), len(table[0]), len(table))), np.zeros((len(table), len(table[0])))
    for s in range(len(table)):
        for a in range(len(table[0])):
            for chance, after, reward, terminated in table[s][a]:
                r[s, a] += chance * reward
                if not terminated:
                    p[s, a, after] += chance
    return p, r


def value_iteration(env: Any, gamma: float = 0.99, tolerance: float = 1e-10) -> np.ndarray:
    """Q*, (states, actions), of an environment that tells its model (env.unwrapped.P): Q <- r + gamma P max_a Q until it
    changes by less than tolerance (Bellman 1957)."""
    p, r = _model(env)
    q = r
    while True:
        q, before = r + gamma * (p @ q.max(1)), q
        if np.abs(q - before).max() < tolerance:
            return q


def policy_value(env: Any, policy: np.ndarray, gamma: float = 0.99) -> np.ndarray:
    """V, (states), of a deterministic policy (states): the solution of (I - gamma P_pi) V = r_pi."""
    if not 0 <= gamma < 1:
        raise ValueError(f"[policy_value] gamma must be in [0, 1), got {gamma}")
    p, r = _model(env)
    rows = np.arange(len(r))
    return np.linalg.solve(np.eye(len(r)) - gamma * p[rows, policy], r[rows, policy])


def optimality_gap(env: Any, policy: np.ndarray, gamma: float = 0.99) -> float:
    """max_s V*(s) - V_policy(s) over the states an episode can start in (env.unwrapped.initial_state_distrib): 0, up to
    rounding, for an optimal policy."""
    begins = np.asarray(getattr(env, "unwrapped", env).initial_state_distrib) > 0
    return float((value_iteration(env, gamma).max(1) - policy_value(env, policy, gamma))[begins].max())
