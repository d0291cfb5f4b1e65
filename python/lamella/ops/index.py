# SPDX-License-Identifier: MIT
"""Indexing, gather and scatter. Values that meet in one place are added in order: the same bits always."""

from __future__ import annotations

from typing import Any

from .. import _core
from ..autograd import is_grad_enabled, prepare_inplace, record, record_inplace
from .creation import as_tensor, to_device
from .layout import clone
from .view import broadcast_tensors

__all__ = [
    "embedding",
    "flip",
    "gather",
    "getitem",
    "index_add",
    "index_add_",
    "index_put",
    "index_put_",
    "index_select",
    "masked_select",
    "nonzero",
    "one_hot",
    "scatter",
    "scatter_",
    "scatter_add",
    "scatter_add_",
    "setitem",
    "take_along_dim",
    "tril",
    "triu",
]


def _zeros(shape: Any, like: Any) -> Any:
    return _core.full_int(shape, 0, like.dtype, like)


def _as(value: Any, like: Any) -> Any:
    """`value` as a Tensor where `like` lies; a Python number takes the dtype of `like`."""
    if isinstance(value, (int, float)) and like.dtype.is_floating_point:
        return _core.full((), float(value), like.dtype, like)
    if isinstance(value, (bool, int, float)):
        return as_tensor(value, dtype=like.dtype, device=like)
    value = as_tensor(value)
    return to_device(value, like) if value.ndim == 0 and value.device != like.device else value


# ---- x[index] -------------------------------------------------------------------------------------------------------
def getitem(input, index):
    """`input[index]` with ints, slices (also backwards), None, `...`, and integer or bool tensors, arrays or lists.

    Without tensors the result is a view. Tensors broadcast together; their dimensions stand in place of the first if
    they are side by side, else in front (NumPy's rule). An int takes its dimension away before that, as in PyTorch. A
    bool tensor selects where it is True. IndexError for what is out of range.
    """
    found = _core.getitem(input, index, view_vjp)  # recorded; (view, indices) where tensors are among the indices
    return index_get(*found) if type(found) is tuple else found


def _view(input, index):
    """The view part of input[index]: tensors in it take their dimensions whole."""
    found = _core.getitem(input, index, view_vjp)
    return found[0] if type(found) is tuple else found


def view_vjp(node, dy):
    return (_embed(dy, *node.ctx),)


def _embed(input, shape, index):
    """Zeros of `shape` with `input` at the view `index`."""
    y = _zeros(shape, input)
    found = _core.getitem(y, index, None)
    _core.copy_(found[0] if type(found) is tuple else found, input)
    return record(y, _embed_vjp, (input,), (index,))


def _embed_vjp(node, dy):
    return (_view(dy, node.ctx[0]),)


def index_get(input, indices):
    """input at `indices`: one integer tensor, or None for all of it, per dimension; or a bool tensor for several."""
    return record(_core.index_get(input, indices), index_get_vjp, (input,), (input.shape, *indices))


def index_get_vjp(node, dy):
    shape, *indices = node.ctx
    return (index_put_(_zeros(shape, dy), indices, dy, accumulate=True),)


def setitem(input, index, value):
    """`input[index] = value` (broadcast, cast), recorded as an op on both. Of values for one place the last wins."""
    value = _as(value, input)
    prepare_inplace(input, value)
    found = _core.getitem(input, index, None)
    if type(found) is tuple:
        _core.index_put_(*found, value, False)
        tensors = tuple(t for t in found[1] if t is not None)  # saved to be watched for changes
    else:
        extra = value.ndim - found.ndim
        source = _core.reshape(value, value.shape[extra:]) if extra > 0 and set(value.shape[:extra]) == {1} else value
        _core.copy_(found, source)
        tensors = ()
    return record_inplace(input, setitem_vjp, (input, value), (index, value.shape, *tensors))


def setitem_vjp(node, dy):
    index, shape = node.ctx[:2]
    dx = dvalue = None
    if node.needs[0]:
        dx = clone(dy)
        setitem(dx, index, 0)
    if node.needs[1]:
        dvalue = getitem(dy, index)
        if len(shape) > dvalue.ndim:
            dvalue = dvalue.reshape((1,) * (len(shape) - dvalue.ndim) + tuple(dvalue.shape))
    return dx, dvalue


def index_put(input, indices, values, accumulate=False):
    """A copy of `input` with `values` (broadcast) written, or added, at `indices`: a tuple with one integer tensor (or
    None) per dimension, or bool tensors for several."""
    values = _as(values, input)
    y, indices = _core.clone(input), tuple(indices)
    _core.index_put_(y, indices, values, accumulate)
    return record(y, index_put_vjp, (input, values), (accumulate, *indices))


def index_put_(input, indices, values, accumulate=False):
    """`index_put` in place."""
    values, indices = _as(values, input), tuple(indices)
    prepare_inplace(input, values)
    _core.index_put_(input, indices, values, accumulate)
    return record_inplace(input, index_put_vjp, (input, values), (accumulate, *indices))


def index_put_vjp(node, dy):
    accumulate, *indices = node.ctx
    dx = dy if accumulate or not node.needs[0] else index_put(dy, indices, 0)
    return dx, index_get(dy, indices) if node.needs[1] else None


def masked_select(input, mask):
    """The elements where `mask` (broadcast with input) is True, in row-major order: 1-D."""
    if mask.shape != input.shape:
        input, mask = broadcast_tensors(input, mask)
    return index_get(input, (mask,))


def nonzero(input, as_tuple=False):
    """Positions of the elements that are not zero, row-major, int64 (count, ndim); as_tuple: a tensor per dimension."""
    found = _core.nonzero(input)
    return tuple(found[:, i] for i in range(input.ndim)) if as_tuple else found


# ---- rows -----------------------------------------------------------------------------------------------------------
def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False
):
    """Row input[i] of `weight` (rows, width) for every index in `input` (...): (..., width).

    The row `padding_idx` gets no gradient. max_norm: rows that are used are scaled down to this norm (of order norm_type)
    in place. scale_grad_by_freq: the gradient of a row is divided by how often it is used. Gradients are dense whatever
    `sparse` says. IndexError names the first index that is out of range.
    """
    rows = weight.shape[0] if weight.ndim else 0
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise ValueError(f"[embedding] padding_idx must be in [{-rows}, {rows}), got {padding_idx}")
        padding_idx %= rows
    skip = -1 if padding_idx is None else padding_idx
    if max_norm is not None:
        from .index_bag import renorm_rows_

        renorm_rows_(weight, input, max_norm, norm_type)
    ctx = (input, rows, skip, bool(scale_grad_by_freq))
    return record(_core.embedding_fwd(input, weight), embedding_vjp, (None, weight), ctx)


def embedding_vjp(node, dy):
    input, rows, skip, by_use = node.ctx
    if by_use:
        from .index_bag import per_use

        dy = dy * per_use(input, rows, dy.dtype).unsqueeze(-1)
    return None, _embedding_bwd(dy, input, rows, skip)


def _embedding_bwd(dy, index, rows, skip):
    return record(_core.embedding_bwd(dy, index, rows, skip), _embedding_bwd_vjp, (dy,), (index, skip))


def _embedding_bwd_vjp(node, dy):
    index, skip = node.ctx
    y = embedding(index, dy)
    return (y if skip < 0 else y * (index != skip).unsqueeze(-1),)


def one_hot(input, num_classes=-1):
    """int64 (..., classes) with 1 at each index of `input` (...); -1 classes: the largest index and one."""
    if num_classes == -1:
        if input.numel() == 0:
            raise ValueError("[one_hot] num_classes must be given for an empty input")
        num_classes = int(input.max()) + 1
    if input.dtype.is_floating_point or input.dtype is _core.bool:
        raise TypeError(f"[one_hot] input must have an integer dtype, got {input.dtype.name}")
    y = _core.full_int((*input.shape, num_classes), 0, _core.int64, input)
    at = _core.unsqueeze(input, -1)
    _core.scatter_(y, -1, at, _core.full_int(at.shape, 1, _core.int64, at), False)
    return y


def index_select(input, dim, index):
    """The slices of `input` at `index` (m) along `dim`."""
    return record(_core.index_select(input, dim, index), index_select_vjp, (input,), (input.shape, dim, index))


def index_select_vjp(node, dy):
    shape, dim, index = node.ctx
    if not shape:
        return (dy.reshape(()),)
    return (index_add_(_zeros(shape, dy), dim, index, dy),)


def index_add(input, dim, index, source, *, alpha=1):
    """A copy of `input` with the slices of alpha * source added at `index` along `dim`."""
    return index_add_(_copy_for(input, source), dim, index, source, alpha=alpha)


def index_add_(input, dim, index, source, *, alpha=1):
    """`index_add` in place."""
    prepare_inplace(input, source)
    _core.index_add_(input, dim, index, source if alpha == 1 else source.detach() * alpha)
    return record_inplace(input, index_add_vjp, (input, source), (dim, index, alpha))


def index_add_vjp(node, dy):
    dim, index, alpha = node.ctx
    dsource = index_select(dy, dim, index) if node.needs[1] else None
    return dy, dsource if alpha == 1 or dsource is None else dsource * alpha


def _copy_for(input, *others):
    """A copy that may be written in place and recorded."""
    return clone(input) if is_grad_enabled() else _core.clone(input)


# ---- along a dimension ----------------------------------------------------------------------------------------------
def gather(input, dim, index):
    """y[i][j] = input[index[i][j]][j] for dim 0, and so on: the shape of `index`, which has the dimensions of input and
    is no larger than it outside `dim`."""
    return record(_core.gather(input, dim, index), gather_vjp, (input,), (input.shape, dim, index))


def gather_vjp(node, dy):
    shape, dim, index = node.ctx
    if not shape:
        return (dy.reshape(()),)
    return (_scatter_add_into(_zeros(shape, dy), dim, index, dy, True),)


def take_along_dim(input, indices, dim=None):
    """`gather` with broadcasting outside `dim`, and negative indices; without `dim`, of the flattened input."""
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    if input.ndim != indices.ndim:
        raise ValueError(f"[take_along_dim] indices must have {input.ndim} dimensions, got {indices.shape}")
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"[take_along_dim] dim must be in [{-input.ndim}, {input.ndim}), got {dim}")
    dim, n = dim % input.ndim, input.shape[dim]
    sizes = []
    for i, (a, b) in enumerate(zip(input.shape, indices.shape, strict=True)):
        if i != dim and a != b and 1 not in (a, b):
            raise ValueError(
                f"[take_along_dim] indices must broadcast to {input.shape} outside dim {dim}, got {indices.shape}"
            )
        sizes.append(b if a == 1 else a)
    wide = [n if i == dim else s for i, s in enumerate(sizes)]
    sizes[dim] = indices.shape[dim]
    return gather(
        input.expand(wide),
        dim,
        indices.expand(sizes).remainder(n) if _any_negative(indices, n) else indices.expand(sizes),
    )


def _any_negative(indices, n):
    return indices.numel() > 0 and -n <= int(indices.min()) < 0


def scatter(input, dim, index, src=None, *, value=None, reduce=None):
    """A copy of `input` with y[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number (also: value). The last
    wins; with reduce "add" or "multiply" src is joined with what is there instead."""
    return scatter_(_copy_for(input, src), dim, index, src, value=value, reduce=reduce)


def scatter_(input, dim, index, src=None, *, value=None, reduce=None):
    """`scatter` in place."""
    src = value if src is None else src
    if reduce is not None:
        from .write import scatter_reduce_

        if reduce not in ("add", "multiply"):
            raise ValueError(f"[scatter] reduce must be 'add' or 'multiply', got {reduce!r}")
        src = _core.expand(_as(src, input), index.shape) if isinstance(src, (bool, int, float)) else src
        return scatter_reduce_(input, dim, index, src, "sum" if reduce == "add" else "prod")
    if isinstance(src, (bool, int, float)):
        src = _core.expand(_as(src, input), index.shape)
    prepare_inplace(input, src)
    _core.scatter_(input, dim, index, src, False)
    return record_inplace(input, scatter_vjp, (input, src), (dim, index, src.shape))


def scatter_vjp(node, dy):
    dim, index, shape = node.ctx
    dx = scatter(dy, dim, index, 0) if node.needs[0] else None
    return dx, _widen(gather(dy, dim, index), shape) if node.needs[1] else None


def _widen(x, shape):
    """Zeros of `shape` that begin with x in every dimension."""
    return x if x.shape == shape else _embed(x, shape, tuple(slice(0, n) for n in x.shape))


def scatter_add(input, dim, index, src):
    """A copy of `input` in which src[i][j] is added to y[index[i][j]][j] for dim 0, and so on."""
    return _scatter_add_into(_copy_for(input, src), dim, index, src, True)


def scatter_add_(input, dim, index, src):
    """`scatter_add` in place."""
    return _scatter_add_into(input, dim, index, src, False)


def _scatter_add_into(input, dim, index, src, fresh):
    """fresh: nobody sees input if an index is wrong, so that indices are checked as they are used."""
    prepare_inplace(input, src)
    _core.scatter_(input, dim, index, src, True, fresh)
    return record_inplace(input, scatter_add_vjp, (input, src), (dim, index, src.shape))


def scatter_add_vjp(node, dy):
    dim, index, shape = node.ctx
    return dy, _widen(gather(dy, dim, index), shape) if node.needs[1] else None


# ---- triangles, order -----------------------------------------------------------------------------------------------
def tril(input, diagonal=0):
    """The last two dimensions with zeros above `diagonal` (0: the main one, positive: above it)."""
    return record(_core.triangle(input, diagonal, False), tril_vjp, (input,), (diagonal,))


def tril_vjp(node, dy):
    return (tril(dy, *node.ctx),)


def triu(input, diagonal=0):
    """The last two dimensions with zeros below `diagonal`."""
    return record(_core.triangle(input, diagonal, True), triu_vjp, (input,), (diagonal,))


def triu_vjp(node, dy):
    return (triu(dy, *node.ctx),)


def flip(input, *dims):
    """A copy with the order along each of `dims` reversed."""
    if len(dims) == 1 and not isinstance(dims[0], int):
        dims = tuple(dims[0])
    n = input.ndim
    index = [slice(None)] * n
    for d in dims:
        if not -n <= d < n:
            raise IndexError(f"[flip] dims must be in [{-n}, {n}), got {d}")
        if index[d].step is not None:
            raise ValueError(f"[flip] dims must name each dimension once, got {dims}")
        index[d] = slice(None, None, -1)
    y = _core.clone(_core.getitem(input, tuple(index), None))
    return record(y, flip_vjp, (input,), (dims,))


def flip_vjp(node, dy):
    return (flip(dy, *node.ctx),)
