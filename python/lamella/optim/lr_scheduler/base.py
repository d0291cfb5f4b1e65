# SPDX-License-Identifier: MIT
"""What all schedules share."""

from __future__ import annotations

import types
import warnings
from typing import Any

from ..optimizer import Optimizer


class LRScheduler:
    """Sets every group's `lr` to `get_lr()` at each `step()`; subclasses define get_lr from `last_epoch`, `base_lrs` and
    the groups. `_get_closed_form_lr()`, where there is one, gives the rates of any epoch without those before.

    `last_epoch` counts the steps; -1 starts anew, k resumes after epoch k with the groups' saved `initial_lr`.
    """

    _is_initial = False  # true in the step that the constructor makes

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._attach(optimizer)
        op = type(self).__name__
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"[{op}] param_groups[{i}] must have 'initial_lr' where last_epoch is {last_epoch}: load the "
                    "optimiser's state_dict first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _attach(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"[{type(self).__name__}] optimizer must be an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def _restart(self) -> None:
        """Back to epoch 0, from groups that have their initial rates."""
        self.last_epoch = -1
        self._initial_step()

    def get_lr(self) -> list[float]:
        """The rates of `last_epoch`; for `step()`: of the last step, `get_last_lr()` tells."""
        raise TypeError(f"[{type(self).__name__}] get_lr must be defined by the subclass")

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group as of the last step."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Moves on by one, or to `epoch`, and sets the learning rates."""
        if self._step_count == 1 and type(self.optimizer).step is Optimizer.step and not self.optimizer._opt_called:
            warnings.warn(
                f"[{type(self).__name__}] step was called before optimizer.step(): the first learning rate is skipped",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        self._set(self.get_lr() if closed is None else closed())

    def _set(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
        self._last_lr = self._now()

    def _now(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser; of functions what an object that is called holds, nothing of plain ones."""
        return {k: _portable(v) for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict()` gave. The rates themselves are the optimiser's state: load that too."""
        for name, value in state_dict.items():
            here = self.__dict__.get(name)
            if callable(here):
                _restore(here, value)
            elif isinstance(here, list) and any(map(callable, here)):
                for function, saved in zip(here, value, strict=True):
                    _restore(function, saved)
            else:
                self.__dict__[name] = value


def _portable(value: Any) -> Any:
    if callable(value):
        plain = isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType))
        return None if plain else dict(getattr(value, "__dict__", {}))
    return [_portable(v) for v in value] if isinstance(value, list) else value


def _restore(function: Any, saved: Any) -> None:
    if saved:
        function.__dict__.update(saved)


def per_group(op: str, name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group: a list is checked for its length, anything else repeated."""
    n = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        raise ValueError(f"[{op}] {name} must be one per parameter group ({n}), got {len(value)}")
    return list(value)


def positive_int(op: str, name: str, value: Any) -> int:
    """The value. ValueError unless it is an int above 0."""
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"[{op}] {name} must be a positive int, got {value}")
    return value


class MomentumCycle:
    """The momentum of each group, or beta1 where the optimiser has betas, for schedules that move it against lr."""

    @staticmethod
    def start(op: str, optimizer: Optimizer, base: Any, top: Any, fresh: bool) -> bool:
        """Checks, and where `fresh` writes base_momentum, max_momentum and the start; true if it is beta1."""
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(f"[{op}] optimizer must have momentum or betas with cycle_momentum, got {type(optimizer).__name__}")
        use_beta1 = "betas" in optimizer.defaults
        bases, tops = per_group(op, "base_momentum", optimizer, base), per_group(op, "max_momentum", optimizer, top)
        if fresh:
            for group, low, high in zip(optimizer.param_groups, bases, tops, strict=True):
                MomentumCycle.write(group, use_beta1, high)
                group["max_momentum"], group["base_momentum"] = high, low
        return use_beta1

    @staticmethod
    def write(group: dict[str, Any], use_beta1: bool, momentum: float) -> None:
        if use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum
