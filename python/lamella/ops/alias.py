# SPDX-License-Identifier: MIT
"""Rules for views that were written in place: the gradient of a view with respect to its base, and of a base with respect
to what it was before and to the view that was written.

A geometry is (shape, strides, offset) of the base, then of the view, in elements of their storage. Both are laid out in a
buffer as they lie in the storage, so that either is the other's elements without an index.
"""

from __future__ import annotations

from .. import _core
from ..autograd import record


def _span(shape, strides):
    """Lowest and highest element of a layout, from its offset."""
    steps = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    return sum(s for s in steps if s < 0), sum(s for s in steps if s > 0)


def _laid_out(like, geometry):
    """(base, view): zeros, laid out in a buffer of their own."""
    shape, strides, offset, view_shape, view_strides, view_offset = geometry
    low, high = _span(shape, strides)
    buffer = _core.full((high - low + 1 if 0 not in shape else 0,), 0.0, like.dtype, like)
    base = _core.as_strided(buffer, shape, strides, -low)
    return base, _core.as_strided(buffer, view_shape, view_strides, view_offset - offset - low)


def _of_base(x, *geometry):
    """The view's elements of x, which has the base's shape."""
    base, view = _laid_out(x, geometry)
    _core.copy_(base, x)
    return record(_core.copy(view), of_base_vjp, (x,), geometry)


def of_base_vjp(node, dy):
    return (_to_base(dy, *node.ctx),)


def _to_base(y, *geometry):
    """Zeros of the base's shape, with y added where the view lies."""
    view_shape, view_strides = geometry[3:5]
    stretched = tuple(d for d, (n, s) in enumerate(zip(view_shape, view_strides, strict=True)) if s == 0 and n > 1)
    part = _core.reduce_sum(y, stretched, True) if stretched else y
    narrow = tuple(1 if d in stretched else n for d, n in enumerate(view_shape))
    base, view = _laid_out(y, (*geometry[:3], narrow, *geometry[4:]))
    _core.copy_(view, part)
    return record(_core.copy(base), to_base_vjp, (y,), geometry)


def to_base_vjp(node, dy):
    return (_of_base(dy, *node.ctx),)


def _without(x, *geometry):
    """x, which has the base's shape, with zeros where the view lies."""
    base, view = _laid_out(x, geometry)
    _core.copy_(base, x)
    _core.fill_(view, 0.0)
    return record(_core.copy(base), without_vjp, (x,), geometry)


def without_vjp(node, dy):
    return (_without(dy, *node.ctx),)


def view(node, dy):
    """Of a view, as a function of its base."""
    return (_to_base(dy, *node.ctx),)


def write(node, dy):
    """Of a base, as a function of what it was and of a view that was written."""
    return (
        _without(dy, *node.ctx) if node.needs[0] else None,
        _of_base(dy, *node.ctx) if node.needs[1] else None,
    )


_core.set_view_rules(view, write)
