# SPDX-License-Identifier: MIT
"""Figures of a run: running means, and the table of rows they end in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from .callbacks.base import improves

__all__ = ["History", "Sums"]


@dataclass
class History:
    """What was measured: one row (a dict of figures) per epoch, or per validation."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, Any]:
        """The newest row, empty before the first."""
        return self.rows[-1] if self.rows else {}

    def column(self, name: str) -> list[Any]:
        """The figure of each row that has it.

        >>> train.History([{"loss": 2.0}, {"loss": 1.5, "val_loss": 1.7}]).column("val_loss")
        [1.7]
        """
        return [row[name] for row in self.rows if name in row]

    def best(self, name: str, mode: str = "auto") -> dict[str, Any]:
        """The row whose figure is best: lowest for losses and errors, highest else, or as mode says ('min', 'max')."""
        better, chosen = improves(mode, name), {}
        for row in self.rows:
            if name in row and (not chosen or better(row[name], chosen[name])):
                chosen = row
        return chosen


class Sums:
    """Weighted means of figures over batches, and the time they took."""

    def __init__(self) -> None:
        self.totals: dict[str, list[float]] = {}  # name -> [sum of weight * value, sum of weights]
        self.count = self.samples = 0
        self.spent = 0.0
        self.begun = time.perf_counter()

    def add(self, figures: dict[str, Any], weight: Any, samples: int) -> None:
        """Takes a batch's figures (floats or tensors of one element), which count `weight` times."""
        weight = float(weight.item() if hasattr(weight, "item") else weight)
        for name, value in figures.items():
            total = self.totals.setdefault(name, [0.0, 0.0])
            total[0] += weight * float(value.item() if hasattr(value, "item") else value)
            total[1] += weight
        self.count += 1
        self.samples += samples

    def mean(self, name: str) -> float:
        """NaN before the first."""
        total, weight = self.totals.get(name, (0.0, 0.0))
        return total / weight if weight else float("nan")

    def means(self) -> dict[str, float]:
        """All of them."""
        return {name: self.mean(name) for name in self.totals}

    @property
    def seconds(self) -> float:
        """Since the start, without the time between a saved state and its resumption."""
        return self.spent + time.perf_counter() - self.begun

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.samples / max(self.seconds, 1e-9)

    def restart(self) -> None:
        """Lets the clock run from now on."""
        self.begun = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a state."""
        return {"totals": self.totals, "count": self.count, "samples": self.samples, "spent": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what `state_dict()` gave."""
        self.totals = {name: list(pair) for name, pair in state["totals"].items()}
        self.count, self.samples, self.spent = state["count"], state["samples"], state["spent"]
