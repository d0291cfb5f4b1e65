# SPDX-License-Identifier: MIT
"""Matrix products."""

from __future__ import annotations

from typing import Any

from .registry import add, add_op


def product(lib: Any, a: Any, b: Any) -> Any:
    return a @ b


def add_gemm(name: str, m: int, k: int, n: int, batch: tuple[int, ...] = (), dtype: str = "float32", **known: Any) -> None:
    peers = {"numpy": product, "jax": product} if dtype != "bfloat16" else {}
    shapes, flops = [(*batch, m, k), (*batch, k, n)], 2.0 * m * k * n
    for size in batch:
        flops *= size
    add_op("gemm", name, product, shapes, backward=None, dtype=dtype, flops=flops, **peers, **known)


for _n in (64, 256, 512, 1024, 2048):
    add_gemm(f"sgemm-{_n}", _n, _n, _n)
for _n in (16, 32, 96, 128, 192, 384, 768, 1536, 3072, 4096):
    add_gemm(f"sgemm-{_n}", _n, _n, _n, sweep=True)
add_gemm("dgemm-1024", 1024, 1024, 1024, dtype="float64")
add_gemm("bf16gemm-1024", 1024, 1024, 1024, dtype="bfloat16")
add_gemm("sgemm-4096x64x64", 4096, 64, 64)
add_gemm("sgemm-batch64-64", 64, 64, 64, batch=(64,))


def int8_product(lib: Any) -> Any:
    """Codes of -127 to 127, the right operand transposed as a weight is."""
    a, b = (lib.randint(-127, 128, (1024, 1024)).to(lib.int8) for _ in range(2))
    multiply = lib._int_mm if hasattr(lib, "_int_mm") else lib.int_mm
    return lambda: multiply(a, b.t())


add("gemm", "int8gemm-1024", int8_product, dtype="int8", flops=2.0 * 1024**3)
add_op("gemm", "vector-4096x4096", product, [(4096,), (4096, 4096)], backward=None, bytes=4.0 * 4096 * 4096)


def linear(lib: Any, x: Any, w: Any, b: Any = None) -> Any:
    return lib.nn.functional.linear(x, w, b)


def linear_relu(lib: Any, x: Any, w: Any, b: Any) -> Any:
    return lib.nn.functional.relu(lib.nn.functional.linear(x, w, b))


def add_linear(name: str, fn: Any, m: int, k: int, n: int, bias: bool = True, **known: Any) -> None:
    shapes = [(m, k), (n, k), *([(n,)] if bias else [])]
    add_op("gemm", name, fn, shapes, flops=2.0 * m * k * n, **known)


# one token and eight through a layer of 4096: the weight is read once, so bytes tell the limit
add_op("gemm", "linear-1x4096x4096", linear, [(1, 4096), (4096, 4096)], backward=None, bytes=4.0 * 4096 * 4096)
add_op("gemm", "linear-8x4096x4096", linear, [(8, 4096), (4096, 4096)], backward=None, bytes=4.0 * 4096 * 4096)
add_linear("linear-256x1024x1024", linear, 256, 1024, 1024)
add_linear("linear-256x512x10", linear, 256, 512, 10, jax=lambda jax, x, w, b: x @ w.T + b)  # a classifier's head
add_linear("linear-2048x1024x8", linear, 2048, 1024, 8, jax=lambda jax, x, w, b: x @ w.T + b)  # a router's
add_linear(
    "linear-relu-256x1024x1024", linear_relu, 256, 1024, 1024, compile=True,
    jax=lambda jax, x, w, b: jax.nn.relu(x @ w.T + b),
)  # fmt: skip
