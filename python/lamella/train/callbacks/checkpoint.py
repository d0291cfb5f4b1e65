# SPDX-License-Identifier: MIT
"""States on disk while a run goes on."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from .base import Callback, improves, monitored

__all__ = ["Checkpoint"]


class Checkpoint(Callback):
    """Writes the trainer's whole state to `path` after each row of the history, every `every_steps` steps, and when the run
    ends or is interrupted; with `monitor` also the weights alone to `best_path` whenever that figure is the best so far.

    Each file takes the place of the one before only when it is complete: a write that fails (a full disk) is a warning, and
    the last good file stays as it was.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every_steps: int | None = None,
        monitor: str | None = None,
        mode: str = "auto",
        best_path: str | os.PathLike[str] | None = None,
    ) -> None:
        if every_steps is not None and every_steps < 1:
            raise ValueError(f"[Checkpoint] every_steps must be at least 1, got {every_steps}")
        self.path, self.every_steps, self.monitor = Path(path), every_steps, monitor
        self.best_path = Path(best_path) if best_path is not None else self.path.with_name(f"best-{self.path.name}")
        self._better = improves(mode, monitor or "")
        self.best: float | None = None
        self._saved_at = -1
        self.failed: str | None = None  # why the newest write failed, if it did

    def _write(self, write: Any, path: Path) -> None:
        try:
            write(path)
            self.failed = None
        except OSError as error:
            self.failed = str(error)
            kept = "; the last good one is as it was" if path.exists() else ""
            warnings.warn(f"[Checkpoint] {path} could not be written: {error}{kept}", stacklevel=3)

    def save(self, trainer: Any) -> None:
        """Writes the state now, unless it was written at this step."""
        if self._saved_at != trainer.steps_done:
            self._write(trainer.save, self.path)
            self._saved_at = trainer.steps_done if self.failed is None else -1

    def on_step_end(self, trainer: Any, figures: dict[str, Any]) -> None:
        if self.every_steps and trainer.steps_done % self.every_steps == 0:
            self.save(trainer)

    def on_epoch_end(self, trainer: Any, row: dict[str, Any]) -> None:
        if self.monitor is not None:
            value = monitored("Checkpoint", row, self.monitor)
            if value == value and (self.best is None or self._better(value, self.best)):
                from ...serialize import save_file

                self.best = value
                state = {k: v.contiguous() for k, v in trainer.evaluated.state_dict().items()}
                self._write(lambda path: save_file(state, path), self.best_path)
        self._saved_at = -1  # the history has a new row
        self.save(trainer)

    def on_exception(self, trainer: Any, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt) and trainer.consistent:
            self.save(trainer)

    def on_fit_end(self, trainer: Any) -> None:
        if not trainer.interrupted:
            self.save(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
