# SPDX-License-Identifier: MIT
"""Joining, splitting and repeating."""

from __future__ import annotations

from .. import _core
from .._numpy import np
from ..autograd import record
from .creation import arange, from_numpy
from .index import _zeros, getitem, index_select
from .view import _dim, expand, reshape, unsqueeze

__all__ = [
    "cat",
    "chunk",
    "concat",
    "concatenate",
    "hstack",
    "narrow",
    "repeat",
    "repeat_interleave",
    "roll",
    "split",
    "stack",
    "tile",
    "unbind",
    "vstack",
]


def _along(dim, start, stop):
    return (slice(None),) * dim + (slice(start, stop),)


# ---- joining --------------------------------------------------------------------------------------------------------
def cat(tensors, dim=0, *, axis=None):
    """The tensors one after the other along `dim`; their other sizes agree. Of the promoted dtype."""
    dim = dim if axis is None else axis
    tensors = tuple(tensors)
    vectors = [t for t in tensors if t.ndim == 1]
    if vectors and len(vectors) < len(tensors):  # as in PyTorch: an empty vector joins anything
        tensors = tuple([t for t in tensors if t.shape != (0,)])
    y = _core.cat(tensors, dim)
    dim = dim % y.ndim
    return record(y, cat_vjp, tensors, (dim, tuple([t.shape[dim] for t in tensors])))


concat = concatenate = cat


def cat_vjp(node, dy):
    dim, sizes = node.ctx
    parts, at = [], 0
    for size, needed in zip(sizes, node.needs, strict=True):
        parts.append(narrow(dy, dim, at, size) if needed else None)
        at += size
    return tuple(parts)


def stack(tensors, dim=0, *, axis=None):
    """The tensors, all of one shape, along a new dimension."""
    dim = dim if axis is None else axis
    tensors = tuple(tensors)
    for i, t in enumerate(tensors):
        if t.shape != tensors[0].shape:
            raise ValueError(
                f"[stack] tensors must have one shape, got {tensors[0].shape} and {t.shape} at position {i}"
            )
    if not tensors:
        raise ValueError("[stack] tensors must not be empty")
    dim = _dim("stack", dim, tensors[0].ndim + 1)
    y = _core.cat([_core.unsqueeze(t, dim) for t in tensors], dim)
    return record(y, stack_vjp, tensors, (dim,))


def stack_vjp(node, dy):
    return unbind(dy, *node.ctx)


def vstack(tensors):
    """`cat` along dim 0, vectors as rows."""
    return cat([reshape(t, (1, -1)) if t.ndim < 2 else t for t in tensors], 0)


def hstack(tensors):
    """`cat` along dim 1, of vectors along dim 0."""
    tensors = [reshape(t, (1,)) if t.ndim == 0 else t for t in tensors]
    return cat(tensors, 0 if tensors and tensors[0].ndim == 1 else 1)


# ---- splitting: views under one node --------------------------------------------------------------------------------
def narrow(input, dim, start, length):
    """The view start .. start + length along `dim`."""
    dim = _dim("narrow", dim, input.ndim)
    n = input.shape[dim]
    begin = start + n if start < 0 else start
    if not (0 <= begin <= n and 0 <= length <= n - begin):
        raise ValueError(f"[narrow] start and length must stay within {n}, got {start} and {length}")
    return getitem(input, _along(dim, begin, begin + length))


def split(tensor, split_size_or_sections, dim=0):
    """Views of this size (the last may be smaller), or of these sizes, along `dim`."""
    dim = _dim("split", dim, tensor.ndim)
    n, sizes = tensor.shape[dim], split_size_or_sections
    if isinstance(sizes, int):
        if sizes <= 0 and (sizes < 0 or n > 0):
            raise ValueError(f"[split] split_size must be positive, got {sizes}")
        sizes = [min(sizes, n - at) for at in range(0, n, sizes)] if n else [0]
    sizes = tuple(sizes)
    if sum(sizes) != n or any(s < 0 for s in sizes):
        raise ValueError(f"[split] sizes must add up to {n}, got {sizes}")
    parts, at = [], 0
    for size in sizes:
        parts.append(_core.slice(tensor, dim, at, at + size, 1))
        at += size
    return record(tuple(parts), split_vjp, (tensor,), (dim, tuple(p.shape for p in parts)))


def split_vjp(node, *dys):
    dim, shapes = node.ctx
    like = next(dy for dy in dys if dy is not None)
    parts = [_zeros(shape, like) if dy is None else dy for dy, shape in zip(dys, shapes, strict=True)]
    return (cat(parts, dim),)


def chunk(input, chunks, dim=0):
    """`chunks` views of equal size (the last smaller, and fewer of them, if it does not divide)."""
    if chunks <= 0:
        raise ValueError(f"[chunk] chunks must be positive, got {chunks}")
    n = input.shape[_dim("chunk", dim, input.ndim)]
    size = -(-n // chunks)
    return split(input, size if size else [0] * chunks, dim)


def unbind(input, dim=0):
    """The views input[0], input[1], … along `dim`."""
    dim = _dim("unbind", dim, input.ndim)
    parts = tuple(_core.select(input, dim, i) for i in range(input.shape[dim]))
    shape = input.shape[:dim] + input.shape[dim + 1 :]
    return record(parts, unbind_vjp, (input,), (dim, shape)) if parts else ()


def unbind_vjp(node, *dys):
    dim, shape = node.ctx
    like = next(dy for dy in dys if dy is not None)
    return (stack([_zeros(shape, like) if dy is None else dy for dy in dys], dim),)


# ---- repeating ------------------------------------------------------------------------------------------------------
def repeat(input, *sizes):
    """`input` sizes[i] times along dimension i; more sizes than dimensions make new ones in front."""
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        sizes = tuple(sizes[0])
    lead = len(sizes) - input.ndim
    if lead < 0 or any(s < 0 for s in sizes):
        raise ValueError(f"[repeat] sizes must be one per dimension of {input.shape}, none negative, got {sizes}")
    shape = (1,) * lead + tuple(input.shape)
    split_shape, wide = [], []
    for n, times in zip(shape, sizes, strict=True):
        if times != 1:
            split_shape.append(1)
            wide.append(times)
        split_shape.append(n)
        wide.append(n)
    y = expand(reshape(input, split_shape), wide)
    y = reshape(y, tuple(n * times for n, times in zip(shape, sizes, strict=True)))
    return y.clone() if all(s == 1 for s in sizes) else y


def tile(input, *dims):
    """`repeat`, with as many ones in front of `dims` as are missing."""
    if len(dims) == 1 and not isinstance(dims[0], int):
        dims = tuple(dims[0])
    return repeat(input, (1,) * (input.ndim - len(dims)) + tuple(dims))


def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Every element `repeats` times in a row along `dim` (without it, of the flattened input). Of one argument alone: 0, 1,
    ..., each as often as it says."""
    if repeats is None:
        return repeat_interleave(arange(input.shape[0], device=input), input, 0)
    if dim is None:
        input, dim = reshape(input, (-1,)), 0
    dim = _dim("repeat_interleave", dim, input.ndim)
    if not isinstance(repeats, int):
        counts = repeats.cpu().numpy() if isinstance(repeats, _core.TensorBase) else np.asarray(repeats)
        return index_select(input, dim, from_numpy(np.repeat(np.arange(input.shape[dim]), counts)))
    if repeats < 0:
        raise ValueError(f"[repeat_interleave] repeats must not be negative, got {repeats}")
    shape = input.shape
    y = expand(unsqueeze(input, dim + 1), (*shape[: dim + 1], repeats, *shape[dim + 1 :]))
    return reshape(y, (*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :]))


def roll(input, shifts, dims=None):
    """Elements moved by `shifts` along `dims`, what falls out coming in again; without dims, of the flattened input."""
    if dims is None:
        return reshape(roll(reshape(input, (-1,)), shifts, 0), input.shape)
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(shifts) != len(dims):
        raise ValueError(f"[roll] shifts must be one per dim, got {shifts} and {dims}")
    y = input
    for shift, dim in zip(shifts, dims, strict=True):
        dim = _dim("roll", dim, input.ndim)
        n = input.shape[dim]
        at = -shift % n if n else 0
        if at:
            y = _core.cat([_core.slice(y, dim, at, n, 1), _core.slice(y, dim, 0, at, 1)], dim)
    return record(_core.clone(y) if y is input else y, roll_vjp, (input,), (tuple([-s for s in shifts]), dims))


def roll_vjp(node, dy):
    return (roll(dy, *node.ctx),)
