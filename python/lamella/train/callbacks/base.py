# SPDX-License-Identifier: MIT
"""What a callback may do, and when."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["Callback", "improves", "monitored"]


class Callback:
    """Called by a Trainer at the moments named below, each of which does nothing here.

    What `state_dict()` gives is part of the trainer's saved state, under `name` (the class's name, unless set), so that a
    run that is resumed goes on as one that was never stopped. Setting `trainer.should_stop` ends the run after the step.

    >>> class Count(train.Callback):
    ...     steps = 0
    ...     def on_step_end(self, trainer, figures):
    ...         self.steps += 1
    """

    name = ""

    def on_fit_start(self, trainer: Any) -> None:
        """Before the first step; a saved state has been loaded by now."""

    def on_epoch_start(self, trainer: Any) -> None:
        """Before an epoch's first batch, and where a run goes on in the middle of one."""

    def on_batch_start(self, trainer: Any, batch: Any) -> None:
        """Before the forward pass of `batch`."""

    def on_backward_end(self, trainer: Any) -> None:
        """Gradients are complete, unscaled and not clipped; the optimiser has not stepped yet."""

    def on_step_end(self, trainer: Any, figures: dict[str, Any]) -> None:
        """After the optimiser's step; figures: what the step's last batch gave (loss and more)."""

    def on_evaluate_start(self, trainer: Any) -> None:
        """Before an evaluation."""

    def on_evaluate_end(self, trainer: Any, figures: dict[str, Any]) -> None:
        """After an evaluation, with its figures."""

    def on_epoch_end(self, trainer: Any, row: dict[str, Any]) -> None:
        """A row of the history is complete: at the end of an epoch, and every validate_every steps."""

    def on_fit_end(self, trainer: Any) -> None:
        """The run is over, well or not: files are closed here."""

    def on_exception(self, trainer: Any, error: BaseException) -> None:
        """Before `error` (KeyboardInterrupt too) leaves fit."""

    def state_dict(self) -> dict[str, Any]:
        """What to remember: tensors, numbers, strings, lists and dicts."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what `state_dict()` gave."""


def improves(mode: str, monitor: str) -> Any:
    """The function (new, best) -> whether new is better. mode: 'min', 'max', or 'auto': figures that are losses, errors,
    distances or perplexities fall, all others rise."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"[Callback] mode must be 'auto', 'min' or 'max', got {mode!r}")
    falls = any(part in monitor.lower() for part in ("loss", "err", "perplex", "distance", "wer", "cer", "mae", "mse", "fid"))
    if mode == "min" or (mode == "auto" and falls):
        return lambda new, best: new < best
    return lambda new, best: new > best


def monitored(op: str, row: dict[str, Any], monitor: str) -> float:
    """row[monitor], which must be there; NaN counts as worse than all."""
    if monitor not in row:
        raise ValueError(f"[{op}] monitor must be one of {', '.join(row)}, got {monitor!r}")
    value = float(row[monitor])
    return value if not math.isnan(value) else math.nan
