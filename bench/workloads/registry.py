# SPDX-License-Identifier: MIT
"""What is timed, and how a row is added: one function serves lamella and torch alike, since the names are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Build = Callable[[Any], Callable[[], Any]]  # library -> the call to time


@dataclass(frozen=True)
class Workload:
    name: str
    family: str  # the file that adds it
    flops: float = 0.0  # per call; shown as GFLOP/s and share of the FMA peak of `dtype`
    bytes: float = 0.0  # per call; shown as GB/s and share of the triad
    dtype: str = "float32"
    needs: tuple[str, ...] = ()  # names below the library; where one is missing the row is left out
    memory: bool = False  # its peak memory is measured too
    sweep: bool = False  # one size of many: run by --sweep only
    builds: dict[str, Build] = field(default_factory=dict)  # by peer


WORKLOADS: dict[str, Workload] = {}


def add(
    family: str,
    name: str,
    api: Build | None = None,
    *,
    numpy: Build | None = None,
    jax: Build | None = None,
    torch: Build | None = None,
    compiled: Build | None = None,
    **known: Any,
) -> None:
    """A row. `api` builds lamella's call and torch's, unless `torch` is given; `compiled` that of torch.compile."""
    assert name not in WORKLOADS, name
    builds = {"lamella": api, "torch": torch or api, "torch-compiled": compiled, "jax": jax, "numpy": numpy}
    WORKLOADS[name] = Workload(name, family, builds={k: v for k, v in builds.items() if v}, **known)


class Index(NamedTuple):
    """An input of random integers in [0, high)."""

    high: int
    shape: tuple[int, ...]


Input = tuple[int, ...] | Index  # the shape of normal float32 numbers, or integers
Function = Callable[..., Any]  # (library, *inputs) -> result


def tensors(lib: Any, inputs: Sequence[Input], dtype: str = "float32") -> list[Any]:
    kind = getattr(lib, dtype)
    return [
        lib.randint(0, i.high, i.shape) if isinstance(i, Index) else lib.randn(i).to(kind) for i in inputs
    ]


def arrays(inputs: Sequence[Input], dtype: str = "float32") -> list[Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    return [
        rng.integers(0, i.high, i.shape) if isinstance(i, Index) else rng.standard_normal(i).astype(dtype)
        for i in inputs
    ]


def forward(lib: Any, fn: Function, inputs: Sequence[Input], dtype: str) -> Callable[[], Any]:
    """The call without gradient."""
    given = tensors(lib, inputs, dtype)

    def call() -> None:
        with lib.no_grad():
            fn(lib, *given)

    return call


def train(lib: Any, fn: Function, inputs: Sequence[Input], dtype: str) -> Callable[[], Any]:
    """The call and its backward, to every floating input."""
    given = tensors(lib, inputs, dtype)
    floating = [x.requires_grad_() for x in given if x.is_floating_point()]
    y = fn(lib, *given)
    dy = lib.randn(tuple(y.shape)).to(y.dtype)

    def call() -> None:
        fn(lib, *given).backward(dy)
        for x in floating:
            x.grad = None

    return call


def compiled(lib: Any, fn: Function) -> Function:
    """torch.compile of fn, called as fn is."""
    made = lib.compile(lambda *inputs: fn(lib, *inputs))
    return lambda lib, *inputs: made(*inputs)


def jax_forward(lib: Any, fn: Function, inputs: Sequence[Input], dtype: str) -> Callable[[], Any]:
    given = [lib.numpy.asarray(x) for x in arrays(inputs, dtype)]
    made = lib.jit(lambda *given: fn(lib, *given))
    return lambda: lib.block_until_ready(made(*given))


def jax_train(lib: Any, fn: Function, inputs: Sequence[Input], dtype: str) -> Callable[[], Any]:
    given = [lib.numpy.asarray(x) for x in arrays(inputs, dtype)]
    moving = [i for i, kind in enumerate(inputs) if not isinstance(kind, Index)]

    def both(given: list[Any], dy: Any) -> Any:
        def of_moving(*moved: Any) -> Any:
            full = list(given)
            for i, x in zip(moving, moved, strict=True):
                full[i] = x
            return fn(lib, *full)

        y, back = lib.vjp(of_moving, *(given[i] for i in moving))
        return y, back(dy)

    shape = lib.eval_shape(lambda *given: fn(lib, *given), *given)
    dy = lib.numpy.asarray(arrays([shape.shape], dtype)[0]).astype(shape.dtype)
    made = lib.jit(both)
    return lambda: lib.block_until_ready(made(given, dy))


def numpy_forward(lib: Any, fn: Function, inputs: Sequence[Input], dtype: str) -> Callable[[], Any]:
    given = arrays(inputs, dtype)
    return lambda: fn(lib, *given)


def add_op(
    family: str,
    name: str,
    fn: Function,
    inputs: Sequence[Input],
    *,
    backward: float | None = 2.0,
    compile: bool = False,
    numpy: Function | None = None,
    jax: Function | None = None,
    dtype: str = "float32",
    flops: float = 0.0,
    bytes: float = 0.0,
    **known: Any,
) -> None:
    """The rows `name`, without gradient, and `name`-train, forward and backward.

    backward: its work in units of the forward's; None for no such row. compile: torch.compile is a peer here.
    numpy, jax: the function in their words.
    """

    def build(how: Callable[..., Any], fn: Function | None) -> Build | None:
        return None if fn is None else lambda lib: how(lib, fn, inputs, dtype)

    def build_compiled(how: Callable[..., Any]) -> Build | None:
        return (lambda lib: how(lib, compiled(lib, fn), inputs, dtype)) if compile else None

    add(
        family, name, build(forward, fn), compiled=build_compiled(forward), numpy=build(numpy_forward, numpy),
        jax=build(jax_forward, jax), dtype=dtype, flops=flops, bytes=bytes, **known,
    )  # fmt: skip
    if backward is not None:
        scale = 1 + backward
        add(
            family, f"{name}-train", build(train, fn), compiled=build_compiled(train), jax=build(jax_train, jax),
            dtype=dtype, flops=flops * scale, bytes=bytes * scale, **known,
        )  # fmt: skip
