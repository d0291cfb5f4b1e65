# SPDX-License-Identifier: MIT
"""Optimiser steps and gradient clipping: few large parameters, many small ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .registry import Build, add


def parameters(lib: Any, count: int, size: int) -> list[Any]:
    made = [lib.randn(size).requires_grad_() for _ in range(count)]
    for p in made:
        p.grad = lib.randn(size)
    return made


def step(optimiser: str, count: int, size: int, **options: Any) -> Build:
    return lambda lib: getattr(lib.optim, optimiser)(parameters(lib, count, size), lr=1e-4, **options).step


def clip(lib: Any) -> Callable[[], Any]:
    made = parameters(lib, 200, 1 << 10)
    return lambda: lib.nn.utils.clip_grad_norm_(made, 1.0)


for _count, _size, _text in ((10, 1 << 20, "10x1M"), (200, 1 << 10, "200x1K")):
    # reads p, g, m, v; writes p, m, v
    _known = {"bytes": 28.0 * _count * _size}
    add("optim", f"adamw-{_text}", step("AdamW", _count, _size), **_known)
    fused = step("AdamW", _count, _size, fused=True)
    add("optim", f"adamw-{_text}-fused", step("AdamW", _count, _size), torch=fused, **_known)  # torch's fused=True
add("optim", "sgd-momentum-10x1M", step("SGD", 10, 1 << 20, momentum=0.9), bytes=20.0 * 10 * (1 << 20))
add("optim", "clip_grad_norm-200x1K", clip)
