# SPDX-License-Identifier: MIT
"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import _core
from .optimizer import Optimizer, check_option


class SGD(Optimizer):
    """Gradient descent with momentum (Sutskever et al. 2013), PyTorch's form.

    g <- dL/dp + weight_decay p;  v <- momentum v + (1 - dampening) g  (v <- g the first time);
    p <- p - lr v, or p - lr (g + momentum v) with `nesterov`. All parameters in one kernel call.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        check_option("SGD", "lr", lr, 0)
        check_option("SGD", "momentum", momentum, 0)
        check_option("SGD", "weight_decay", weight_decay, 0)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(f"[SGD] nesterov must come with momentum > 0 and dampening 0, got {momentum} and {dampening}")
        defaults = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay)
        super().__init__(params, {**defaults, "nesterov": nesterov, "maximize": maximize})

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        momentum = group["momentum"]
        options = (
            group["lr"],
            momentum,
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
        )
        if momentum == 0:
            _core.sgd_step(params, [], *options, False)
            return
        state = self.state
        old = [p for p in params if p in state]
        if old:
            _core.sgd_step(old, [state[p]["momentum_buffer"] for p in old], *options, False)
        if len(old) < len(params):
            new = [p for p in params if p not in state]
            for p in new:
                state[p] = {"momentum_buffer": _core.empty(p.shape, p.dtype)}
            _core.sgd_step(new, [state[p]["momentum_buffer"] for p in new], *options, True)
