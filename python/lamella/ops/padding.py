# SPDX-License-Identifier: MIT
"""Padding: rows are written once, with their borders; what these repeat takes in their gradient."""

from __future__ import annotations

import functools
import operator

from .. import _core
from .._numpy import np
from ..autograd import is_grad_enabled, record
from .creation import from_numpy
from .index import _zeros, getitem, index_add_

__all__ = ["pad"]


def pad(input, pad, mode="constant", value=None):
    """`input` with pad[0] elements before and pad[1] behind its last dimension, pad[2], pad[3] at the one before it, ….

    mode: "constant" (`value`; negative widths cut), "reflect" (without the edge), "replicate" (the edge), "circular".
    """
    try:
        pad = tuple([operator.index(width) for width in pad])
    except TypeError:
        raise TypeError(f"[pad] pad must hold integers, got {pad!r}") from None
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"[pad] pad must hold a pair for at most {input.ndim} dimensions, got {pad}")
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"[pad] mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    sides = [(input.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
    if mode == "constant":
        for dim, before, after in sides:
            if (n := input.shape[dim]) + before + after < 0:
                raise ValueError(
                    f"[pad] pad must leave a size that is not negative, got ({before}, {after}) for a size {n}"
                )
        if min(pad, default=0) < 0:
            cut = [slice(None)] * input.ndim
            for dim, before, after in sides:
                cut[dim] = slice(max(0, -before), input.shape[dim] - max(0, -after))
            input = getitem(input, tuple(cut))
            sides = [(dim, max(0, before), max(0, after)) for dim, before, after in sides]
        return record(_core.pad(input, sides, mode, float(value or 0)), pad_vjp, (input,), (sides,))
    if value:
        raise ValueError(f"[pad] value must be None for mode {mode!r}, got {value}")
    sides = tuple([side for side in sides if side[1] or side[2]])
    for dim, before, after in sides:
        n = input.shape[dim]
        most = {"reflect": max(n - 1, 0), "circular": n, "replicate": max(before, after) if n else 0}[mode]
        if min(before, after) < 0 or max(before, after) > most:
            raise ValueError(
                f"[pad] pad must be in [0, {most}] for mode {mode!r} of a size {n}, got ({before}, {after})"
            )
    if not sides:
        return input
    return record(_core.pad(input, sides, mode, 0.0), border_vjp, (input,), (mode, sides, input.shape))


@functools.lru_cache(maxsize=64)
def _borders(mode, before, after, n):
    """(start, stop, step) of a padded dimension's borders, with (start, stop) of what they repeat, in this order, or of its one slice."""
    end = before + n
    if mode == "circular":  # no border is wider than the input: see pad
        pairs = [((0, before, 1), (n, end)), ((end, end + after, 1), (before, before + after))]
    elif mode == "replicate":
        pairs = [((0, before, 1), (before, before + 1)), ((end, end + after, 1), (end - 1, end))]
    else:
        pairs = [((before - 1, -1, -1), (before + 1, 2 * before + 1)), ((end + after - 1, end - 1, -1), (end - 1 - after, end - 1))]
    return [pair for pair, width in zip(pairs, (before, after), strict=True) if width]


def pad_vjp(node, dy):
    return (_inner(dy, *node.ctx),)


def _inner(y, sides):
    cut = [slice(None)] * y.ndim
    for dim, before, after in sides:
        cut[dim] = slice(before, y.shape[dim] - after)
    return getitem(y, tuple(cut))


def border_vjp(node, dy):
    """What the borders repeat takes in their gradient."""
    mode, sides, shape = node.ctx
    if not is_grad_enabled():
        half = dy.dtype.itemsize == 2
        sums = _core.cast(dy, _core.float32) if half else _core.copy(dy)
        for dim, before, after in reversed(sides):
            for border, source in _borders(mode, before, after, shape[dim]):
                given = _core.slice(sums, dim, *border)
                if mode == "replicate":
                    given = _core.reduce_sum(given, dim, True)
                _core.add.inplace(_core.slice(sums, dim, *source, 1), given)
        inner = _inner(sums, sides)
        return (_core.cast(inner, dy.dtype) if half else _core.copy(inner),)
    for dim, before, after in reversed(sides):
        index = _index(mode, before, after, shape[dim])
        dy = index_add_(_zeros((*dy.shape[:dim], shape[dim], *dy.shape[dim + 1 :]), dy), dim, index, dy)
    return (dy,)


def _places(mode, before, after, n):
    at = np.arange(-before, n + after)
    return {"reflect": n - 1 - np.abs(n - 1 - np.abs(at)), "replicate": at.clip(0, n - 1), "circular": at % n}[mode]


@functools.lru_cache(maxsize=64)
def _index(mode, before, after, n):
    """Where the elements of a padded dimension of size n come from."""
    return from_numpy(_places(mode, before, after, n))
