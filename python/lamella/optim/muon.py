# SPDX-License-Identifier: MIT
"""Muon: momentum, orthogonalised."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from .. import _core, ops
from .optimizer import Optimizer, check_options, new_buffer, run_rule


def orthogonalize(
    matrices: Any, coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), steps: int = 5, eps: float = 1e-7
) -> Any:
    """Newton-Schulz iterations towards U V^T of matrices (..., rows, columns) = U S V^T (Jordan et al. 2024).

    X <- X / max(|X|, eps), then `steps` times X <- (a + b G + c G^2) X with G = X X^T. The default coefficients do not
    converge: they bring all singular values quickly to between 0.7 and 1.2. In float64 for float64; else the products are of
    bfloat16, as PyTorch's, where those are faster (`amp.is_bfloat16_fast`) and matter (128 rows and columns), and of
    float32 elsewhere.
    """
    a, b, c = coefficients
    x = matrices if matrices.dtype is _core.float64 else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / ops.clamp(ops.norm(x, dim=(-2, -1), keepdim=True), min=eps)
    from ..amp import is_bfloat16_fast

    dtype = x.dtype
    if dtype is _core.float32 and x.shape[-2] >= 128 and is_bfloat16_fast(x.device.type):
        x = x.bfloat16()
    for _ in range(steps):
        gram = x @ x.mT
        x = x * a + (gram @ gram.mT * c + gram * b) @ x  # gram is symmetric, and so seen to be: half the products
    return (x.mT if tall else x).to(dtype)


class Muon(Optimizer):
    """Momentum whose direction is orthogonalised (Jordan et al. 2024), for the matrices of hidden layers; embeddings,
    heads, biases and norms go to another optimiser. PyTorch's form:

    v <- momentum v + (1 - momentum) g;  u = orthogonalize((1 - momentum) g + momentum v, or v without nesterov);
    p <- (1 - lr weight_decay) p - lr' u, where lr' is lr sqrt(max(1, rows / columns)) ("original", the default) or
    0.2 lr sqrt(max(rows, columns)) ("match_rms_adamw": AdamW's lr and weight_decay fit).

    All matrices of one shape go together.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_options("Muon", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"[Muon] adjust_lr_fn must be 'original' or 'match_rms_adamw', got {adjust_lr_fn!r}")
        if len(ns_coefficients) != 3:
            raise ValueError(f"[Muon] ns_coefficients must be three numbers, got {ns_coefficients}")
        defaults = dict(lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov)
        iteration = dict(ns_coefficients=ns_coefficients, eps=eps, ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn)
        super().__init__(params, {**defaults, **iteration})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.ndim != 2:
                self.param_groups.pop()
                raise ValueError(f"[Muon] params must be matrices, got one of shape {p.shape}")

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        states = [self.state[p] for p in params]
        for p, s in zip(params, states, strict=True):
            if "momentum_buffer" not in s:
                s["momentum_buffer"] = new_buffer("Muon", p)
        moves = [_core.full(p.shape, 0.0, p.dtype, p) for p in params]

        def momentum() -> Any:  # from 0: minus what p would move by
            m = group["momentum"]
            return "momentum", (m, 1 - m, *((m - 1, -m) if group["nesterov"] else (0.0, -1.0))), 0.0, 1.0

        run_rule("Muon", moves, [p.grad for p in params], states, ("momentum_buffer",), momentum)
        alike = defaultdict(list)
        for i, p in enumerate(params):
            alike[tuple(p.shape), p.dtype].append(i)
        for ((rows, columns), dtype), chosen in alike.items():
            stacked = ops.stack([moves[i] for i in chosen])
            move = orthogonalize(stacked, group["ns_coefficients"], group["ns_steps"], group["eps"]).to(dtype)
            some = [params[i] for i in chosen]
            scale = 0.2 * math.sqrt(max(rows, columns)) if group["adjust_lr_fn"] == "match_rms_adamw" else math.sqrt(max(1, rows / columns))

            def update(scale: float = scale) -> Any:
                return "sgd", (group["lr"] * scale,), 0.0, 1 - group["lr"] * group["weight_decay"]

            run_rule("Muon", some, list(move.unbind(0)), [], (), update)
