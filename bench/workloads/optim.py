# SPDX-License-Identifier: MIT
"""Optimiser steps, averages of weights and gradient clipping: few large parameters, many small ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .registry import Build, add


def parameters(lib: Any, count: int, *shape: int) -> list[Any]:
    made = [lib.randn(shape).requires_grad_() for _ in range(count)]
    for p in made:
        p.grad = lib.randn(shape)
    return made


def step(optimiser: str, count: int, *shape: int, **options: Any) -> Build:
    return lambda lib: getattr(lib.optim, optimiser)(parameters(lib, count, *shape), lr=1e-4, **options).step


def clip(lib: Any) -> Callable[[], Any]:
    made = parameters(lib, 200, 1 << 10)
    return lambda: lib.nn.utils.clip_grad_norm_(made, 1.0)


def average(count: int, size: int) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        averaged, current = ([lib.randn(size) for _ in range(count)] for _ in range(2))
        update = lib.optim.swa_utils.get_ema_multi_avg_fn(0.999)
        return lambda: update(averaged, current, 1)

    return build


# name: (optimiser, options, floats read and written per element, what makes torch's fastest form)
FUSED, FOREACH = {"fused": True}, {"foreach": True}
ROWS = {
    "adamw": ("AdamW", {}, 7, FUSED),
    "adam-amsgrad": ("Adam", {"amsgrad": True}, 9, FUSED),
    "sgd": ("SGD", {}, 3, FUSED),
    "sgd-momentum": ("SGD", {"momentum": 0.9}, 5, FUSED),
    "adagrad": ("Adagrad", {}, 5, FUSED),
    "nadam": ("NAdam", {}, 7, FOREACH),
    "radam": ("RAdam", {}, 7, FOREACH),
    "adamax": ("Adamax", {}, 7, FOREACH),
    "adadelta": ("Adadelta", {}, 7, FOREACH),
    "rmsprop": ("RMSprop", {}, 5, FOREACH),
    "rmsprop-centered-momentum": ("RMSprop", {"centered": True, "momentum": 0.9}, 9, FOREACH),
    "rprop": ("Rprop", {}, 7, FOREACH),
    "asgd": ("ASGD", {}, 5, FOREACH),
    "lion": ("Lion", {}, 5, {}),  # these three torch has not
    "lars": ("LARS", {"weight_decay": 0.1}, 7, {}),
    "lamb": ("LAMB", {}, 10, {}),
}
for _count, _size, _text in ((10, 1 << 20, "10x1M"), (200, 1 << 10, "200x1K")):
    for _name, (_optimiser, _options, _floats, _fastest) in ROWS.items():
        add(
            "optim", f"{_name}-{_text}", step(_optimiser, _count, _size, **_options),
            torch=step(_optimiser, _count, _size, **_options, **_fastest),
            bytes=4.0 * _floats * _count * _size, needs=(f"optim.{_optimiser}",),
        )  # fmt: skip
    add("optim", f"ema-{_text}", average(_count, _size), bytes=12.0 * _count * _size)
add("optim", "muon-8x768x768", step("Muon", 8, 768, 768), flops=8 * 5 * 3 * 2.0 * 768**3, needs=("optim.Muon",))
add("optim", "muon-50x64x64", step("Muon", 50, 64, 64), flops=50 * 5 * 3 * 2.0 * 64**3, needs=("optim.Muon",))
add("optim", "clip_grad_norm-200x1K", clip)
