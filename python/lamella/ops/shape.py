# SPDX-License-Identifier: MIT
"""Further rearrangements: diagonals, turns, splits and joins by NumPy's names, grids of indices."""

from __future__ import annotations

import functools
import itertools

from .. import _core
from .._numpy import np
from ..autograd import record
from ..device import place_of
from .creation import arange, meshgrid, zeros
from .index import flip, getitem, index_select
from .join import cat, split, stack
from .view import _diagonal_scatter, _dim, diagonal, reshape, transpose, unsqueeze

__all__ = """
adjoint atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes cartesian_prod column_stack combinations diag
diag_embed diagflat dsplit dstack fliplr flipud hsplit rot90 row_stack split_with_sizes swapdims tensor_split tril_indices
triu_indices vander vsplit
""".split()


# ---- diagonals ---------------------------------------------------------------------------------------------------------
def diag(input, diagonal=0):
    """Of a vector the matrix with it on the diagonal; of a matrix its diagonal (a copy)."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise ValueError(f"[diag] input must have 1 or 2 dimensions, got {tuple(input.shape)}")
    return _diagonal_of(input, diagonal).clone()


_diagonal_of = diagonal


def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Zeros with the last dimension of `input` on the diagonal of dim1 and dim2 of the result."""
    n = input.ndim + 1
    a, b = _dim("diag_embed", dim1, n), _dim("diag_embed", dim2, n)
    if a == b:
        raise ValueError(f"[diag_embed] dim1 and dim2 must differ, got {dim1} and {dim2}")
    size = input.shape[-1] + abs(offset)
    shape = list(input.shape[:-1])
    for d in sorted((a, b)):
        shape.insert(d, size)
    y = _diagonal_scatter(input, tuple(shape), offset, a, b)
    return y if y.dtype is input.dtype else y.to(input.dtype)


def diagflat(input, offset=0):
    """The matrix with the flattened input on its diagonal."""
    return diag_embed(reshape(input, (-1,)), offset)


def block_diag(*tensors):
    """The matrices (vectors are rows, scalars 1 by 1) along the diagonal of one, zeros elsewhere."""
    blocks = [reshape(t, (1, -1)) if t.ndim < 2 else t for t in tensors]
    if not blocks:
        return zeros((1, 0))
    dtype = functools.reduce(_core.promote, [b.dtype for b in blocks])
    y = _core.block_diag([b if b.dtype is dtype else _core.cast(b, dtype) for b in blocks])
    return record(y, block_diag_vjp, tuple(blocks), tuple([b.shape for b in blocks]))


def block_diag_vjp(node, dy):
    gradients, row, column = [], 0, 0
    for (rows, columns), needed in zip(node.ctx, node.needs, strict=True):
        gradients.append(getitem(dy, (slice(row, row + rows), slice(column, column + columns))) if needed else None)
        row, column = row + rows, column + columns
    return tuple(gradients)


# ---- turns and exchanges -----------------------------------------------------------------------------------------------
def fliplr(input):
    """Dimension 1 in reverse order."""
    if input.ndim < 2:
        raise ValueError(f"[fliplr] input must have at least 2 dimensions, got {tuple(input.shape)}")
    return flip(input, 1)


def flipud(input):
    """Dimension 0 in reverse order."""
    if input.ndim < 1:
        raise ValueError(f"[flipud] input must have at least 1 dimension, got {tuple(input.shape)}")
    return flip(input, 0)


def rot90(input, k=1, dims=(0, 1)):
    """Turned k times by 90 degrees, from the first of `dims` towards the second."""
    dims = tuple(dims)
    if len(dims) != 2 or dims[0] % max(input.ndim, 1) == dims[1] % max(input.ndim, 1):
        raise ValueError(f"[rot90] dims must be two different dimensions, got {dims}")
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return flip(input, dims)
    return transpose(flip(input, dims[1] if k == 1 else dims[0]), *dims)


def swapdims(input, dim0, dim1):
    """Same as `transpose`."""
    return transpose(input, dim0, dim1)


def adjoint(input):
    """The last two dimensions exchanged."""
    return transpose(input, -2, -1)


# ---- splits ------------------------------------------------------------------------------------------------------------
def tensor_split(input, indices_or_sections, dim=0):
    """Views along `dim`: that many, the first n % sections one longer; or cut at these indices."""
    dim = _dim("tensor_split", dim, input.ndim)
    n = input.shape[dim]
    if isinstance(indices_or_sections, _core.TensorBase):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count <= 0:
            raise ValueError(f"[tensor_split] sections must be positive, got {count}")
        return split(input, [n // count + (i < n % count) for i in range(count)], dim)
    parts, start = [], 0
    for end in (*indices_or_sections, n):
        parts.append(getitem(input, (slice(None),) * dim + (slice(start, end),)))
        start = end
    return tuple(parts)


def _split_along(op, input, indices_or_sections, dim, least):
    if input.ndim < least:
        raise ValueError(f"[{op}] input must have at least {least} dimensions, got {tuple(input.shape)}")
    if isinstance(indices_or_sections, int) and input.shape[dim] % indices_or_sections:
        raise ValueError(f"[{op}] sections must divide {input.shape[dim]}, got {indices_or_sections}")
    return tensor_split(input, indices_or_sections, dim)


def hsplit(input, indices_or_sections):
    """`tensor_split` along dim 1 (of vectors along 0) into equal parts, or at indices."""
    return _split_along("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1, 1)


def vsplit(input, indices_or_sections):
    """`tensor_split` along dim 0 into equal parts, or at indices."""
    return _split_along("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input, indices_or_sections):
    """`tensor_split` along dim 2 into equal parts, or at indices."""
    return _split_along("dsplit", input, indices_or_sections, 2, 3)


def split_with_sizes(input, split_sizes, dim=0):
    """`split` into these sizes."""
    return split(input, tuple(split_sizes), dim)


# ---- joins -------------------------------------------------------------------------------------------------------------
def _each(f, tensors):
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tuple(tensors[0])
    elif len(tensors) == 1:
        return f(tensors[0])
    return tuple(map(f, tensors))


def _at_least_1(x):
    return reshape(x, (1,)) if x.ndim == 0 else x


def _at_least_2(x):
    return unsqueeze(_at_least_1(x), 0) if x.ndim < 2 else x


def _at_least_3(x):
    return unsqueeze(_at_least_2(x), -1) if x.ndim < 3 else x


def atleast_1d(*tensors):
    """Scalars as vectors; of one tensor a tensor, of several (or a list) a tuple."""
    return _each(_at_least_1, tensors)


def atleast_2d(*tensors):
    """With dimensions of 1 in front up to two."""
    return _each(_at_least_2, tensors)


def atleast_3d(*tensors):
    """With dimensions of 1 up to three: vectors as (1, n, 1), matrices as (m, n, 1)."""
    return _each(_at_least_3, tensors)


def dstack(tensors):
    """`cat` along dim 2, of tensors made at least 3-D."""
    return cat([_at_least_3(t) for t in tensors], 2)


def column_stack(tensors):
    """`cat` along dim 1, vectors and scalars as columns."""
    return cat([reshape(t, (-1, 1)) if t.ndim < 2 else t for t in tensors], 1)


def row_stack(tensors):
    """`cat` along dim 0, vectors and scalars as rows."""
    return cat([_at_least_2(t) for t in tensors], 0)


# ---- grids of indices --------------------------------------------------------------------------------------------------
def broadcast_shapes(*shapes):
    """The shape that these broadcast to.

    >>> lamella.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    try:
        return np.broadcast_shapes(*(s if isinstance(s, int) else tuple(s) for s in shapes))
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise ValueError(f"[broadcast_shapes] shapes must broadcast, got {listed}") from None


def cartesian_prod(*tensors):
    """All tuples of an element of each vector, as rows."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(g, (-1,)) for g in meshgrid(*tensors)], 1)


def combinations(input, r=2, with_replacement=False):
    """All choices of r elements of a vector, as rows, in the order of itertools.combinations."""
    if input.ndim != 1:
        raise ValueError(f"[combinations] input must be 1-D, got {tuple(input.shape)}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    n = input.shape[0]
    rows = np.array(list(choose(range(n), r)), np.int64).reshape(-1, r)
    if not r:
        return zeros(0, dtype=input.dtype, device=input)
    return reshape(index_select(input, 0, _core.from_numpy(rows.reshape(-1))), (len(rows), r))


def _triangle_indices(row, col, offset, lower, dtype, device):
    y = _core.triangle_indices(row, col, offset, lower, place_of(device))
    return y if dtype is None else y.to(dtype)


def tril_indices(row, col, offset=0, *, dtype=None, device=None):
    """(2, n): rows and columns of the lower triangle of a (row, col) matrix, row by row."""
    return _triangle_indices(row, col, offset, True, dtype, device)


def triu_indices(row, col, offset=0, *, dtype=None, device=None):
    """(2, n): rows and columns of the upper triangle of a (row, col) matrix, row by row."""
    return _triangle_indices(row, col, offset, False, dtype, device)


def vander(x, N=None, increasing=False):
    """The powers 0 .. N-1 of each element of a vector, as rows, the highest first unless `increasing`."""
    n = x.shape[-1] if N is None else N
    powers = arange(n, device=x) if increasing else arange(n - 1, -1, -1, device=x) if n else arange(0, device=x)
    return unsqueeze(x, -1) ** powers.to(x.dtype if x.dtype.is_floating_point else _core.int64)
