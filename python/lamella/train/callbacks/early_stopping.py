# SPDX-License-Identifier: MIT
"""Stopping: when nothing gets better any more, or when the time is up."""

from __future__ import annotations

import time
from typing import Any

from .base import Callback, improves, monitored

__all__ = ["EarlyStopping", "TimeLimit"]


class EarlyStopping(Callback):
    """Ends the run when `monitor` has not got better by more than min_delta in `patience` rows of the history, and puts the
    weights of the best row back. mode: 'min', 'max' or 'auto' (by the name of the figure).

    >>> stop = train.EarlyStopping("val_accuracy", patience=3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        if patience < 1:
            raise ValueError(f"[EarlyStopping] patience must be at least 1, got {patience}")
        if min_delta < 0:
            raise ValueError(f"[EarlyStopping] min_delta must not be negative, got {min_delta}")
        self.monitor, self.patience, self.min_delta, self.restore_best = monitor, patience, min_delta, restore_best
        self._better = improves(mode, monitor)
        self._sign = -1.0 if self._better(0.0, 1.0) else 1.0  # of a change for the better
        self.best: float | None = None
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Any) -> None:
        if self.waited >= self.patience:  # a resumed run that had ended
            trainer.should_stop = True

    def on_epoch_end(self, trainer: Any, row: dict[str, Any]) -> None:
        value = monitored("EarlyStopping", row, self.monitor)
        if value == value and (self.best is None or self._better(value, self.best + self._sign * self.min_delta)):
            self.best, self.waited = value, 0
            if self.restore_best:
                self._weights = {k: v.detach().clone() for k, v in trainer.evaluated.state_dict().items()}
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.should_stop = True

    def on_fit_end(self, trainer: Any) -> None:
        if self._weights is not None and not trainer.interrupted:
            trainer.evaluated.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited, self._weights = state["best"], state["waited"], state["weights"]


class TimeLimit(Callback):
    """Ends the run after `seconds` of training, those of earlier parts of a resumed run included."""

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"[TimeLimit] seconds must be positive, got {seconds}")
        self.seconds, self._spent, self._begun = seconds, 0.0, 0.0

    def on_fit_start(self, trainer: Any) -> None:
        self._begun = time.perf_counter()

    def on_step_end(self, trainer: Any, figures: dict[str, Any]) -> None:
        if self._spent + time.perf_counter() - self._begun >= self.seconds:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"spent": self._spent + time.perf_counter() - self._begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._spent = state["spent"]
