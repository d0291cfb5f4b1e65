# SPDX-License-Identifier: MIT
"""Running mean and variance, to bring observations and rewards to one scale."""

from __future__ import annotations

from typing import Any

import numpy as np


class RunningMeanStd:
    """Mean and variance of all rows seen, merged batch by batch (Chan, Golub and LeVeque 1983); (0, 1) before the first."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self.count, self.mean, self.var = 0, np.zeros(shape), np.ones(shape)

    def update(self, rows: np.ndarray) -> None:
        """Counts rows (N, *shape)."""
        n = len(rows)
        if not n:
            return
        rows = np.asarray(rows, np.float64)
        mean, var, total = rows.mean(0), rows.var(0), self.count + n
        shift = mean - self.mean
        squares = (self.var * self.count if self.count else 0) + var * n + shift**2 * (self.count * n / total)
        self.mean, self.var, self.count = self.mean + shift * n / total, squares / total, total

    def normalize(self, x: np.ndarray, clip: float = 10.0) -> np.ndarray:
        """(x - mean) / sqrt(var + 1e-8), limited to [-clip, clip], float32."""
        return np.clip((x - self.mean) / np.sqrt(self.var + 1e-8), -clip, clip).astype(np.float32)

    def scale(self, x: np.ndarray, clip: float = 10.0) -> np.ndarray:
        """x / sqrt(var + 1e-8), limited to [-clip, clip]: keeps the sign."""
        return np.clip(x / np.sqrt(self.var + 1e-8), -clip, clip)

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"count": self.count, "mean": self.mean, "var": self.var}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes it over."""
        self.count, self.mean, self.var = state["count"], np.array(state["mean"]), np.array(state["var"])
