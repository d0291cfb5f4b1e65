# SPDX-License-Identifier: MIT
"""What is timed. `api` builds a call from lamella or torch alike: the names are the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Build = Callable[[Any], Callable[[], Any]]  # library -> the call to time


@dataclass(frozen=True)
class Workload:
    name: str
    flops: float = 0.0  # per call; shown as GFLOP/s and share of the FMA peak of `dtype`
    bytes: float = 0.0  # per call; shown as GB/s and share of the triad
    dtype: str = "float32"
    builds: dict[str, Build] = field(default_factory=dict)  # by library


WORKLOADS: dict[str, Workload] = {}


def add(
    name: str, api: Build | None = None, *, numpy: Build | None = None, jax: Build | None = None, **known: Any
) -> None:
    builds = {"lamella": api, "torch": api, "numpy": numpy, "jax": jax}
    WORKLOADS[name] = Workload(name, builds={k: v for k, v in builds.items() if v}, **known)


def jitted(fn: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    import jax

    compiled = jax.jit(fn)
    return lambda: jax.block_until_ready(compiled(*args))


def random(np: Any, *shape: int, dtype: str = "float32") -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


# --- matrix products -------------------------------------------------------------------------------------------------
def add_gemm(n: int, dtype: str) -> None:
    def api(lib: Any) -> Callable[[], Any]:
        a, b = (lib.randn(n, n, dtype=getattr(lib, dtype)) for _ in range(2))
        return lambda: a @ b

    def numpy(np: Any) -> Callable[[], Any]:
        a, b = random(np, n, n, dtype=dtype), random(np, n, n, dtype=dtype)
        return lambda: a @ b

    def jax(lib: Any) -> Callable[[], Any]:
        import numpy as np

        return jitted(lambda a, b: a @ b, *(lib.numpy.asarray(random(np, n, n, dtype=dtype)) for _ in range(2)))

    letter = {"float32": "s", "float64": "d"}[dtype]
    add(f"{letter}gemm-{n}", api, numpy=numpy, jax=jax, flops=2.0 * n**3, dtype=dtype)


for _n in (64, 256, 512, 1024):
    add_gemm(_n, "float32")
add_gemm(1024, "float64")


# --- elementwise -----------------------------------------------------------------------------------------------------
MILLIONS = 1 << 24


def add_map(name: str, op: Callable[[Any, Any], Any], numpy: Any, jax: Any, passes: int = 2) -> None:
    """op(library, x) over 16 M floats."""

    def api(lib: Any) -> Callable[[], Any]:
        x = lib.randn(MILLIONS)
        return lambda: op(lib, x)

    def numpy_build(np: Any) -> Callable[[], Any]:
        x = random(np, MILLIONS)
        return lambda: numpy(np, x)

    def jax_build(lib: Any) -> Callable[[], Any]:
        import numpy as np

        return jitted(lambda x: jax(lib, x), lib.numpy.asarray(random(np, MILLIONS)))

    builds = {"numpy": numpy_build if numpy else None, "jax": jax_build if jax else None}
    add(f"{name}-16M", api, **builds, bytes=4.0 * passes * MILLIONS)


add_map("relu", lambda lib, x: lib.nn.functional.relu(x), lambda np, x: np.maximum(x, 0), lambda jax, x: jax.nn.relu(x))
add_map("gelu", lambda lib, x: lib.nn.functional.gelu(x), None, lambda jax, x: jax.nn.gelu(x, approximate=False))
add_map("exp", lambda lib, x: lib.exp(x), lambda np, x: np.exp(x), lambda jax, x: jax.numpy.exp(x))
add_map("add", lambda lib, x: x + x, lambda np, x: x + x, lambda jax, x: x + x)
add_map("sum", lambda lib, x: x.sum(), lambda np, x: x.sum(), lambda jax, x: x.sum(), passes=1)


def small_add(lib: Any) -> Callable[[], Any]:
    a, b = lib.randn(16), lib.randn(16)
    return lambda: a + b


def small_add_numpy(np: Any) -> Callable[[], Any]:
    a, b = random(np, 16), random(np, 16)
    return lambda: a + b


def small_add_grad(lib: Any) -> Callable[[], Any]:
    a, b = lib.randn(16).requires_grad_(), lib.randn(16).requires_grad_()
    return lambda: a + b


def small_chain(lib: Any) -> Callable[[], Any]:
    """Ten small ops and their backward: what recording costs."""
    a, b = lib.randn(16).requires_grad_(), lib.randn(16).requires_grad_()

    def call() -> None:
        y = a
        for _ in range(5):
            y = (y * b + a).tanh() if _ % 2 else y * b - a
        y.sum().backward()
        a.grad = b.grad = None

    return call


add("add-16", small_add, numpy=small_add_numpy)
add("add-16-grad", small_add_grad)
add("chain-16-backward", small_chain)


# --- layers, forward and backward ------------------------------------------------------------------------------------
def layer(make: Callable[[Any], tuple[Callable[..., Any], list[Any]]]) -> tuple[Build, Build]:
    """From make(lib) -> (function, inputs): the forward call without gradient, and forward with backward."""

    def forward(lib: Any) -> Callable[[], Any]:
        fn, inputs = make(lib)

        def call() -> None:
            with lib.no_grad():
                fn(*inputs)

        return call

    def both(lib: Any) -> Callable[[], Any]:
        fn, inputs = make(lib)
        inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
        y = fn(*inputs)
        dy = lib.randn(tuple(y.shape))

        def call() -> None:
            fn(*inputs).backward(dy)
            for x in inputs:
                x.grad = None

        return call

    return forward, both


def add_layer(name: str, make: Callable[[Any], Any], backward: float = 2.0, **known: Any) -> None:
    """`backward`: its work in units of the forward's."""
    forward, both = layer(make)
    add(name, forward, **known)
    scaled = {k: v * (1 + backward) if k in ("flops", "bytes") else v for k, v in known.items()}
    add(f"{name}-train", both, **scaled)


def add_conv(name: str, n: int, c: int, k: int, size: int, kernel: int, pad: int = 0) -> None:
    def make(lib: Any) -> Any:
        x, w, b = lib.randn(n, c, size, size), lib.randn(k, c, kernel, kernel), lib.randn(k)
        return (lambda x, w, b: lib.nn.functional.conv2d(x, w, b, padding=pad)), [x, w, b]

    out = size + 2 * pad - kernel + 1
    add_layer(f"conv2d-{name}", make, flops=2.0 * n * k * out * out * c * kernel * kernel)


add_conv("lenet1", 64, 1, 6, 28, 5, pad=2)
add_conv("lenet2", 64, 6, 16, 14, 5)
add_conv("3x3-64@56", 8, 64, 64, 56, 3, pad=1)
add_conv("1x1-256@14", 8, 256, 256, 14, 1)


def on(*shape: int) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any], Any]]:
    """make(lib) for a function (lib, x) of one random input."""
    return lambda fn: lambda lib: ((lambda x: fn(lib, x)), [lib.randn(*shape)])


def add_norms() -> None:
    def batch_norm(lib: Any) -> Any:
        mean, var = lib.zeros(64), lib.ones(64)
        x, w, b = lib.randn(32, 64, 28, 28), lib.randn(64), lib.randn(64)
        return (lambda x, w, b: lib.nn.functional.batch_norm(x, mean, var, w, b, training=True)), [x, w, b]

    def layer_norm(lib: Any) -> Any:
        x, w, b = lib.randn(4096, 768), lib.randn(768), lib.randn(768)
        return (lambda x, w, b: lib.nn.functional.layer_norm(x, (768,), w, b)), [x, w, b]

    add_layer("batch_norm-64@28", batch_norm, bytes=8.0 * 32 * 64 * 28 * 28, backward=1.5)
    add_layer("layer_norm-4096x768", layer_norm, bytes=8.0 * 4096 * 768, backward=1.5)


add_norms()
pool = on(64, 32, 28, 28)(lambda lib, x: lib.nn.functional.max_pool2d(x, 2))
add_layer("max_pool-32@28", pool, bytes=5.0 * 64 * 32 * 28 * 28, backward=1.0)
add_layer(
    "softmax-4096x1024",
    on(4096, 1024)(lambda lib, x: lib.nn.functional.softmax(x, dim=-1)),
    bytes=8.0 * 4096 * 1024,
    backward=1.5,
)


def cross_entropy(lib: Any) -> Any:
    target = lib.randint(0, 10000, (512,))
    return (lambda x: lib.nn.functional.cross_entropy(x, target)), [lib.randn(512, 10000)]


def embedding(lib: Any) -> Any:
    index = lib.randint(0, 30000, (64, 128))
    return (lambda w: lib.nn.functional.embedding(index, w)), [lib.randn(30000, 256)]


add_layer("cross_entropy-512x10000", cross_entropy, bytes=4.0 * 512 * 10000, backward=2.0)
add_layer("embedding-8192x256", embedding, bytes=8.0 * 8192 * 256, backward=1.0)


def linear(lib: Any) -> Any:
    return lib.nn.functional.linear, [lib.randn(256, 1024), lib.randn(1024, 1024), lib.randn(1024)]


add_layer("linear-256x1024x1024", linear, flops=2.0 * 256 * 1024 * 1024)


# --- training steps --------------------------------------------------------------------------------------------------
def adamw(lib: Any) -> Callable[[], Any]:
    """One step over ten million parameters in forty tensors."""
    parameters = [lib.randn(512, 512).requires_grad_() for _ in range(40)]
    for p in parameters:
        p.grad = lib.randn(512, 512)
    return lib.optim.AdamW(parameters, lr=1e-3).step


add("adamw-10M", adamw, bytes=28.0 * 40 * 512 * 512)  # reads p, g, m, v; writes p, m, v


def training(make: Callable[[Any], tuple[Any, Any, Any]]) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        model, x, target = make(lib)
        optimiser = lib.optim.AdamW(model.parameters(), lr=1e-3)

        def step() -> None:
            optimiser.zero_grad()
            lib.nn.functional.cross_entropy(model(x), target).backward()
            optimiser.step()

        return step

    return build


def mlp(lib: Any) -> Any:
    nn = lib.nn
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    return model, lib.randn(32, 64), lib.randint(0, 10, (32,))


def lenet(lib: Any) -> Any:
    nn = lib.nn
    model = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )
    return model, lib.randn(64, 1, 28, 28), lib.randint(0, 10, (64,))


add("mlp-step-32", training(mlp))
add("lenet5-step-64", training(lenet))


# --- start -----------------------------------------------------------------------------------------------------------
def add_import(name: str) -> Build:
    def build(lib: Any) -> Callable[[], float]:
        code = f"from time import perf_counter as t; a = t(); import {name}; print(t() - a)"
        return lambda: float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)

    return build


WORKLOADS["import"] = Workload("import", builds={n: add_import(n) for n in ("lamella", "torch", "jax", "numpy")})
