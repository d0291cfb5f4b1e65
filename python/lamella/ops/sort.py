# SPDX-License-Identifier: MIT
"""Order: sorting, selection, search, distinct values.

NaN counts as greater than every number; all NaN are equal, and -0 equals 0. Equal elements keep their order in every
function here, so that results are the same on any machine. Indices are int64; gradients go to the elements picked.
"""

from __future__ import annotations

from collections import namedtuple

from .. import _core
from ..autograd import record
from .creation import arange, zeros
from .elementwise import ne
from .index import gather_vjp, index_select, nonzero, scatter_
from .join import cat
from .reduce import any, extreme_vjp
from .scan import cumsum

__all__ = [
    "argsort",
    "bucketize",
    "kthvalue",
    "median",
    "msort",
    "nanmedian",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]

SortResult = namedtuple("sort", ("values", "indices"))
TopkResult = namedtuple("topk", ("values", "indices"))
KthvalueResult = namedtuple("kthvalue", ("values", "indices"))
MedianResult = namedtuple("median", ("values", "indices"))
NanmedianResult = namedtuple("nanmedian", ("values", "indices"))


# ---- sorting ---------------------------------------------------------------------------------------------------------
def sort(input, dim=-1, descending=False, stable=False):
    """(values, indices): the elements along dim in rising (or falling) order, and where they were. Always stable."""
    values, indices = _core.sort(input, dim, descending)
    return SortResult(record(values, gather_vjp, (input,), (input.shape, dim, indices)), indices)


def argsort(input, dim=-1, descending=False, stable=False):
    """The indices of `sort`."""
    return _core.sort(input, dim, descending)[1]


def msort(input):
    """`sort(input, 0).values`."""
    return sort(input, 0).values


def topk(input, k, dim=-1, largest=True, sorted=True):
    """(values, indices) of the k greatest (or least) elements along dim, in order whether `sorted` or not; of equal ones
    the first. One pass over memory where k is small. ValueError for k out of [0, size]."""
    values, indices = _core.topk(input, k, dim, largest)
    return TopkResult(record(values, gather_vjp, (input,), (input.shape, dim, indices)), indices)


# ---- selection -------------------------------------------------------------------------------------------------------
def kthvalue(input, k, dim=-1, keepdim=False):
    """(values, indices) of the k-th least element along dim, k from 1, by selection. ValueError for k out of range."""
    return KthvalueResult(*_picked(_core.kth, input, k, dim, keepdim))


def median(input, dim=None, keepdim=False):
    """The lower median: of all elements, or (values, indices) along dim. NaN where there is one: see `nanmedian`.

    Without dim equal elements share the gradient."""
    if dim is None:
        return _median_of_all(_core.median, input)
    return MedianResult(*_picked(_core.median, input, 1, dim, keepdim))


def nanmedian(input, dim=None, keepdim=False):
    """`median` of the elements that are not NaN; NaN where all are."""
    if dim is None:
        return _median_of_all(_core.nanmedian, input)
    return NanmedianResult(*_picked(_core.nanmedian, input, 1, dim, keepdim))


def _median_of_all(select, input):
    value, _ = select(input.detach().reshape(-1), 1, 0, False)
    return record(value, extreme_vjp, (input,), (input, None), True)


def _picked(select, input, k, dim, keepdim):
    values, indices = select(input, k, dim, keepdim)
    return record(values, picked_vjp, (input,), (input.shape, dim, indices, keepdim)), indices


def picked_vjp(node, dy):
    shape, dim, indices, keepdim = node.ctx
    if not shape:
        return (dy,)
    if not keepdim:
        dy, indices = dy.unsqueeze(dim), indices.unsqueeze(dim)
    return (scatter_(zeros(shape, dtype=dy.dtype, device=dy), dim, indices, dy),)


# ---- search ----------------------------------------------------------------------------------------------------------
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """How many elements of sorted_sequence (rising along its last dimension) are less than each of input; with `right`, or
    side="right", less or equal. So it is where input would go.

    sorted_sequence: 1-D, or of input's shape but for the last size. sorter: the indices that sort it, if it is not.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"[searchsorted] side must be 'left' or 'right' and agree with right={right}, got {side!r}")
    if sorter is not None:
        sorted_sequence = _core.gather(sorted_sequence, -1, sorter)
    values = input if isinstance(input, _core.TensorBase) else _core.full((), input, sorted_sequence.dtype, sorted_sequence)
    found = _core.search_sorted(sorted_sequence, values, right or side == "right")
    return found.to(_core.int32) if out_int32 else found


def bucketize(input, boundaries, *, out_int32=False, right=False):
    """`searchsorted(boundaries, input)` for 1-D boundaries: the number of the bucket that each of input falls in."""
    if boundaries.ndim != 1:
        raise ValueError(f"[bucketize] boundaries must be 1-D, got {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


# ---- distinct values -------------------------------------------------------------------------------------------------
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements in rising order (whether `sorted` or not); with dim, the distinct slices in the order of
    their elements. NaN differ from one another.

    With return_inverse also the position in the result of each element (of each slice); with return_counts how often
    each occurs.
    """
    input = input.detach()
    if dim is None:
        values, order = _core.sort(input.reshape(-1), 0, False)
        return _distinct(values, order, input.shape, return_inverse, return_counts, 0)
    order = _slice_order(input, dim)
    return _distinct(index_select(input, dim, order), order, (-1,), return_inverse, return_counts, dim)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements (with dim: the slices) that differ from the one before: `unique` of what is sorted. Keywords: see there."""
    input = input.detach()
    if dim is None:
        return _distinct(input.reshape(-1), None, input.shape, return_inverse, return_counts, 0)
    return _distinct(input, None, (-1,), return_inverse, return_counts, dim)


def _slice_order(input, dim):
    """The order of input's slices along dim as rows of numbers: sorted by every column, the first counting most."""
    columns = input.movedim(dim, 0).reshape((input.shape[dim], -1)).t().contiguous()
    order = arange(input.shape[dim], device=input)
    for column in reversed(columns.unbind(0)):
        order = index_select(order, 0, _core.sort(index_select(column, 0, order), 0, False)[1])
    return order


def _distinct(values, order, shape, return_inverse, return_counts, dim):
    n = values.shape[dim]
    differs = ne(values.narrow(dim, 1, n - 1), values.narrow(dim, 0, n - 1)) if n else zeros(0, dtype=_core.bool, device=values)
    if values.ndim > 1:
        differs = any(differs.movedim(dim, 0).reshape((differs.shape[dim], -1)), 1)
    starts = nonzero(cat([zeros(min(n, 1), device=values) == 0, differs])).reshape(-1)
    found = [index_select(values, dim, starts)]
    if return_inverse:
        number = cat([zeros(min(n, 1), dtype=_core.int64, device=values), cumsum(differs, 0)])
        inverse = number if order is None else scatter_(zeros(n, dtype=_core.int64, device=values), 0, order, number)
        found.append(inverse.reshape(shape))
    if return_counts:
        ends = cat([starts[1:], zeros(min(n, 1), dtype=_core.int64, device=values) + n])
        found.append(ends - starts)
    return found[0] if len(found) == 1 else tuple(found)
