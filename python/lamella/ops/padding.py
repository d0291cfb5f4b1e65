# SPDX-License-Identifier: MIT
"""Padding: rows are written once, with their borders; what these repeat takes in their gradient."""

from __future__ import annotations

import functools

from .. import _core
from .._numpy import np
from ..autograd import is_grad_enabled, record
from .creation import from_numpy
from .index import _zeros, getitem, index_add_

__all__ = ["pad"]

_MODES = ("constant", "reflect", "replicate", "circular")  # as in cpp/kernels/kernels.h


def pad(input, pad, mode="constant", value=None):
    """`input` with pad[0] elements before and pad[1] behind its last dimension, pad[2], pad[3] at the one before it, ….

    mode: "constant" (`value`; negative widths cut), "reflect" (without the edge), "replicate" (the edge), "circular".
    """
    pad = tuple(pad)
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"[pad] pad must hold a pair for at most {input.ndim} dimensions, got {pad}")
    if mode not in _MODES:
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
        return record(_core.pad(input, sides, 0, float(value or 0)), pad_vjp, (input,), (sides,))
    for dim, before, after in sides:
        n = input.shape[dim]
        most = {"reflect": n - 1, "circular": n, "replicate": max(before, after) if n else 0}[mode]
        if min(before, after) < 0 or max(before, after) > most:
            raise ValueError(
                f"[pad] pad must be in [0, {most}] for mode {mode!r} of a size {n}, got ({before}, {after})"
            )
    sides = tuple([side for side in sides if side[1] or side[2]])
    if not sides:
        return input
    return record(_core.pad(input, sides, _MODES.index(mode), 0.0), border_vjp, (input,), (mode, sides, input.shape))


@functools.lru_cache(maxsize=64)
def _borders(mode, before, after, n):
    """(start, stop) of parts of a padded dimension's borders, with those of what they repeat, one slice or one as wide."""
    end = before + n
    if mode == "circular":  # a border as wide as the input and more cannot be: see pad
        pairs = [((0, before), (n, end)), ((end, end + after), (before, before + after))]
    elif mode == "replicate":
        pairs = [((0, before), (before, before + 1)), ((end, end + after), (end - 1, end))]
    else:
        pairs = [((before - i, before - i + 1), (before + i, before + i + 1)) for i in range(1, before + 1)]
        pairs += [((end + i, end + i + 1), (end - 2 - i, end - 1 - i)) for i in range(after)]
    return [(border, source) for border, source in pairs if border[0] < border[1]]


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
        dy = _core.copy(dy)
        for dim, before, after in reversed(sides):
            for border, source in reversed(_borders(mode, before, after, shape[dim])):
                given = _core.slice(dy, dim, *border, 1)
                if source[1] - source[0] < border[1] - border[0]:
                    given = _core.reduce_sum(given, dim, True)
                _core.add.inplace(_core.slice(dy, dim, *source, 1), given)
        return (_core.copy(_inner(dy, sides)),)
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
