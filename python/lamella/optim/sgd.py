# SPDX-License-Identifier: MIT
"""Stochastic gradient descent: plain, averaged, and with a trust ratio per tensor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .optimizer import KernelOptimizer, Optimizer, check_options, new_buffer, run_rule


class SGD(Optimizer):
    """Gradient descent with momentum (Sutskever et al. 2013), PyTorch's form.

    g <- dL/dp + weight_decay p;  v <- momentum v + (1 - dampening) g  (v <- g the first time);
    p <- p - lr v, or p - lr (g + momentum v) with `nesterov`. All parameters in one kernel call.

    >>> p = lamella.ones(2, requires_grad=True)
    >>> optimizer = lamella.optim.SGD([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.tolist()
    [0.0, 0.0]
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
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_options("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        _check_nesterov("SGD", nesterov, momentum, dampening)
        defaults = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)
        super().__init__(
            params, {**defaults, "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused}
        )

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        if group["momentum"] == 0:
            run_rule("SGD", params, None, [], (), lambda: ("sgd", (group["lr"],), group["weight_decay"], 1.0), group["maximize"])
            return
        for some, keep in _with_buffers("SGD", self.state, params, group):
            states = [self.state[p] for p in some]

            def update(keep: float = keep) -> Any:
                return "momentum", _momentum(group, keep), group["weight_decay"], 1.0

            run_rule("SGD", some, None, states, ("momentum_buffer",), update, group["maximize"])


def _check_nesterov(op: str, nesterov: bool, momentum: float, dampening: float) -> None:
    if nesterov and (momentum <= 0 or dampening != 0):
        raise ValueError(f"[{op}] nesterov must come with momentum > 0 and dampening 0, got {momentum} and {dampening}")


def _momentum(group: dict[str, Any], keep: float) -> tuple[float, ...]:
    """The numbers of the momentum rule."""
    lr, momentum = group["lr"], group["momentum"]
    return (momentum, keep, *((lr, lr * momentum) if group["nesterov"] else (0.0, lr)))


def _with_buffers(op: str, state: Any, params: list[Any], group: dict[str, Any]) -> list[tuple[list[Any], float]]:
    """Parts of params with what a gradient counts in the buffer: those that had one, and new ones, where v <- g."""
    new = [p for p in params if "momentum_buffer" not in state[p]]
    for p in new:
        state[p]["momentum_buffer"] = new_buffer(op, p)
    if not new:
        return [(params, 1 - group["dampening"])]
    fresh = set(new)
    old = [p for p in params if p not in fresh]
    return [part for part in ((old, 1 - group["dampening"]), (new, 1.0)) if part[0]]


class LARS(Optimizer):
    """SGD with layer-wise adaptive rates (You, Gitman and Ginsburg 2017), for large batches.

    Of each tensor, trust = trust_coeff |p| / (|g| + weight_decay |p| + eps), 1 where either norm is 0;
    g <- trust (g + weight_decay p), and from there as SGD with momentum: the rate stands outside of the buffer. A group
    with weight_decay 0 (biases, norms) has trust 1 unless `always_adapt`. `trust_clip` limits lr trust to at most lr
    (LARC): trust <- min(trust / lr, 1).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        momentum: float = 0.9,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        trust_coeff: float = 1e-3,
        eps: float = 1e-8,
        *,
        trust_clip: bool = False,
        always_adapt: bool = False,
        maximize: bool = False,
    ) -> None:
        check_options("LARS", lr=lr, momentum=momentum, weight_decay=weight_decay, trust_coeff=trust_coeff, eps=eps)
        _check_nesterov("LARS", nesterov, momentum, dampening)
        defaults = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)
        trust = dict(trust_coeff=trust_coeff, eps=eps, trust_clip=trust_clip, always_adapt=always_adapt)
        super().__init__(params, {**defaults, **trust, "maximize": maximize})

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        for some, keep in _with_buffers("LARS", self.state, params, group):
            states = [self.state[p] for p in some]

            def update(keep: float = keep) -> Any:
                decay, numbers = group["weight_decay"], _momentum(group, keep)
                if decay == 0 and not group["always_adapt"]:
                    return "momentum", numbers, decay, 1.0
                coefficient, limit = group["trust_coeff"], float("inf")
                if group["trust_clip"]:
                    coefficient, limit = coefficient / group["lr"], 1.0
                return "lars", (coefficient, decay, group["eps"], limit, decay, *numbers), 0.0, 1.0

            run_rule("LARS", some, None, states, ("momentum_buffer",), update, group["maximize"])


class ASGD(KernelOptimizer):
    """Averaged gradient descent (Polyak and Juditsky 1992), PyTorch's form: the average is state `ax`.

    p <- (1 - lambd eta) p - eta g;  ax <- ax + mu (p - ax), with eta = lr / (1 + lambd lr t)^alpha and
    mu = 1 / max(1, t - t0) of the step before (eta = lr and mu = 1 the first time).
    """

    _scalars = {"step": 0, "eta": None, "mu": 1.0}  # eta: lr

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_options("ASGD", lr=lr, weight_decay=weight_decay)
        defaults = dict(lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay)
        unused = dict(foreach=foreach, differentiable=differentiable, capturable=capturable)
        super().__init__(params, {**defaults, "maximize": maximize, **unused})

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("ax",)

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> tuple[str, tuple[float, ...], float, float]:
        return "asgd", (s["eta"], s["mu"]), group["weight_decay"], 1 - group["lambd"] * s["eta"]

    def _advance(self, group: dict[str, Any], s: dict[str, Any]) -> dict[str, Any]:
        lr, step = group["lr"], s["step"]
        eta = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        return {"eta": eta, "mu": 1 / max(1, step - group["t0"])}
