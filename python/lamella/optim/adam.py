# SPDX-License-Identifier: MIT
"""Adam and its kin: AdamW, NAdam, RAdam, Adamax, LAMB. t counts steps from 1; b1, b2 are `betas`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .optimizer import KernelOptimizer, check_options

Update = tuple[str, tuple[float, ...], float, float]


class _Moments(KernelOptimizer):
    """Those with running means of the gradient and of its square."""

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")


def _betas(group: dict[str, Any]) -> tuple[float, float, float, float]:
    b1, b2 = group["betas"]
    return b1, 1 - b1, b2, 1 - b2


def _corrections(group: dict[str, Any], step: int) -> tuple[float, float]:
    """1 - b1^t, 1 - b2^t."""
    b1, b2 = group["betas"]
    return 1 - b1**step, 1 - b2**step


def _decay(group: dict[str, Any]) -> tuple[float, float]:
    """(decay, shrink) of a weight decay that may be decoupled."""
    decay = group["weight_decay"]
    return (0.0, 1 - group["lr"] * decay) if group["decoupled_weight_decay"] else (decay, 1.0)


class Adam(_Moments):
    """Adam (Kingma and Ba 2015), with L2 penalty added to the gradient; `amsgrad` after Reddi et al. 2018.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    p <- p - lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps). All parameters in one kernel call.

    With `amsgrad`, v in the last line is the largest v so far; with `decoupled_weight_decay` it is AdamW.
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
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_options(type(self).__name__, betas, lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
        unused = dict(foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused)
        super().__init__(params, {**defaults, **unused, "decoupled_weight_decay": decoupled_weight_decay})

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        c1, c2 = _corrections(group, s["step"])
        rule = "amsgrad" if group["amsgrad"] else "adam"
        return rule, (*_betas(group), group["lr"] / c1, 1 / math.sqrt(c2), group["eps"]), *_decay(group)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p <- (1 - lr weight_decay) p before Adam's update
    of the plain gradient."""

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
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        unused = dict(foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused)
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True, **unused
        )


class NAdam(_Moments):
    """Adam with Nesterov momentum (Dozat 2016), whose momentum warms up: mu_t = b1 (1 - 0.96^(t momentum_decay) / 2).

    With M = mu_1 ... mu_t, p <- p - lr ((1 - mu_t) / (1 - M) g + mu_{t+1} / (1 - M mu_{t+1}) m) / (sqrt(v / (1 - b2^t)) + eps).
    """

    _scalars = {"step": 0, "mu_product": 1.0}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("NAdam", betas, lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        unused = dict(foreach=foreach, capturable=capturable, differentiable=differentiable)
        super().__init__(
            params, {**defaults, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, **unused}
        )

    @staticmethod
    def _momentum(group: dict[str, Any], step: int) -> float:
        return group["betas"][0] * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"]))

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        lr, step = group["lr"], s["step"]
        now, ahead = self._momentum(group, step), self._momentum(group, step + 1)
        product = s["mu_product"] * now
        moves = (lr * (1 - now) / (1 - product), lr * ahead / (1 - product * ahead))
        _, c2 = _corrections(group, step)
        return "nadam", (*_betas(group), *moves, 1 / math.sqrt(c2), group["eps"]), *_decay(group)

    def _advance(self, group: dict[str, Any], s: dict[str, Any]) -> dict[str, Any]:
        return {"mu_product": s["mu_product"] * self._momentum(group, s["step"])}


class RAdam(_Moments):
    """Adam whose adaptive rate is rectified for its variance (Liu et al. 2020); plain momentum while that is not tractable.

    With r_inf = 2 / (1 - b2) - 1 and r = r_inf - 2 t b2^t / (1 - b2^t):  where r > 5,
    p <- p - lr / (1 - b1^t) m sqrt(1 - b2^t) / (sqrt(v) + eps) sqrt((r - 4)(r - 2) r_inf / ((r_inf - 4)(r_inf - 2) r)),
    else p <- p - lr / (1 - b1^t) m.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("RAdam", betas, lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)
        unused = dict(foreach=foreach, capturable=capturable, differentiable=differentiable)
        super().__init__(params, {**defaults, "decoupled_weight_decay": decoupled_weight_decay, **unused})

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        step, b2 = s["step"], group["betas"][1]
        c1, c2 = _corrections(group, step)
        rate, full = group["lr"] / c1, 2 / (1 - b2) - 1
        length = full - 2 * step * b2**step / c2
        if length > 5:
            rate *= math.sqrt(c2 * (length - 4) * (length - 2) * full / ((full - 4) * (full - 2) * length))
            ending = (rate, 1.0, group["eps"])
        else:
            ending = (rate, 0.0, 1.0)
        return "radam", (*_betas(group), *ending), *_decay(group)


class Adamax(KernelOptimizer):
    """Adam with the infinity norm in place of the root of v (Kingma and Ba 2015).

    m <- b1 m + (1 - b1) g;  u <- max(b2 u, |g| + eps);  p <- p - lr / (1 - b1^t) m / u.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_options("Adamax", betas, lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(
            params, {**defaults, "foreach": foreach, "differentiable": differentiable, "capturable": capturable}
        )

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        b1, keep1, b2, _ = _betas(group)
        rate = group["lr"] / (1 - b1 ** s["step"])
        return "adamax", (b1, keep1, b2, group["eps"], rate), group["weight_decay"], 1.0


class LAMB(_Moments):
    """Adam with layer-wise adaptive rates (You et al. 2020), for large batches.

    u = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + weight_decay p;  p <- p - lr |p| / |u| u, where the ratio of the
    norms, of each tensor, is 1 if either is 0, and at most 1 with `trust_clip`. A group with weight_decay 0 (biases,
    norms) is updated as by Adam unless `always_adapt`. bias_correction False leaves the powers of b1 and b2 out. The
    paper's clipping of the gradient is nn.utils.clip_grad_norm_.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        *,
        bias_correction: bool = True,
        trust_clip: bool = False,
        always_adapt: bool = False,
        maximize: bool = False,
    ) -> None:
        check_options("LAMB", betas, lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, bias_correction=bias_correction)
        super().__init__(
            params, {**defaults, "trust_clip": trust_clip, "always_adapt": always_adapt, "maximize": maximize}
        )

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> Update:
        lr, decay, eps = group["lr"], group["weight_decay"], group["eps"]
        c1, c2 = _corrections(group, s["step"]) if group["bias_correction"] else (1.0, 1.0)
        root = 1 / math.sqrt(c2)
        if decay == 0 and not group["always_adapt"]:
            return "adam", (*_betas(group), lr / c1, root, eps), 0.0, 1.0
        trust = (1.0, 0.0, 0.0, 1.0 if group["trust_clip"] else math.inf)
        return "lamb", (*trust, *_betas(group), 1 / c1, root, eps, decay, lr), 0.0, 1.0
