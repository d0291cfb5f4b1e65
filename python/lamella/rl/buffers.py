# SPDX-License-Identifier: MIT
"""The replay buffer: a ring of transitions in contiguous arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

_FIELDS = ("observations", "actions", "rewards", "successors", "terminated")


class ReplayBuffer:
    """The last `capacity` transitions (s, a, r, s', terminated) (Lin 1992), each field one array; the oldest go first.

    `terminated` is not set where an episode was cut off by a time limit: s' is worth something there.
    """

    def __init__(
        self,
        capacity: int,
        observation_shape: tuple[int, ...] = (),
        observation_dtype: Any = np.float32,
        action_shape: tuple[int, ...] = (),
        action_dtype: Any = np.int64,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"[ReplayBuffer] capacity must be at least 1, got {capacity}")
        self.capacity, self.size, self.place = capacity, 0, 0
        self.observations = np.empty((capacity, *observation_shape), observation_dtype)
        self.successors = np.empty((capacity, *observation_shape), observation_dtype)
        self.actions = np.empty((capacity, *action_shape), action_dtype)
        self.rewards, self.terminated = np.empty(capacity, np.float32), np.empty(capacity, np.float32)

    def __len__(self) -> int:
        return self.size

    def add(self, observations: Any, actions: Any, rewards: Any, successors: Any, terminated: Any) -> None:
        """Writes n transitions, a row each, over the oldest."""
        n, given = len(rewards), (observations, actions, rewards, successors, terminated)
        if n > self.capacity:
            raise ValueError(f"[ReplayBuffer] at most {self.capacity} transitions can be added at once, got {n}")
        begin = self.place
        room = min(n, self.capacity - begin)
        for name, values in zip(_FIELDS, given, strict=True):
            ring = getattr(self, name)
            ring[begin : begin + room] = values[:room]
            if room < n:
                ring[: n - room] = values[room:]
        self.place = (begin + n) % self.capacity
        self.size = min(self.size + n, self.capacity)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """n transitions drawn with replacement, as five arrays (observations, actions, rewards, successors, terminated)."""
        if not self.size:
            raise ValueError("[ReplayBuffer] sample must have something to draw from, got an empty buffer")
        rows = rng.integers(0, self.size, n)
        return tuple(getattr(self, name)[rows] for name in _FIELDS)

    def state_dict(self) -> dict[str, Any]:
        """The filled part."""
        return {"place": self.place, **{name: getattr(self, name)[: self.size] for name in _FIELDS}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes it over. ValueError where it does not fit."""
        n = len(state["rewards"])
        if n > self.capacity:
            raise ValueError(f"[ReplayBuffer] capacity must be at least {n} for this state, got {self.capacity}")
        for name in _FIELDS:
            getattr(self, name)[:n] = state[name]
        self.size, self.place = n, state["place"] % self.capacity if n == self.capacity else n
