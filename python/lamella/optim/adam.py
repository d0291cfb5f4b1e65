# SPDX-License-Identifier: MIT
"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import _core
from .optimizer import Optimizer, check_option


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with L2 penalty added to the gradient; `amsgrad` after Reddi et al. 2018.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    p <- p - lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps). All parameters in one kernel call.

    With `amsgrad`, v in the last line is the largest v so far.
    """

    _decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        op = type(self).__name__
        check_option(op, "lr", lr, 0)
        check_option(op, "betas[0]", betas[0], 0, 1, open_high=True)
        check_option(op, "betas[1]", betas[1], 0, 1, open_high=True)
        check_option(op, "eps", eps, 0)
        check_option(op, "weight_decay", weight_decay, 0)
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
        super().__init__(params, defaults)

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        amsgrad = group["amsgrad"]
        by_step: dict[int, tuple[list[Any], list[Any], list[Any], list[Any]]] = {}
        for p in params:
            s = self.state.get(p)
            if s is None:
                s = {"step": 0, "exp_avg": _zeros(p), "exp_avg_sq": _zeros(p)}
                if amsgrad:
                    s["max_exp_avg_sq"] = _zeros(p)
                self.state[p] = s
            step = s["step"] = int(s["step"]) + 1
            lists = by_step.get(step)
            if lists is None:
                lists = by_step[step] = ([], [], [], [])
            lists[0].append(p)
            lists[1].append(s["exp_avg"])
            lists[2].append(s["exp_avg_sq"])
            if amsgrad:
                lists[3].append(s["max_exp_avg_sq"])
        beta1, beta2 = group["betas"]
        for step, lists in by_step.items():  # one, unless some parameters missed gradients
            _core.adam_step(
                *lists,
                group["lr"],
                beta1,
                beta2,
                group["eps"],
                group["weight_decay"],
                step,
                self._decoupled,
                group["maximize"],
            )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p <- (1 - lr weight_decay) p before Adam's update
    of the plain gradient."""

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


def _zeros(p: Any) -> Any:
    return _core.full(p.shape, 0.0, p.dtype)
