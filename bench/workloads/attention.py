# SPDX-License-Identifier: MIT
"""Scaled dot-product attention, heads of 64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .registry import add, add_op


def add_attention(
    name: str, heads: int, queries: int, keys: int, causal: bool = False, backward: float | None = 2.5, **known: Any
) -> None:
    """heads: those of the whole batch, two sequences. Causal work counts as half."""

    def attend(lib: Any, q: Any, k: Any, v: Any) -> Any:
        return lib.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    def jax_attend(jax: Any, q: Any, k: Any, v: Any) -> Any:
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
        return jax.nn.dot_product_attention(q, k, v, is_causal=causal)

    shapes = [(2, heads // 2, n, 64) for n in (queries, keys, keys)]
    flops = 4.0 * heads * queries * keys * 64 / (2 if causal else 1)
    add_op(
        "attention", f"attention-{name}", attend, shapes, flops=flops, backward=backward, jax=jax_attend,
        needs=("nn.functional.scaled_dot_product_attention",), **known,
    )  # fmt: skip


add_attention("256", 24, 256, 256)
add_attention("1024", 24, 1024, 1024)
add_attention("1024-causal", 24, 1024, 1024, causal=True)
add_attention("decode-2048", 24, 1, 2048, backward=None)
for _t in (32, 64, 128, 512, 2048, 4096):
    add_attention(f"{_t}-causal", 24, _t, _t, causal=True, backward=None, sweep=True)


def rotary(lib: Any) -> Callable[[], Any]:
    x, angles = lib.randn(2, 12, 1024, 64), lib.randn(1024, 32)
    cos, sin = angles.cos(), angles.sin()
    return lambda: lib.rotary_embedding(x, cos, sin)


def rotary_torch(lib: Any) -> Callable[[], Any]:  # as Hugging Face spells it
    x, angles = lib.randn(2, 12, 1024, 64), lib.randn(1024, 32).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()
    return lambda: x * cos + lib.cat((-x[..., 32:], x[..., :32]), -1) * sin


add("attention", "rotary-24x1024x64", rotary, torch=rotary_torch, bytes=8.0 * 24 * 1024 * 64)
