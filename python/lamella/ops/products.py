# SPDX-License-Identifier: MIT
"""Further products of vectors and matrices, by name."""

from __future__ import annotations

import functools

from .. import _core
from ..autograd import record
from ..precision import raised, regions
from .creation import eye, tensor
from .gemm import _scaled_sum, _want_dims, bmm, dot, linear, matmul, mv, outer, tensordot
from .index import index_select
from .reduce import sum
from .view import _diagonal_scatter, _dim, broadcast_tensors, expand, reshape

__all__ = "addbmm addmv addr chain_matmul cross ger inner kron matrix_power trace vdot vecdot".split()


def trace(input):
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        _want_dims("trace", input=(input, 2))
    if regions:
        (input,) = raised(input)
    return record(_core.reduce_sum(_core.diagonal(input, 0, 0, 1), None, False, None), trace_vjp, (input,), input.shape)


def trace_vjp(node, dy):
    shape = node.ctx
    return (_diagonal_scatter(expand(dy, (min(shape),)), shape, 0, 0, 1),)


def inner(input, other):
    """The products over the last dimensions: (..., n), (*, n) -> (..., *); of a scalar the plain product."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise ValueError(f"[inner] last sizes must match, got {tuple(input.shape)} and {tuple(other.shape)}")
    if input.ndim == 1 and other.ndim == 1:
        return dot(input, other)
    if other.ndim == 2:
        return linear(input, other)
    return tensordot(input, other, ([-1], [-1]))


def vdot(input, other):
    """The product of two vectors."""
    _want_dims("vdot", input=(input, 1), other=(other, 1))
    return dot(input, other)


def vecdot(x, y, *, dim=-1):
    """The products of vectors along `dim`."""
    if dim in (-1, x.ndim - 1) and x.ndim > 1 and x.shape == y.shape and x.dtype is y.dtype and x.dtype.is_floating_point:
        products = _core.matmul(_core.unsqueeze(x, -2), _core.unsqueeze(y, -1))
        return record(_core.reshape(products, x.shape[:-1]), vecdot_vjp, (x, y), (x, y))
    return sum(x * y, dim)


def vecdot_vjp(node, dy):
    x, y = node.ctx
    dy = dy.unsqueeze(-1)
    return dy * y if node.needs[0] else None, dy * x if node.needs[1] else None


ger = outer


def kron(input, other):
    """The Kronecker product: every element of input times the whole of other."""
    n = max(input.ndim, other.ndim)
    a, b = ((1,) * (n - x.ndim) + tuple(x.shape) for x in (input, other))
    products = reshape(input, [m for s in a for m in (s, 1)]) * reshape(other, [m for t in b for m in (1, t)])
    return reshape(products, [s * t for s, t in zip(a, b, strict=True)])


@functools.cache
def _turns():
    return tensor([1, 2, 0]), tensor([2, 0, 1])


def cross(input, other, dim=None):
    """The vector product along `dim` (the first of size 3 where not given), which has size 3 in both; they broadcast."""
    if input.ndim != other.ndim:
        raise ValueError(f"[cross] input and other must have as many dimensions, got {tuple(input.shape)} and {tuple(other.shape)}")
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise ValueError(f"[cross] input must have a dimension of size 3, got {tuple(input.shape)}")
    dim = _dim("cross", dim, input.ndim)
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise ValueError(f"[cross] dimension {dim} must have size 3, got {tuple(input.shape)} and {tuple(other.shape)}")
    if input.dtype is other.dtype and input.dtype.is_floating_point:
        return _cross(*(broadcast_tensors(input, other) if input.shape != other.shape else (input, other)), dim)
    forth, back = (t.to(input.device) for t in _turns())
    a, b = index_select(input, dim, forth), index_select(other, dim, forth)
    return a * index_select(other, dim, back) - index_select(input, dim, back) * b


def _cross(a, b, dim):
    return record(_core.cross(a, b, dim), cross_vjp, (a, b), (a, b, dim))


def cross_vjp(node, dy):
    a, b, dim = node.ctx
    return _cross(b, dy, dim) if node.needs[0] else None, _cross(dy, a, dim) if node.needs[1] else None


def addmv(input, mat, vec, *, beta=1, alpha=1):
    """beta input + alpha (mat @ vec), input broadcast to (m). With beta == 0 input is not read."""
    return _scaled_sum("addmv", input, mv(mat, vec), beta, alpha)


def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """beta input + alpha outer(vec1, vec2), input broadcast to (m, n). With beta == 0 input is not read."""
    return _scaled_sum("addr", input, outer(vec1, vec2), beta, alpha)


def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta input + alpha (sum over the batch of batch1 @ batch2). With beta == 0 input is not read."""
    return _scaled_sum("addbmm", input, sum(bmm(batch1, batch2), 0), beta, alpha)


def matrix_power(input, n):
    """The n-th power of square matrices (..., m, m), n not negative, by repeated squaring."""
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise ValueError(f"[matrix_power] input must be square matrices, got {tuple(input.shape)}")
    if n < 0:
        raise ValueError(f"[matrix_power] n must not be negative, got {n}")
    y, power = None, input
    while n:
        if n & 1:
            y = power if y is None else matmul(y, power)
        n >>= 1
        power = matmul(power, power) if n else power
    if y is None:
        return eye(input.shape[-1], dtype=input.dtype, device=input).expand(input.shape).clone()
    return y.clone() if y is input else y


def chain_matmul(*matrices):
    """The product of matrices in the order that takes the fewest multiplications (dynamic programming over the sizes);
    the first and the last may be vectors."""
    if len(matrices) == 1 and isinstance(matrices[0], tuple | list):
        matrices = tuple(matrices[0])
    if not matrices:
        raise ValueError("[chain_matmul] matrices must not be empty")
    k = len(matrices)
    rows = [1 if m.ndim == 1 and i == 0 else m.shape[0] for i, m in enumerate(matrices)]
    sizes = [*rows, 1 if matrices[-1].ndim == 1 and k > 1 else matrices[-1].shape[-1]]
    cost = [[0] * k for _ in range(k)]
    cut = [[0] * k for _ in range(k)]
    for length in range(1, k):
        for i in range(k - length):
            j = i + length
            cost[i][j], cut[i][j] = min(
                (cost[i][m] + cost[m + 1][j] + sizes[i] * sizes[m + 1] * sizes[j + 1], m) for m in range(i, j)
            )

    def product(i, j):
        return matrices[i] if i == j else matmul(product(i, cut[i][j]), product(cut[i][j] + 1, j))

    return product(0, k - 1)
