# SPDX-License-Identifier: MIT
"""Averages of weights: stochastic weight averaging (Izmailov et al. 2018) and exponential moving averages."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from .. import _core, ops
from ..autograd import no_grad
from ..device import captured_graph
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module
from .lr_scheduler.base import LRScheduler, per_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _lerp(averaged: list[Any], current: list[Any], weight: float) -> None:
    """averaged += weight (current - averaged): one pass over all floating tensors; integers are rounded down."""
    pairs = list(zip(averaged, current, strict=True))
    floating = [(a, c if c.dtype is a.dtype else c.to(a.dtype)) for a, c in pairs if a.dtype.is_floating_point]
    if floating:
        targets, sources = map(list, zip(*floating, strict=True))
        _core.optim_step("lerp", "lerp", targets, sources, [], (), (weight,), 0.0, 1.0, False)
    if len(floating) < len(pairs):
        for a, c in pairs:
            if not a.dtype.is_floating_point:
                a.copy_(a * (1 - weight) + c * weight)


def _check_decay(op: str, decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"[{op}] decay must be in [0, 1], got {decay}")


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[list[Any], list[Any], Any], None]:
    """The function of lists of tensors that makes averaged = decay averaged + (1 - decay) current, in one pass."""
    _check_decay("get_ema_multi_avg_fn", decay)

    def update(averaged: list[Any], current: list[Any], _: Any) -> None:
        with no_grad():
            _lerp(averaged, current, 1 - decay)

    return update


def get_swa_multi_avg_fn() -> Callable[[list[Any], list[Any], Any], None]:
    """The function of lists of tensors that makes `averaged` the mean of n + 1 where it was that of n, in one pass."""

    def update(averaged: list[Any], current: list[Any], num_averaged: Any) -> None:
        with no_grad():
            _lerp(averaged, current, 1 / (int(num_averaged) + 1))

    return update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """The function (averaged, current, n) -> decay averaged + (1 - decay) current."""
    _check_decay("get_ema_avg_fn", decay)

    def update(averaged: Any, current: Any, _: Any) -> Any:
        with no_grad():
            return decay * averaged + (1 - decay) * current

    return update


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    """The function (averaged, current, n) -> averaged + (current - averaged) / (n + 1)."""

    def update(averaged: Any, current: Any, num_averaged: Any) -> Any:
        with no_grad():
            return averaged + (current - averaged) / (int(num_averaged) + 1)

    return update


class AveragedModel(Module):
    """A copy of `model` (in `module`) whose parameters `update_parameters(model)` averages: their mean, or what avg_fn
    (tensor by tensor) or multi_avg_fn (lists) says. Buffers are copied, or averaged too with use_buffers.

    >>> model = lamella.nn.Linear(2, 1)
    >>> ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    >>> ema.update_parameters(model)
    >>> (ema.module.weight == model.weight).all().item(), ema.n_averaged.item()
    (True, 1)
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[list[Any], list[Any], Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("[AveragedModel] avg_fn and multi_avg_fn must not both be given")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", ops.tensor(0))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """That of the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the parameters of `model` into the average; the first time they are copied. Not inside a captured graph, which
        would keep the weight of one step."""
        if captured_graph() is not None:
            raise RuntimeError("[AveragedModel] update_parameters must be called outside of a captured graph, after its replay")

        def tensors(of: Module) -> list[Any]:
            return [t.detach() for t in (itertools.chain(of.parameters(), of.buffers()) if self.use_buffers else of.parameters())]

        averaged, current, n = tensors(self.module), tensors(model), int(self.n_averaged)
        if n == 0:
            for a, c in zip(averaged, current, strict=True):
                a.copy_(c)
        elif self.avg_fn is not None:
            for a, c in zip(averaged, current, strict=True):
                a.copy_(self.avg_fn(a, c, self.n_averaged))
        else:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averaged, current, self.n_averaged)
        if not self.use_buffers:
            for a, c in zip(self.module.buffers(), model.buffers(), strict=True):
                a.copy_(c)
        self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Sets the running statistics of the model's batch norms to the plain average over one pass of `loader`, whose items
    are a batch or a sequence that begins with it."""
    norms = [m for m in model.modules() if isinstance(m, (BatchNorm1d, BatchNorm2d, BatchNorm3d))]
    norms = [m for m in norms if m.running_mean is not None]
    if not norms:
        return
    momenta, training = [m.momentum for m in norms], model.training
    with no_grad():
        for m in norms:
            m.running_mean.zero_()
            m.running_var.fill_(1)
            m.num_batches_tracked.zero_()
            m.momentum = None
        model.train()
        try:
            for batch in loader:
                batch = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(batch if device is None else batch.to(device))
        finally:
            for m, momentum in zip(norms, momenta, strict=True):
                m.momentum = momentum
            model.train(training)


class SWALR(LRScheduler):
    """lr goes from where it is to swa_lr in anneal_epochs steps, by 'cos' or 'linear', and stays."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        for lr, group in zip(per_group("SWALR", "swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"[SWALR] anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"[SWALR] anneal_epochs must be an int and not negative, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of swa_lr is in the rate at `step`."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        lrs = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            lrs.append(end * now + start * (1 - now))
        return lrs
