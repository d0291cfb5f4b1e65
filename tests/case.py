# SPDX-License-Identifier: MIT
"""The record of an op: stated once in cases/<family>.py, from which the runners make every check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FLOATS = ("float32", "float64")
ALL_FLOATS = ("float32", "float64", "bfloat16", "float16")

# Largest allowed |got - ref| / (|ref| + scale of ref), per dtype.
TOLERANCE = {"float32": 2e-6, "float64": 1e-12, "bfloat16": 1.2e-2, "float16": 2e-3}


@dataclass(frozen=True)
class A:
    """A floating array argument: normal values, or uniform in [low, high) where given; `special` are put in front."""

    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    special: tuple[float, ...] = ()
    grad: bool = True  # differentiated by the gradient checks

    def make(self, rng: np.random.Generator) -> np.ndarray:
        if self.low is None:
            x = rng.standard_normal(self.shape)
        else:
            x = rng.uniform(self.low, self.high, self.shape)
        x = np.asarray(x, dtype=np.float64)
        x.reshape(-1)[: len(self.special)] = self.special[: x.size]
        return x


@dataclass(frozen=True)
class I:  # noqa: E742
    """An integer array argument, uniform in [low, high)."""

    shape: tuple[int, ...]
    low: int = 0
    high: int = 10
    dtype: str = "int64"

    def make(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(self.low, self.high, self.shape).astype(self.dtype)


@dataclass(frozen=True)
class B:
    """A boolean array argument, true with chance p."""

    shape: tuple[int, ...]
    p: float = 0.5

    def make(self, rng: np.random.Generator) -> np.ndarray:
        return rng.random(self.shape) < self.p


@dataclass(frozen=True)
class Sample:
    """One call: positional arguments (A, I, B or plain values) and keywords (likewise)."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


def S(*args: Any, **kwargs: Any) -> Sample:
    return Sample(args, kwargs)


@dataclass(frozen=True)
class Bad:
    """A call that must fail: `call()` raises `error` with `text` somewhere in its message."""

    call: Callable[[], Any]
    error: type[Exception]
    text: str


@dataclass(frozen=True)
class Case:
    op: str  # as in test ids
    fn: Callable[..., Any]  # on lamella Tensors and plain values; returns a Tensor or a tuple of them
    ref: Callable[..., Any]  # the same on float64 (int64, bool) NumPy arrays: the definition
    samples: Sequence[Sample]
    kernels: tuple[str, ...] = ()  # names of lamella.kernels() that these calls run
    dtypes: tuple[str, ...] = FLOATS
    tol: dict[str, float] = field(default_factory=dict)  # overrides of TOLERANCE
    grad: bool = True  # gradient check against finite differences, float64
    grad2: bool = True  # the same of the gradient
    layouts: bool = True  # also with transposed, sliced and offset copies of each array argument
    bad: Sequence[Bad] = ()


def load_all() -> list[Case]:
    """Every record of tests/cases, in file order: each module there has a list CASES."""
    import importlib
    from pathlib import Path

    found: list[Case] = []
    for path in sorted((Path(__file__).parent / "cases").glob("*.py")):
        if path.stem != "__init__":
            found += importlib.import_module(f"cases.{path.stem}").CASES
    return found
