# SPDX-License-Identifier: MIT
"""Copies with something written into them, flat indexing, windows as views."""

from __future__ import annotations

import math

from .. import _core
from ..autograd import record
from ..precision import raised, regions
from .elementwise import maximum, where
from .index import (
    _as,
    _copy_for,
    _zeros,
    gather,
    getitem,
    index_add_,
    index_get,
    index_put_,
    scatter_add,
    setitem,
)
from .layout import clone
from .view import _dim, copy_, diagonal, reshape

__all__ = """
argwhere as_strided diagonal_scatter index_copy index_copy_ index_fill index_fill_ masked_scatter masked_scatter_ put put_
scatter_reduce scatter_reduce_ index_reduce select select_scatter slice_scatter take unfold unravel_index
""".split()


def _at(dim, index):
    return (slice(None),) * dim + (index,)


def select(input, dim, index):
    """The view input[..., index, ...] at dimension `dim`, which goes."""
    dim = _dim("select", dim, input.ndim)
    n = input.shape[dim]
    if not -n <= index < n:
        raise IndexError(f"[select] index must be in [{-n}, {n}), got {index}")
    return getitem(input, _at(dim, int(index)))


def argwhere(input):
    """Positions of the elements that are not zero: int64 (count, ndim)."""
    return _core.nonzero(input)


# ---- slices at given places ------------------------------------------------------------------------------------------
def index_copy(input, dim, index, source):
    """A copy of `input` with the slices of `source` written at `index` along `dim`."""
    if regions and source.dtype is not input.dtype:  # as in PyTorch, autocast promotes here
        input, source = raised(input, source)
    return index_copy_(_copy_for(input, source), dim, index, source)


def index_copy_(input, dim, index, source):
    """`index_copy` in place."""
    if input.ndim == 0:
        return copy_(input, source.reshape(()))
    dim = _dim("index_copy", dim, input.ndim)
    expected = (*input.shape[:dim], index.numel(), *input.shape[dim + 1 :])
    if tuple(source.shape) != expected or index.ndim > 1:
        raise ValueError(f"[index_copy] source must have shape {expected}, got {tuple(source.shape)}")
    if source.dtype is not input.dtype:
        raise TypeError(f"[index_copy] source must have dtype {input.dtype.name}, got {source.dtype.name}")
    setitem(input, _at(dim, index.reshape(-1)), source)
    return input


def index_fill(input, dim, index, value):
    """A copy of `input` with `value` written at `index` along `dim`."""
    return index_fill_(_copy_for(input, value), dim, index, value)


def index_fill_(input, dim, index, value):
    """`index_fill` in place."""
    if input.ndim == 0:
        return copy_(input, _as(value, input))
    setitem(input, _at(_dim("index_fill", dim, input.ndim), index.reshape(-1)), value)
    return input


def masked_scatter(input, mask, source):
    """A copy of `input` in which the elements where `mask` is True are the first of `source`, in row-major order."""
    if mask.shape != input.shape:
        mask = _core.expand(mask, input.shape)
    if mask.dtype is not _core.bool:
        raise TypeError(f"[masked_scatter] mask must be bool, got {mask.dtype.name}")
    n = int(_core.item(_core.reduce_sum(mask)))
    if source.numel() < n:
        raise ValueError(f"[masked_scatter] source must have at least {n} elements, got {source.numel()}")
    y = _copy_for(input, source)
    setitem(y, mask, reshape(source, (-1,))[:n].to(input.dtype))
    return y


def masked_scatter_(input, mask, source):
    """`masked_scatter` in place."""
    return copy_(input, masked_scatter(clone(input), mask, source))


def take(input, index):
    """The elements of the flattened input at `index`: of index's shape."""
    return index_get(reshape(input, (-1,)), (index,))


def put(input, index, source, accumulate=False):
    """A copy of `input` with `source` written, or added, at `index` of its flattened form."""
    if index.numel() != source.numel():
        raise ValueError(f"[put] source must have {index.numel()} elements like index, got {source.numel()}")
    y = _copy_for(reshape(input, (-1,)), source)
    return reshape(index_put_(y, (reshape(index, (-1,)),), reshape(source, (-1,)), accumulate), input.shape)


def put_(input, index, source, accumulate=False):
    """`put` in place."""
    return copy_(input, put(clone(input), index, source, accumulate))


def select_scatter(input, src, dim, index):
    """A copy of `input` with `src` as its slice `index` along `dim`."""
    return _written(input, src, _at(_dim("select_scatter", dim, input.ndim), index))


def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy of `input` with `src` as its slice start:end:step along `dim`."""
    return _written(input, src, _at(_dim("slice_scatter", dim, input.ndim), slice(start, end, step)))


def _written(input, src, index):
    part = _core.getitem(input, index, None)
    if part.shape != src.shape:
        raise ValueError(f"[scatter] src must have shape {tuple(part.shape)}, got {tuple(src.shape)}")
    y = _copy_for(input, src)
    setitem(y, index, src)
    return y


def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy of `input` with `src` on the diagonal of dim1 and dim2."""
    y = _core.clone(input)
    part = _core.diagonal(y, offset, dim1, dim2)
    if part.shape != src.shape:
        raise ValueError(f"[diagonal_scatter] src must have shape {tuple(part.shape)}, got {tuple(src.shape)}")
    _core.copy_(part, src)
    return record(y, diagonal_scatter_vjp, (input, src), (offset, dim1, dim2))


def diagonal_scatter_vjp(node, dy):
    place = node.ctx
    if not node.needs[0]:
        return None, diagonal(dy, *place)
    zeros = _core.full(_core.diagonal(dy, *place).shape, 0.0, dy.dtype, dy)
    return diagonal_scatter(dy, zeros, *place), diagonal(dy, *place) if node.needs[1] else None


# ---- scatter with another join than the last or the sum ---------------------------------------------------------------
_REDUCES = ("sum", "prod", "mean", "amax", "amin")
_IDENTITY = {"sum": 0, "mean": 0, "prod": 1}


def _identity(reduce, dtype):
    from ..dtypes import iinfo

    if reduce in _IDENTITY:
        return _IDENTITY[reduce]
    if dtype is _core.bool:
        return reduce == "amin"
    if dtype.is_floating_point:
        return -math.inf if reduce == "amax" else math.inf
    return iinfo(dtype).min if reduce == "amax" else iinfo(dtype).max


def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """A copy of `input` in which src[i][j] is joined with y[index[i][j]][j] for dim 0, and so on, by `reduce`: "sum",
    "prod", "mean", "amax" or "amin". Without include_self, input's own values do not count where src has one.

    Equal extremes share the gradient.
    """
    if reduce not in _REDUCES:
        raise ValueError(f"[scatter_reduce] reduce must be one of {', '.join(_REDUCES)}, got {reduce!r}")
    if src.dtype is not input.dtype:
        raise TypeError(f"[scatter_reduce] src must have dtype {input.dtype.name}, got {src.dtype.name}")
    if input.ndim == 0:
        return reshape(
            scatter_reduce(reshape(input, (1,)), 0, reshape(index, (-1,)), reshape(src, (-1,)), reduce, include_self=include_self), ()
        )
    y = _core.clone(input)
    if not include_self:  # what is hit starts from the identity
        _core.scatter_(y, dim, index, _core.expand(_as(_identity(reduce, input.dtype), input), index.shape), False)
    _core.scatter_join_(y, dim, index, src, "sum" if reduce == "mean" else reduce)
    counts = None
    if reduce == "mean":
        counts = _counts(y, dim, index, include_self)
        y = y / counts if y.dtype.is_floating_point else y // counts
    return record(
        y, scatter_reduce_vjp, (input, src), (input, src, dim, index, reduce, include_self, counts), reduce in ("amax", "amin")
    )


def _counts(like, dim, index, include_self):
    n = _core.full(like.shape, 1.0 if include_self else 0.0, like.dtype, like)
    _core.scatter_(n, dim, index, _core.full(index.shape, 1.0, like.dtype, like), True)
    return maximum(n, _core.full((), 1.0, like.dtype, like)) if not include_self else n


def _own(like, dim, index, include_self, dtype):
    """1 where input's own value counts."""
    own = _core.full(like.shape, 1.0, dtype, like)
    if not include_self:
        _core.scatter_(own, dim, index, _core.full(index.shape, 0.0, dtype, index), False)
    return own


def scatter_reduce_vjp(node, dy):
    x, src, dim, index, reduce, include_self, counts = node.ctx
    own = _own(x, dim, index, include_self, dy.dtype)
    part = src if src.shape == index.shape else src[tuple(slice(0, n) for n in index.shape)]
    if reduce == "sum":
        dx, dsrc = dy * own, gather(dy, dim, index)
    elif reduce == "mean":
        dx, dsrc = dy * own / counts, gather(dy / counts, dim, index)
    elif reduce == "prod":
        dx, dsrc = _product_vjp(x, part, dim, index, own, dy)
    else:
        y = node.output.detach()
        mine, theirs = (x == y).to(dy.dtype) * own, (part == gather(y, dim, index)).to(dy.dtype)
        share = dy / maximum(scatter_add(mine, dim, index, theirs), 1.0)
        dx, dsrc = share * mine, gather(share, dim, index) * theirs
    if part is not src:
        from .index import _widen

        dsrc = _widen(dsrc, src.shape)
    return dx if node.needs[0] else None, dsrc if node.needs[1] else None


def _product_vjp(x, part, dim, index, own, dy):
    """Products of the others: of the factors that are not zero, where no other is."""
    start = where(own == 0, 1.0, x)
    zeros_in = scatter_add((start == 0).to(dy.dtype), dim, index, (part == 0).to(dy.dtype))
    product = scatter_reduce(where(start == 0, 1.0, start), dim, index, where(part == 0, 1.0, part), "prod")
    here, zeros_here = gather(product, dim, index), gather(zeros_in, dim, index)

    def others(value, all_factors, zeros):
        is_zero = value == 0
        return where(zeros == is_zero.to(dy.dtype), all_factors / where(is_zero, 1.0, value), 0.0)

    return dy * own * others(start, product, zeros_in), gather(dy, dim, index) * others(part, here, zeros_here)


def scatter_reduce_(input, dim, index, src, reduce, *, include_self=True):
    """`scatter_reduce` in place."""
    return copy_(input, scatter_reduce(clone(input), dim, index, src, reduce, include_self=include_self))


def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """`scatter_reduce` of whole slices: source's at `index` along `dim`."""
    dim = _dim("index_reduce", dim, input.ndim)
    wide = index.reshape([-1 if d == dim else 1 for d in range(input.ndim)]).expand(source.shape)
    return scatter_reduce(input, dim, wide, source, reduce, include_self=include_self)


# ---- windows and strides -----------------------------------------------------------------------------------------------
def unfold(input, dimension, size, step):
    """A view of windows of `size` elements, `step` apart, along `dimension`: their elements are a new last dimension."""
    if input.ndim == 0:
        input = reshape(input, (1,))
    dim = _dim("unfold", dimension, input.ndim)
    n = input.shape[dim]
    if not 0 <= size <= n or step <= 0:
        raise ValueError(f"[unfold] size must be 0 to {n} and step positive, got {size} and {step}")
    shape, strides = list(input.shape), list(input.stride())
    shape[dim] = (n - size) // step + 1
    y = _core.as_strided(input, (*shape, size), (*(s * step if d == dim else s for d, s in enumerate(strides)), strides[dim]), None)
    return record(y, unfold_vjp, (input,), (input.shape, dim, size, step))


def unfold_vjp(node, dy):
    shape, dim, size, step = node.ctx
    windows = dy.shape[dim]
    starts = _core.arange_int(0, step, windows, _core.int64, dy).reshape((windows, 1))
    places = (starts + _core.arange_int(0, 1, size, _core.int64, dy)).reshape(-1)
    flat = dy.movedim(-1, dim + 1).reshape((*shape[:dim], windows * size, *shape[dim + 1 :]))
    return (index_add_(_zeros(shape, dy), dim, places, flat),)


def as_strided(input, size, stride, storage_offset=None):
    """A view of input's storage with this size, these strides and this offset, in elements; it must stay within the
    storage. A gradient flows to the elements of input that the view shows; input must then be contiguous."""
    size, stride = tuple(size), tuple(stride)
    y = _core.as_strided(input, size, stride, storage_offset)
    if not input.requires_grad:
        return y
    if not input._is_row_major():
        raise ValueError("[as_strided] input must be contiguous where gradients are recorded: contiguous() it")
    start = (input.storage_offset() if storage_offset is None else storage_offset) - input.storage_offset()
    return record(y, as_strided_vjp, (input,), (input.shape, size, stride, start))


def as_strided_vjp(node, dy):
    shape, size, stride, start = node.ctx
    flat = _core.arange_int(0, 1, math.prod(shape), _core.int64, dy)
    places = _core.contiguous(_core.as_strided(flat, size, stride, start)).reshape(-1)
    return (reshape(index_add_(_zeros((math.prod(shape),), dy), 0, places, reshape(dy, (-1,))), shape),)


def unravel_index(indices, shape):
    """The coordinates, a Tensor per dimension of `shape`, of positions in its flattened form."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    found = []
    for n in reversed(shape):
        found.append(indices % n)
        indices = indices // n
    return tuple(reversed(found))
