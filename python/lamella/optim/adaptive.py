# SPDX-License-Identifier: MIT
"""Rates adapted to each element by other means than Adam's: Adagrad, Adadelta, RMSprop, and by signs: Rprop, Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .optimizer import KernelOptimizer, check_option, check_options

Update = tuple[str, tuple[float, ...], float, float]


class Adagrad(KernelOptimizer):
    """Adagrad (Duchi, Hazan and Singer 2011): s <- s + g^2;  p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_options("Adagrad", lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        check_options("Adagrad", initial_accumulator_value=initial_accumulator_value)
        defaults = dict(lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay, maximize=maximize)
        defaults |= dict(initial_accumulator_value=initial_accumulator_value)
        super().__init__(params, {**defaults, "foreach": foreach, "differentiable": differentiable, "fused": fused})

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("sum",)

    def _initial(self, group: dict[str, Any], name: str) -> float:
        return group["initial_accumulator_value"]

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        rate = group["lr"] / (1 + (s["step"] - 1) * group["lr_decay"])
        return "adagrad", (rate, group["eps"]), group["weight_decay"], 1.0


class Adadelta(KernelOptimizer):
    """Adadelta (Zeiler 2012): v <- rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) g;
    u <- rho u + (1 - rho) d^2;  p <- p - lr d."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("Adadelta", lr=lr, eps=eps, weight_decay=weight_decay)
        check_option("Adadelta", "rho", rho, 0, 1)
        defaults = dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(
            params, {**defaults, "capturable": capturable, "foreach": foreach, "differentiable": differentiable}
        )

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        rho = group["rho"]
        return "adadelta", (rho, 1 - rho, group["eps"], group["lr"]), group["weight_decay"], 1.0


class RMSprop(KernelOptimizer):
    """RMSprop (Hinton 2012; centered: Graves 2013): v <- alpha v + (1 - alpha) g^2;  d = g / (sqrt(v) + eps);
    p <- p - lr d, or with momentum b <- momentum b + d;  p <- p - lr b.

    `centered`: v - a^2 in place of v, with a <- alpha a + (1 - alpha) g.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("RMSprop", lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = dict(lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered, weight_decay=weight_decay)
        unused = dict(capturable=capturable, foreach=foreach, differentiable=differentiable)
        super().__init__(params, {**defaults, "maximize": maximize, **unused})

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        centered = ("grad_avg",) if group["centered"] else ()
        return ("square_avg", *centered, *(("momentum_buffer",) if group["momentum"] > 0 else ()))

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        alpha, momentum = group["alpha"], group["momentum"]
        numbers = (alpha, 1 - alpha, group["eps"], group["lr"], *((momentum,) if momentum > 0 else ()))
        rule = "rmsprop" + "_centered" * bool(group["centered"]) + "_momentum" * (momentum > 0)
        return rule, numbers, group["weight_decay"], 1.0


class Rprop(KernelOptimizer):
    """Resilient backpropagation (Riedmiller and Braun 1993), for whole-batch gradients: each element has a step size,
    which grows by etas[1] where the gradient kept its sign and shrinks by etas[0] where it did not (there the gradient
    counts as 0 this time), within step_sizes;  p <- p - sign(g) size. Sizes start at lr."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("Rprop", lr=lr)
        if not 0 < etas[0] < 1 < etas[1]:
            raise ValueError(f"[Rprop] etas must be below and above 1, got {etas[0]} and {etas[1]}")
        defaults = dict(lr=lr, etas=etas, step_sizes=step_sizes, foreach=foreach, maximize=maximize)
        super().__init__(params, {**defaults, "differentiable": differentiable, "capturable": capturable})

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("prev", "step_size")

    def _initial(self, group: dict[str, Any], name: str) -> float:
        return group["lr"] if name == "step_size" else 0.0

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        return "rprop", (*group["etas"], *group["step_sizes"]), 0.0, 1.0


class Lion(KernelOptimizer):
    """Lion (Chen et al. 2023): the sign of an interpolation, with decoupled weight decay; a third to a tenth of AdamW's
    lr, and as many times its weight_decay, are usual.

    p <- (1 - lr weight_decay) p - lr sign(b1 m + (1 - b1) g);  m <- b2 m + (1 - b2) g.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        check_options("Lion", betas, lr=lr, weight_decay=weight_decay)
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize))

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg",)

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        b1, b2 = group["betas"]
        lr = group["lr"]
        return "lion", (b1, 1 - b1, b2, 1 - b2, lr), 0.0, 1 - lr * group["weight_decay"]
