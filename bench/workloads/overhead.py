# SPDX-License-Identifier: MIT
"""What a call costs beside its arithmetic: tiny operands, chains of small ops, the start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from .registry import Build, add, arrays


def small_add(lib: Any) -> Callable[[], Any]:
    a, b = lib.randn(16), lib.randn(16)
    return lambda: a + b


def small_add_numpy(np: Any) -> Callable[[], Any]:
    a, b = arrays([(16,), (16,)])
    return lambda: a + b


def small_add_grad(lib: Any) -> Callable[[], Any]:
    a, b = lib.randn(16).requires_grad_(), lib.randn(16).requires_grad_()
    return lambda: a + b


def chain(lib: Any) -> Callable[[], Any]:
    """400 small ops and their backward: what recording costs."""
    a, b = lib.randn(16).requires_grad_(), lib.randn(16).requires_grad_()

    def call() -> None:
        y = a
        for _ in range(100):
            y = (y * b + a).tanh() - b
        y.backward(b.detach())
        a.grad = b.grad = None

    return call


add("overhead", "add-16", small_add, numpy=small_add_numpy)
add("overhead", "add-16-grad", small_add_grad)
add("overhead", "chain-400x16-train", chain)


def start(name: str) -> Build:
    def build(lib: Any) -> Callable[[], float]:
        code = f"from time import perf_counter as t; a = t(); import {name}; print(t() - a)"
        return lambda: float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)

    return build


add("overhead", "import", start("lamella"), torch=start("torch"), jax=start("jax"), numpy=start("numpy"))
