# SPDX-License-Identifier: MIT
"""What the runners share: samples made into arrays, arrays into Tensors, results held against the reference."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import lamella
from case import TOLERANCE, A, B, Case, I, load_all
from lamella import _core

CASES = load_all()
ISAS = tuple(_core.isas())  # those of this machine, best last
DEFAULT_ISA = os.environ.get("LAMELLA_ISA") or ISAS[-1]
THREADS = (1, 2, 3, 5)


_OWN = {isa: set(_core.own_kernels(isa)) for isa in ISAS}
_SHARING = {isa for isa, own in _OWN.items() if len(own) < len(lamella.kernels()) // 2}  # another's table with a few replaced


def isas_of(case: Case) -> list[str]:
    """Those on which the case is another check: of an ISA that shares most kernels with another, the rest alone."""
    return [isa for isa in ISAS if isa not in _SHARING or _OWN[isa] & set(case.kernels)]


@contextlib.contextmanager
def running(isa: str = DEFAULT_ISA, threads: int | None = None) -> Iterator[None]:
    """Kernels of this ISA, with this many threads, for the time of the block."""
    before = lamella.get_num_threads()
    _core.set_isa(isa)
    lamella.set_num_threads(threads or before)
    try:
        yield
    finally:
        _core.set_isa(DEFAULT_ISA)
        lamella.set_num_threads(before)


# --- dtypes ----------------------------------------------------------------------------------------------------------
def name_of(dtype: Any) -> str:
    """'float32' of lamella.float32 or np.float32."""
    return str(dtype).rsplit(".", 1)[-1]


def round_to(x: np.ndarray, dtype: str) -> np.ndarray:
    """The values of x as `dtype` holds them, in float64."""
    with np.errstate(over="ignore"):
        if dtype == "bfloat16":  # round to nearest even on the upper half of a float32
            u = np.array(x, np.float32).view(np.uint32)
            u = (u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
            return np.where(np.isnan(x), x, u.view(np.float32).astype(np.float64))
        return x.astype(dtype).astype(np.float64)


def to_tensor(x: np.ndarray, dtype: str) -> lamella.Tensor:
    """A fresh Tensor: floats in `dtype`, integers and booleans in their own."""
    t = lamella.from_numpy(np.array(x, order="C"))
    return t.to(getattr(lamella, dtype)) if x.dtype.kind == "f" else t


def to_numpy(t: lamella.Tensor) -> np.ndarray:
    """The values, floats in float64."""
    t = t.detach()
    return (t.to(lamella.float64) if t.dtype.is_floating_point else t).numpy()


def bits(t: lamella.Tensor) -> bytes:
    t = t.detach()
    return np.ascontiguousarray((t.to(lamella.float32) if name_of(t.dtype) == "bfloat16" else t).numpy()).tobytes()


# --- calls -----------------------------------------------------------------------------------------------------------
class Call:
    """One sample of a case with its array arguments drawn: `leaves` are float64 (rounded to dtype), integer or bool."""

    def __init__(self, case: Case, index: int, dtype: str, special: bool = True):
        self.case, self.dtype = case, dtype
        sample = case.samples[index]
        rng = np.random.default_rng(zlib.crc32(f"{case.op}-{index}".encode()))
        self.leaves: list[np.ndarray] = []
        self.differentiable: list[bool] = []

        def draw(value: Any) -> Any:
            if isinstance(value, A | I | B):
                if isinstance(value, A) and not special:
                    value = replace(value, special=())
                x = value.make(rng)
                self.differentiable.append(isinstance(value, A) and value.grad)
            elif isinstance(value, np.ndarray):
                x = value
                self.differentiable.append(False)
            elif isinstance(value, list | tuple):
                return type(value)(map(draw, value))
            else:
                return value
            self.leaves.append(round_to(x, dtype) if x.dtype.kind == "f" else x)
            return _Slot(len(self.leaves) - 1)

        self._args = draw(tuple(sample.args))
        self._kwargs = {k: draw(v) for k, v in sample.kwargs.items()}

    def run(self, fn: Callable[..., Any], leaves: Sequence[Any]) -> tuple[Any, ...]:
        """fn with these in place of the leaves; always a tuple of results."""

        def fill(value: Any) -> Any:
            if isinstance(value, _Slot):
                return leaves[value.at]
            return type(value)(map(fill, value)) if isinstance(value, list | tuple) else value

        out = fn(*fill(self._args), **{k: fill(v) for k, v in self._kwargs.items()})
        return tuple(out) if isinstance(out, list | tuple) else (out,)

    def reference(self) -> tuple[np.ndarray, ...]:
        with np.errstate(all="ignore"):
            return tuple(np.asarray(r) for r in self.run(self.case.ref, [x.copy() for x in self.leaves]))

    def tensors(self, dtype: str | None = None, grad: bool = False) -> list[lamella.Tensor]:
        made = [to_tensor(x, dtype or self.dtype) for x in self.leaves]
        if grad:
            for t, differentiable in zip(made, self.differentiable, strict=True):
                t.requires_grad_(differentiable)
        return made

    def forward(self, leaves: Sequence[lamella.Tensor] | None = None) -> tuple[lamella.Tensor, ...]:
        return self.run(self.case.fn, self.tensors() if leaves is None else leaves)

    def out_dtype(self, want: np.ndarray) -> str:
        """The dtype a result must have: a float64 reference stands for the call's own, any other means itself."""
        if want.dtype != np.float64:
            return want.dtype.name
        return self.dtype if any(x.dtype.kind == "f" for x in self.leaves) else "float32"

    def gradients(
        self,
        leaves: Sequence[lamella.Tensor],
        seed: int = 0,
        layout: Callable[[lamella.Tensor], lamella.Tensor] = lambda x: x,
    ) -> list[lamella.Tensor | None]:
        """d(sum of outputs times a random projection) / d(each differentiable leaf), in the leaves' dtype."""
        outputs = [y for y in self.forward(leaves) if isinstance(y, lamella.Tensor) and y.requires_grad]
        inputs = [x for x in leaves if x.requires_grad]
        rng = np.random.default_rng(seed)
        projections = []
        for y in outputs:
            p = round_to(rng.standard_normal(tuple(y.shape)), self.dtype)
            projections.append(layout(to_tensor(p, name_of(y.dtype))))
        return list(lamella.grad(outputs, inputs, projections, allow_unused=True))


class _Slot:
    def __init__(self, at: int):
        self.at = at


@dataclass(frozen=True)
class Leaf:
    """What is known of an array argument before it is drawn."""

    shape: tuple[int, ...]
    floating: bool
    differentiable: bool


def leaves_of(case: Case, index: int) -> list[Leaf]:
    """Those of Call(case, index, ...).leaves: to choose the checks of a sample without its numbers."""
    found = []

    def look(value: Any) -> None:
        if isinstance(value, A | I | B):
            found.append(Leaf(value.shape, isinstance(value, A), isinstance(value, A) and value.grad))
        elif isinstance(value, np.ndarray):
            found.append(Leaf(value.shape, value.dtype.kind == "f", False))
        elif isinstance(value, list | tuple):
            for part in value:
                look(part)

    sample = case.samples[index]
    look((*sample.args, *sample.kwargs.values()))
    return found


def dtypes_of(case: Case, index: int) -> tuple[str, ...]:
    """The dtypes to run a sample in: one, where it has no floating argument."""
    return tuple(case.dtypes) if any(x.floating for x in leaves_of(case, index)) else tuple(case.dtypes[:1])


# --- comparison ------------------------------------------------------------------------------------------------------
def tolerance(case: Case, dtype: str) -> float:
    return case.tol.get(dtype, TOLERANCE[dtype])


# Below this nothing is asked: the smallest normal number; for float16 its smallest subnormal.
_FLOOR = {"float32": 2.0**-126, "float64": 2.0**-1022, "bfloat16": 2.0**-126, "float16": 2.0**-24}


def check_close(got: np.ndarray, want: np.ndarray, dtype: str, tol: float, what: str = "result") -> None:
    """|got - want| <= tol * (|want| + scale of want); the same NaN, the same infinities; integers exactly.

    The scale is the median of the magnitudes that are neither zero nor infinite: neither one huge value nor many zeros
    move it.
    """
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    if want.dtype.kind != "f":
        wrong = got != want
        error = wrong.astype(np.float64)
    else:
        rounded = round_to(want, dtype)  # where `dtype` overflows, infinity is right
        finite = np.isfinite(rounded)
        with np.errstate(invalid="ignore", over="ignore"):
            magnitude = np.abs(want[finite & (want != 0)])
            scale = float(np.median(magnitude)) if magnitude.size else 0.0
            error = np.abs(got - want) / (tol * (np.abs(want) + scale) + _FLOOR[dtype])
            wrong = np.where(finite, ~(error <= 1), ~((got == rounded) | (np.isnan(got) & np.isnan(rounded))))
    if wrong.any():
        ranked = np.where(wrong, np.nan_to_num(error, nan=np.inf), -1)
        worst = np.unravel_index(int(np.argmax(ranked)), want.shape)
        raise AssertionError(
            f"{what}: {int(wrong.sum())} of {want.size} values are wrong; worst at {tuple(map(int, worst))}: "
            f"got {got[worst]!r}, expected {want[worst]!r} (error {error[worst]:.3g} times what is allowed)"
        )
