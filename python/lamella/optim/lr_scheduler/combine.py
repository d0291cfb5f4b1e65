# SPDX-License-Identifier: MIT
"""Schedules made of schedules."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, positive_int
from .factor import LambdaLR
from .plateau import ReduceLROnPlateau


class _Combined(LRScheduler):
    _schedulers: Sequence[LRScheduler]

    def _check(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        op = type(self).__name__
        for i, s in enumerate(schedulers):
            if not hasattr(s, "optimizer"):
                raise TypeError(f"[{op}] schedulers must be schedulers, got {type(s).__name__} at position {i}")
            if isinstance(s, ReduceLROnPlateau):
                raise ValueError(f"[{op}] schedulers must not need a metric, got ReduceLROnPlateau at position {i}")
            if s.optimizer is not optimizer:
                raise ValueError(f"[{op}] schedulers must belong to one optimiser, got another's at position {i}")

    def get_lr(self) -> list[float]:
        """The rates that the parts have set."""
        return self._now()

    def _update_lr(self, epoch: int | None = None) -> None:  # to epoch 0: as a part of SequentialLR whose turn it is
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._restart()

    def state_dict(self) -> dict[str, Any]:
        """Its own state, and in `_schedulers` that of each schedule."""
        own = {k: v for k, v in self.__dict__.items() if k not in ("optimizer", "_schedulers")}
        return {**own, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict()` gave."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for s, saved in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            s.load_state_dict(saved)


def _undo_first_step(s: Any) -> None:
    for part in getattr(s, "_schedulers", ()):
        _undo_first_step(part)
    if not hasattr(s, "_schedulers"):
        s.last_epoch -= 1


class SequentialLR(_Combined):
    """One schedule after the other: schedulers[i + 1] starts, from its step 0, at step milestones[i]."""

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        if not schedulers:
            raise ValueError("[SequentialLR] schedulers must hold at least one, got none")
        self._check(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"[SequentialLR] milestones must be one fewer than schedulers ({len(schedulers)}), got {len(milestones)}"
            )
        self._schedulers, self._milestones = schedulers, milestones
        self.last_epoch = last_epoch + 1
        self._attach(optimizer)
        # Every schedule made its first step when it was constructed: undone, and made again by the one that begins.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for s in schedulers:
            _undo_first_step(s)
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Moves on by one and sets the learning rates."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        current = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            current._update_lr(0)
        else:
            current.step()
        self._last_lr = current.get_last_lr()


    def _restart(self) -> None:
        self.last_epoch = 0
        self._schedulers[bisect_right(self._milestones, 0)]._restart()
        self._last_lr = self._now()


class ChainedScheduler(_Combined):
    """All of several schedules at each step, one after the other on the present lr."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise ValueError("[ChainedScheduler] schedulers must hold at least one, got none")
        optimizer = optimizer or getattr(schedulers[0], "optimizer", None)
        self._check(optimizer, schedulers)
        self._attach(optimizer)
        self._schedulers = schedulers
        self._last_lr = self._now()

    def step(self) -> None:
        """Moves all on by one."""
        for s in self._schedulers:
            s.step()
        self._last_lr = self._now()


    def _restart(self) -> None:
        for s in self._schedulers:
            s._restart()
        self._last_lr = self._now()


class _WarmupCosine:
    def __init__(self, warmup: int, total: int, start: float, end: float, cycles: float) -> None:
        self.warmup, self.total, self.start, self.end, self.cycles = warmup, total, start, end, cycles

    def __call__(self, t: int) -> float:
        if t < self.warmup:
            return self.start + (1 - self.start) * t / self.warmup
        done = min(t - self.warmup, self.total - self.warmup) / max(1, self.total - self.warmup)
        return self.end + (1 - self.end) * (1 + math.cos(2 * math.pi * self.cycles * done)) / 2


class WarmupCosineLR(LambdaLR):
    """Linear warm-up, then half a cosine: the schedule of most transformers, a step per batch.

    The factor on lr rises from start_factor to 1 in `warmup_steps`, then falls to end_factor at `total_steps`, where it
    stays. num_cycles: how many whole cosines the fall is made of.

    >>> optimizer = lamella.optim.AdamW([lamella.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = lamella.optim.lr_scheduler.WarmupCosineLR(optimizer, warmup_steps=2, total_steps=6)
    >>> rates = []
    >>> for batch in range(7):
    ...     rates += schedule.get_last_lr()
    ...     optimizer.step()
    ...     schedule.step()
    >>> [round(rate, 3) for rate in rates]
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        total_steps: int,
        start_factor: float = 0.0,
        end_factor: float = 0.0,
        num_cycles: float = 0.5,
        last_epoch: int = -1,
    ) -> None:
        positive_int("WarmupCosineLR", "total_steps", total_steps)
        if not 0 <= warmup_steps <= total_steps:
            raise ValueError(f"[WarmupCosineLR] warmup_steps must be in [0, total_steps = {total_steps}], got {warmup_steps}")
        factor = _WarmupCosine(warmup_steps, total_steps, start_factor, end_factor, num_cycles)
        super().__init__(optimizer, factor, last_epoch)
