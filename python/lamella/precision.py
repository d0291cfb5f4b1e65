# SPDX-License-Identifier: MIT
"""The dtype that ops compute in while `amp.autocast` is on.

Products (linear, matmul, convolution, attention, recurrent layers) ask `lower` for their operands, a few that need the range ask
`raised`, losses are decorated with `in_float32`; all other ops take what they are given, and promote. An op looks at `regions` first, which
is empty unless some thread has autocast on: off, it costs one test.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from . import _core

regions: list[None] = []  # one entry for each region, of any thread, that is switched on
_CAST = (_core.float32, _core.float16, _core.bfloat16)  # float64 and integers are never touched


class _State(threading.local):
    dtype: Any = None  # what products compute in; None: off
    caching = True
    depth = 0
    cache: dict[tuple[int, Any], tuple[Any, int, Any]] = {}  # (id, dtype): (leaf, its version, its cast)


state = _State()


class region:
    """Until the end of a `with` block products of this thread compute in `dtype` (None: in that of their operands). The
    cache of casts is that of the outermost region, or a new one if `fresh`."""

    def __init__(self, dtype: Any, caching: bool = True, fresh: bool = False) -> None:
        self.dtype, self.caching, self.fresh = dtype, caching, fresh
        self._before: list[tuple[Any, bool, int, dict[Any, Any]]] = []

    def __enter__(self) -> None:
        self._before.append((state.dtype, state.caching, state.depth, state.cache))
        if self.fresh or state.depth == 0:
            state.cache = {}
        state.dtype, state.caching, state.depth = self.dtype, self.caching, state.depth + 1
        if self.dtype is not None:
            regions.append(None)

    def __exit__(self, *exc: object) -> None:
        if self.dtype is not None:
            regions.pop()
        state.dtype, state.caching, state.depth, state.cache = self._before.pop()


def again() -> region:
    """This thread's setting, to compute the same a second time: with casts of its own."""
    return region(state.dtype, state.caching, fresh=True)


def lower(*operands: Any) -> tuple[Any, ...]:
    """The operands of a product in the region's dtype, where they are floating and not float64; others as they are."""
    dtype = state.dtype
    if dtype is None:
        return operands
    return tuple([_cast(x, dtype) if getattr(x, "dtype", dtype) is not dtype and x.dtype in _CAST else x for x in operands])


def _cast(x: Any, dtype: Any) -> Any:
    """x as dtype. Leaves that require gradient, weights that is, are cast once in a region: their gradient, summed in
    the lower dtype over all uses, flows through that one cast. What was changed since, or what backward has freed, is
    cast anew."""
    if not (x.requires_grad and x.is_leaf and state.caching):
        return x.to(dtype)
    key = (id(x), dtype)
    _, version, y = state.cache.get(key, (None, None, None))
    if version == x._version and (not _core.is_grad_enabled() or (y.requires_grad and y.grad_fn.rule is not None)):
        return y
    y = x.to(dtype)
    state.cache[key] = (x, x._version, y)
    return y


def widen(value: Any) -> Any:
    """A 16-bit Tensor as float32, those in a list or tuple too; anything else as it is."""
    if isinstance(value, _core.TensorBase):
        return value.to(_core.float32) if value.dtype in _CAST[1:] else value
    return type(value)([widen(v) for v in value]) if type(value) in (tuple, list) else value


def raised(*operands: Any) -> Any:
    """The operands of an op that computes in float32 in a region: 16-bit ones as float32."""
    return operands if state.dtype is None else tuple([widen(x) for x in operands])


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates an op that computes in float32 while autocast is on: its 16-bit arguments are cast, and it is off inside."""

    @functools.wraps(function)
    def op(*args: Any, **kwargs: Any) -> Any:
        if regions and state.dtype is not None:
            with region(None):
                return function(*map(widen, args), **{name: widen(value) for name, value in kwargs.items()})
        return function(*args, **kwargs)

    return op
