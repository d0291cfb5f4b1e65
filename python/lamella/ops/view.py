# SPDX-License-Identifier: MIT
"""Views and copies: another shape, order, dtype or place for the same elements.

A view shares memory with its input. The gradient of each is the inverse rearrangement of dy.
"""

from __future__ import annotations

from typing import Any

from .. import _core
from .._numpy import np
from ..autograd import prepare_inplace, record, record_inplace
from .creation import as_tensor
from .layout import identity_vjp

__all__ = [
    "broadcast_tensors",
    "broadcast_to",
    "copy_",
    "diagonal",
    "expand",
    "expand_as",
    "fill_",
    "flatten",
    "moveaxis",
    "movedim",
    "permute",
    "ravel",
    "reshape",
    "reshape_as",
    "squeeze",
    "sum_to_size",
    "swapaxes",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
    "view_as",
    "zero_",
]


def _sizes(sizes: tuple[Any, ...]) -> Any:
    """f(x, 2, 3) and f(x, (2, 3)) alike."""
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


def alias(input):
    """The same elements under a fresh node."""
    return record(input.detach(), identity_vjp, (input,))


def reshape(input, *shape):
    """The elements of `input` in row-major order as `shape` (one size may be -1): a view if the strides allow, else a copy.

    ValueError if the number of elements differs.
    """
    return record(_core.reshape(input, _sizes(shape)), reshape_vjp, (input,), (input.shape,))


def reshape_vjp(node, dy):
    return (reshape(dy, node.ctx[0]),)


def view(input, *shape):
    """Like `reshape`, but never a copy: ValueError where the strides do not allow a view. A dtype of the same element
    size instead of a shape reinterprets the bits (no gradient)."""
    size = _sizes(shape)
    if isinstance(size, _core.dtype):
        return _core.bitcast(input, size)
    return record(_core.view(input, size), reshape_vjp, (input,), (input.shape,))


def view_as(input, other):
    """`input.view(other.shape)`."""
    return view(input, other.shape)


def reshape_as(input, other):
    """`input.reshape(other.shape)`."""
    return reshape(input, other.shape)


def flatten(input, start_dim=0, end_dim=-1):
    """Joins dimensions start_dim .. end_dim into one. A scalar becomes (1,)."""
    n, shape = input.ndim, input.shape
    if n == 0:
        return reshape(input, (1,))
    start, end = _dim("flatten", start_dim, n), _dim("flatten", end_dim, n)
    if start > end:
        raise ValueError(f"[flatten] start_dim must not lie behind end_dim, got {start_dim} and {end_dim}")
    if start == end:
        return input
    size = 1
    for s in shape[start : end + 1]:
        size *= s
    return reshape(input, (*shape[:start], size, *shape[end + 1 :]))


def ravel(input):
    """All elements in one dimension."""
    return reshape(input, (-1,))


def unflatten(input, dim, sizes):
    """Splits dimension `dim` into `sizes` (one may be -1)."""
    dim = _dim("unflatten", dim, input.ndim)
    shape = input.shape
    sizes = tuple(sizes)
    if -1 in sizes:
        known = 1
        for s in sizes:
            known *= s if s != -1 else 1
        sizes = tuple(shape[dim] // known if s == -1 and known else s for s in sizes)
    total = 1
    for s in sizes:
        total *= s
    if total != shape[dim]:
        raise ValueError(f"[unflatten] sizes must multiply to {shape[dim]}, got {sizes}")
    return reshape(input, shape[:dim] + sizes + shape[dim + 1 :])


def _dim(op: str, dim: int, n: int) -> int:
    if not -n <= dim < n:
        raise IndexError(f"[{op}] dim must be in [{-n}, {n}), got {dim}")
    return dim % n


def transpose(input, dim0, dim1):
    """A view with two dimensions exchanged."""
    return record(_core.transpose(input, dim0, dim1), transpose_vjp, (input,), (dim0, dim1))


def transpose_vjp(node, dy):
    return (transpose(dy, *node.ctx),)


def swapaxes(input, axis0, axis1):
    """Same as `transpose`."""
    return transpose(input, axis0, axis1)


def t(input):
    """The transpose of a matrix; vectors and scalars as they are. ValueError above two dimensions."""
    if input.ndim > 2:
        raise ValueError(f"[t] input must have at most 2 dimensions, got {input.shape}: use mT or transpose")
    return transpose(input, 0, 1) if input.ndim == 2 else input


def permute(input, *dims):
    """A view with the dimensions in the order `dims`."""
    dims = tuple(_sizes(dims))
    return record(_core.permute(input, dims), permute_vjp, (input,), dims)


def permute_vjp(node, dy):
    n = len(node.ctx)
    inverse = [0] * n
    for i, d in enumerate(node.ctx):
        inverse[d % n] = i
    return (permute(dy, inverse),)


def movedim(input, source, destination):
    """Moves dimensions `source` to the places `destination`; the others keep their order."""
    n = input.ndim
    if isinstance(source, int) and isinstance(destination, int):
        order = list(range(n))
        order.insert(_dim("movedim", destination, n), order.pop(_dim("movedim", source, n)))
        return permute(input, order)
    source = [_dim("movedim", d, n) for d in (source if isinstance(source, (tuple, list)) else (source,))]
    destination = [_dim("movedim", d, n) for d in (destination if isinstance(destination, (tuple, list)) else (destination,))]
    if len(source) != len(destination) or len(set(source)) < len(source) or len(set(destination)) < len(destination):
        raise ValueError("[movedim] source and destination must name as many different dimensions")
    order = [-1] * n
    for s, d in zip(source, destination, strict=True):
        order[d] = s
    rest = iter(d for d in range(n) if d not in source)
    return permute(input, [o if o >= 0 else next(rest) for o in order])


moveaxis = movedim


def expand(input, *sizes):
    """A view in which sizes of 1 are stretched (stride 0); -1 keeps a size, new dimensions may appear in front."""
    return record(_core.expand(input, _sizes(sizes)), identity_vjp, (input,))  # the engine sums over stretched dims


def expand_as(input, other):
    """`input.expand(other.shape)`."""
    return expand(input, other.shape)


def broadcast_to(input, shape):
    """`input.expand(shape)`."""
    return expand(input, shape)


def broadcast_tensors(*tensors):
    """Views of the tensors, all stretched to the shape they broadcast to."""
    shapes = [tuple(t.shape) for t in tensors]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise ValueError(f"[broadcast_tensors] tensors must have shapes that broadcast, got {listed}") from None
    return tuple(t if s == shape else expand(t, shape) for t, s in zip(tensors, shapes, strict=True))


def sum_to_size(input, *size):
    """The inverse of broadcasting: sums over the dimensions that were stretched from `size`."""
    from .reduce import sum

    size = tuple(_sizes(size))
    lead = input.ndim - len(size)
    dims = tuple(range(lead)) + tuple(i + lead for i, s in enumerate(size) if s == 1 and input.shape[i + lead] != 1)
    if dims:
        input = sum(input, dims, keepdim=True)
    return reshape(input, size) if lead or input.shape != size else input


def unsqueeze(input, dim):
    """A view with a dimension of size 1 inserted at `dim`."""
    return record(_core.unsqueeze(input, dim), reshape_vjp, (input,), (input.shape,))


def squeeze(input, dim=None):
    """A view without dimensions of size 1: all, or of those in `dim`."""
    return record(_core.squeeze(input, dim), reshape_vjp, (input,), (input.shape,))


def diagonal(input, offset=0, dim1=0, dim2=1):
    """A view on the diagonal of dim1 and dim2 (`offset` above it), as the last dimension."""
    y = _core.diagonal(input, offset, dim1, dim2)
    return record(y, diagonal_vjp, (input,), (input.shape, offset, dim1, dim2))


def diagonal_vjp(node, dy):
    return (_diagonal_scatter(dy, *node.ctx),)


def _diagonal_scatter(input, shape, offset, dim1, dim2):
    """Zeros of `shape` with `input` on the diagonal."""
    y = _core.full(shape, 0.0, input.dtype, input)
    _core.copy_(_core.diagonal(y, offset, dim1, dim2), input)
    return record(y, _diagonal_scatter_vjp, (input,), (offset, dim1, dim2))


def _diagonal_scatter_vjp(node, dy):
    return (diagonal(dy, *node.ctx),)


def cast(input, dtype):
    """The elements as `dtype` (`input` itself if it has it): floats to integers truncate, non-zero becomes True."""
    if input.dtype is dtype:
        return input
    return record(_core.cast(input, dtype), identity_vjp, (input,))  # the engine casts the gradient back


def copy_(input, src, non_blocking=False):
    """Writes `src` (broadcast, cast) into `input`; gradients flow to src. non_blocking: as in `Tensor.to`."""
    src = as_tensor(src)
    prepare_inplace(input, src)
    _core.copy_(input, src, not non_blocking)
    return record_inplace(input, copy_vjp, (input, src))


def copy_vjp(node, dy):
    return None, dy


def fill_(input, value):
    """Writes `value`, a number or a 0-d Tensor, everywhere."""
    if isinstance(value, _core.TensorBase):
        if value.ndim:
            raise ValueError(f"[fill_] value must be a number or 0-d, got shape {tuple(value.shape)}")
        return copy_(input, value)
    prepare_inplace(input)
    _core.fill_(input, float(value))
    return record_inplace(input, fill_vjp, (input,))


def fill_vjp(node, dy):
    return (None,)


def zero_(input):
    """Writes zeros everywhere."""
    return fill_(input, 0.0)
