# SPDX-License-Identifier: MIT
"""Norms and products under `torch.linalg`'s names."""

from __future__ import annotations

import math

from . import ops
from .ops import cross, diagonal, matmul, matrix_power, vander, vecdot

__all__ = ["cross", "diagonal", "matmul", "matrix_norm", "matrix_power", "multi_dot", "norm", "vander", "vecdot", "vector_norm"]


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum of |x|^ord)^(1/ord) along dim (one, several, or all): ord a number, inf or -inf; 0 counts what is not 0."""
    return ops.norm(x, ord, dim, keepdim, dtype)


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """Of matrices over two dimensions: "fro" (2-norm of the elements), inf, -inf (greatest, least sum of magnitudes of a
    row), 1, -1 (of a column)."""
    rows, columns = (d % A.ndim for d in dim)
    if dtype is not None:
        A = A.to(dtype)
    if ord == "fro":
        return ops.norm(A, 2, (rows, columns), keepdim)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(f"[matrix_norm] ord must be 'fro', 1, -1, inf or -inf, got {ord!r}")
    inner, outer = (columns, rows) if abs(ord) == math.inf else (rows, columns)
    sums = ops.sum(ops.abs(A), inner, keepdim=True)
    y = ops.amax(sums, outer, keepdim=True) if ord > 0 else ops.amin(sums, outer, keepdim=True)
    return y if keepdim else ops.squeeze(y, (rows, columns))


def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """`vector_norm`, or `matrix_norm` where dim names two dimensions and ord is given (or A is a matrix and ord is)."""
    if isinstance(dim, tuple | list) and len(dim) == 2 and ord is not None:
        return matrix_norm(A, ord, dim, keepdim, dtype=dtype)
    if dim is None and ord is not None and A.ndim == 2:
        return matrix_norm(A, ord, (0, 1), keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord in (None, "fro") else ord, dim, keepdim, dtype=dtype)


def multi_dot(tensors):
    """The product of matrices in the cheapest order; the first and the last may be vectors."""
    return ops.chain_matmul(*tensors)
