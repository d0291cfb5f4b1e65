# SPDX-License-Identifier: MIT
"""Callbacks of Agent.learn: called with the agent after every iteration, `start` before the first, `end` after the last."""

from __future__ import annotations

import copy
import os
import sys
import time
from typing import Any


class Progress:
    """A line every `interval` seconds: steps, return of the last 100 episodes, steps per second, time left. In a terminal
    the line is written over."""

    def __init__(self, interval: float = 5.0, stream: Any = None) -> None:
        self.interval, self.stream = interval, stream or sys.stdout
        self.over = bool(getattr(self.stream, "isatty", lambda: False)())

    def start(self, agent: Any) -> None:
        self.begun = self.told = time.perf_counter()
        self.first, self.shown = agent.steps, False

    def __call__(self, agent: Any) -> None:
        now = time.perf_counter()
        if now - self.told >= (0.2 if self.over else self.interval) or agent.steps >= agent.total_steps:
            self.told = now
            self._tell(agent, now - self.begun)

    def _tell(self, agent: Any, seconds: float) -> None:
        rate = (agent.steps - self.first) / max(seconds, 1e-9)
        recent = agent.recent()
        worth = f"  return {recent['return']:.1f}" if recent else ""
        left = max(0, agent.total_steps - agent.steps) / max(rate, 1e-9)
        text = f"step {agent.steps}/{agent.total_steps}{worth}  {rate:.0f} steps/s  {left:.0f} s left"
        print(f"\r{text:<78}" if self.over else text, end="" if self.over else "\n", file=self.stream, flush=True)
        self.shown = True

    def end(self, agent: Any) -> None:
        if self.over and self.shown:
            print(file=self.stream)


class Evaluate:
    """Evaluates every so many steps; keeps the best weights, which `end` puts back into the agent, and ends learning at
    `threshold`.

    Deep Q-learning in particular does not improve steadily: what is measured in the end is the policy that would be used.
    The returns reported while choosing are too high for the one that is chosen, so evaluate again on new episodes.
    """

    def __init__(
        self, every: int, episodes: int = 10, threshold: float | None = None, keep_best: bool = True, env: Any = None, seed: int = 0
    ) -> None:
        self.every, self.episodes, self.threshold, self.keep_best, self.env, self.seed = every, episodes, threshold, keep_best, env, seed
        self.rows: list[dict[str, float]] = []  # {"steps", "return", "std"}
        self.best, self._weights, self._next = float("-inf"), None, every

    def start(self, agent: Any) -> None:
        self._next = (agent.steps // self.every + 1) * self.every

    def __call__(self, agent: Any) -> bool:
        if agent.steps < self._next:
            return True
        self._next = (agent.steps // self.every + 1) * self.every
        mean, std = agent.evaluate(self.env, self.episodes, seed=self.seed)
        self.rows.append({"steps": agent.steps, "return": mean, "std": std})
        if mean > self.best:
            self.best = mean
            if self.keep_best:
                self._weights = copy.deepcopy(agent.weights())
        return self.threshold is None or mean < self.threshold

    def end(self, agent: Any) -> None:
        if self._weights is not None:
            agent.load_weights(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """What was measured, the best weights."""
        return {"rows": self.rows, "best": self.best, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes it over."""
        self.rows, self.best, self._weights = list(state["rows"]), state["best"], state["weights"]


class Checkpoint:
    """Saves the agent every so many steps and at the end, over the last file, with the state of callbacks that have one.

    Give it before an Evaluate, which at the end replaces the weights that learning would go on from.
    """

    def __init__(self, path: str | os.PathLike[str], every: int) -> None:
        self.path, self.every, self._next = path, every, every

    def start(self, agent: Any) -> None:
        self._next = (agent.steps // self.every + 1) * self.every

    def __call__(self, agent: Any) -> None:
        if agent.steps >= self._next:
            self._next = (agent.steps // self.every + 1) * self.every
            agent.save(self.path)

    def end(self, agent: Any) -> None:
        agent.save(self.path)
