# SPDX-License-Identifier: MIT
"""Maps over 16 M floats, sums, and random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .registry import add, add_op

MILLIONS = 1 << 24


def add_map(name: str, fn: Any, numpy: Any, jax: Any, passes: int = 2, backward: float | None = 1.5) -> None:
    """fn(library, x) over 16 M floats, reading and writing `passes` times that."""
    peers = {"numpy": numpy, "jax": jax, "compile": True}
    add_op("elementwise", f"{name}-16M", fn, [(MILLIONS,)], bytes=4.0 * passes * MILLIONS, backward=backward, **peers)


def activation(name: str) -> Callable[[Any, Any], Any]:
    return lambda lib, x: getattr(lib.nn.functional, name)(x)


add_map("relu", activation("relu"), lambda np, x: np.maximum(x, 0), lambda jax, x: jax.nn.relu(x))
add_map("gelu", activation("gelu"), None, lambda jax, x: jax.nn.gelu(x, approximate=False))
add_map("silu", activation("silu"), lambda np, x: x / (1 + np.exp(-x)), lambda jax, x: jax.nn.silu(x))
add_map("sigmoid", lambda lib, x: lib.sigmoid(x), lambda np, x: 1 / (1 + np.exp(-x)), lambda jax, x: jax.nn.sigmoid(x))
add_map("tanh", lambda lib, x: lib.tanh(x), lambda np, x: np.tanh(x), lambda jax, x: jax.numpy.tanh(x))
add_map("exp", lambda lib, x: lib.exp(x), lambda np, x: np.exp(x), lambda jax, x: jax.numpy.exp(x))
add_map("sum", lambda lib, x: x.sum(), lambda np, x: x.sum(), lambda jax, x: x.sum(), passes=1, backward=1.0)


def plus(lib: Any, a: Any, b: Any) -> Any:
    return a + b


# backward: dy is copied for each operand
add_op(
    "elementwise", "add-16M", plus, [(MILLIONS,)] * 2, bytes=12.0 * MILLIONS, backward=4 / 3, numpy=plus, jax=plus,
    compile=True,
)  # fmt: skip
add_op(
    "elementwise", "dropout-16M", lambda lib, x: lib.nn.functional.dropout(x, 0.1), [(MILLIONS,)], bytes=8.0 * MILLIONS,
    backward=1.0,
)  # fmt: skip
add_op(
    "elementwise", "pow-float64-1M", lambda lib, x: lib.pow(lib.exp(x), 2.5), [(1 << 20,)], dtype="float64", bytes=32.0 * (1 << 20), backward=None,
    numpy=lambda np, x: np.exp(x) ** 2.5,
)  # fmt: skip
add("elementwise", "randn-16M", lambda lib: lambda: lib.randn(MILLIONS), bytes=4.0 * MILLIONS)

# broadcast over rows too short for the row to pay for itself, and masks
BROADCAST = {"bias": (32,), "column": (1 << 15, 1)}
for _name, _shape in BROADCAST.items():
    add_op(
        "elementwise", f"add-{_name}-32Kx32", plus, [(1 << 15, 32), _shape], bytes=8.0 * (1 << 20), backward=None, numpy=plus,
        jax=plus,
    )  # fmt: skip


def masked(fn: Callable[[Any, Any, Any], Any]) -> Callable[[Any], Callable[[], Any]]:
    """fn(library, x, mask) of a million numbers, half of them masked."""

    def build(lib: Any) -> Callable[[], Any]:
        x = lib.randn(1024, 1024)
        mask = x > 0
        return lambda: fn(lib, x, mask)

    return build


add("elementwise", "where-1M", masked(lambda lib, x, mask: lib.where(mask, x, 0.0)), bytes=9.0 * (1 << 20))
add("elementwise", "masked_fill-1M", masked(lambda lib, x, mask: x.masked_fill(~mask, 0.0)), bytes=11.0 * (1 << 20))

add_op(
    "elementwise", "add-bf16-1M", plus, [(1 << 20,)] * 2, bytes=6.0 * (1 << 20), dtype="bfloat16", backward=None, jax=plus,
)  # fmt: skip


def power(lib: Any) -> Callable[[], Any]:
    x = lib.rand(1 << 20)
    return lambda: x**0.7


add("elementwise", "pow-1M", power, bytes=8.0 * (1 << 20))

for _log in range(8, 27, 2):
    add_op(
        "elementwise", f"relu-2^{_log}", activation("relu"), [(1 << _log,)], bytes=8.0 * (1 << _log), backward=None, sweep=True
    )
