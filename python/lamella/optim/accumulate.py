# SPDX-License-Identifier: MIT
"""Batches larger than memory: gradients of several are summed before a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..nn.utils import clip_grad_norm_
from .optimizer import Optimizer


class GradientAccumulator:
    """One optimiser step for every `steps` micro-batches.

    `backward(loss)` runs the backward of loss / steps, so that with losses that are means over micro-batches of one size
    the gradient is that of the large batch. After the last it clips the norm (where max_norm is given), steps the
    optimiser, drops the gradients, steps `scheduler`, and returns True. `flush()` does so for a group that is not full,
    with the gradients scaled for their number.

    >>> p = lamella.ones(1, requires_grad=True)
    >>> accumulator = GradientAccumulator(lamella.optim.SGD([p], lr=1.0), steps=2)
    >>> [accumulator.backward((p * x).sum()) for x in (0.25, 0.75)]
    [False, True]
    >>> p.item()
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: int,
        max_norm: float | None = None,
        scheduler: Any = None,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"[GradientAccumulator] steps must be a positive int, got {steps}")
        self.optimizer, self.steps, self.max_norm = optimizer, steps, max_norm
        self.scheduler, self.on_step = scheduler, on_step
        self.count = 0  # micro-batches since the last step

    def backward(self, loss: Any) -> bool:
        """Adds the gradients of loss / steps; True where that completed an optimiser step."""
        (loss / self.steps).backward()
        self.count += 1
        if self.count < self.steps:
            return False
        self._step()
        return True

    def flush(self) -> bool:
        """Steps with what there is: at the end of an epoch that `steps` does not divide. False if there is nothing."""
        if self.count == 0:
            return False
        scale = self.steps / self.count
        for p in self._params():
            if p.grad is not None:
                p.grad = p.grad.detach() * scale
        self._step()
        return True

    def _params(self) -> list[Any]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _step(self) -> None:
        if self.max_norm is not None:
            clip_grad_norm_(self._params(), self.max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.count = 0
        if self.scheduler is not None:
            self.scheduler.step()
        if self.on_step is not None:
            self.on_step()
