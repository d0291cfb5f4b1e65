# SPDX-License-Identifier: MIT
"""Reductions: dim (NumPy's name: axis) is an int, a tuple of ints, or None for all dimensions; keepdim keeps reduced sizes
as 1.

Sums are pairwise over fixed blocks, so the error grows with the logarithm of the count and the bits do not depend on the
number of threads; float16 and bfloat16 accumulate in float32. NaN passes. IndexError for a dim out of range, ValueError
for a repeated dim or an extreme of nothing, TypeError for dtypes that the op does not take.
"""

from __future__ import annotations

import math
from collections import namedtuple

from .. import _core
from ..autograd import is_grad_enabled, record
from ..precision import raised, regions
from .elementwise import abs, exp, isinf, log, maximum, minimum, pow, sign, sqrt, where

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]


def _dims(input, dim):
    """The reduced dimensions, counted from 0."""
    n = input.ndim
    if dim is None or dim == ():
        return tuple(range(n))
    return tuple(d % n if n else 0 for d in ((dim,) if isinstance(dim, int) else dim))


def _kept_shape(input, dim):
    dims = _dims(input, dim)
    return tuple(1 if d in dims else size for d, size in enumerate(input.shape))


def _count(input, dim):
    return math.prod(input.shape[d] for d in _dims(input, dim)) if input.ndim else 1


def _spread(y, input, dim):
    """A result of a reduction of `input`, or its gradient, as a view of input's shape."""
    return y.reshape(_kept_shape(input, dim)).expand(input.shape)


class _Like:
    """The shape of a tensor that need not be kept itself."""

    __slots__ = ("ndim", "shape")

    def __init__(self, x):
        self.ndim, self.shape = x.ndim, x.shape


def sum(input, dim=None, keepdim=False, dtype=None, *, axis=None):
    """The sum; integers and bool give int64. `dtype`: converted before summing."""
    dim = dim if axis is None else axis
    return record(_core.reduce_sum(input, dim, keepdim, dtype), sum_vjp, (input,), (_Like(input), dim))


def sum_vjp(node, dy):
    like, dim = node.ctx
    return (_spread(dy, like, dim),)


def mean(input, dim=None, keepdim=False, dtype=None, *, axis=None):
    """The arithmetic mean, NaN of nothing. TypeError for integers, unless dtype is given."""
    dim = dim if axis is None else axis
    return record(_core.reduce_mean(input, dim, keepdim, dtype), mean_vjp, (input,), (_Like(input), dim))


def mean_vjp(node, dy):
    like, dim = node.ctx
    return (_spread(dy * (1 / (_count(like, dim) or 1)), like, dim),)


def prod(input, dim=None, keepdim=False, dtype=None, *, axis=None):
    """The product; integers and bool give int64. The gradient is right at zeros, too."""
    dim = dim if axis is None else axis
    if regions:
        (input,) = raised(input)
    return record(_core.reduce_prod(input, dim, keepdim, dtype), prod_vjp, (input,), (input, dim), True)


def prod_vjp(node, dy):
    x, dim = node.ctx
    zero = x == 0
    if not _core.item(_core.reduce_any(zero)):
        return (_spread(node.output * dy, x, dim) / x,)
    if is_grad_enabled():
        return (_prod_of_others(x, dim) * _spread(dy, x, dim),)
    nonzero = where(zero, 1.0, x)
    product = _spread(prod(nonzero, dim, keepdim=True), x, dim)
    zeros = _spread(sum(zero, dim, keepdim=True), x, dim)
    others = where(zeros == zero, product / nonzero, 0.0)  # no zero among the other factors
    return (others * _spread(dy, x, dim),)


def _prod_of_others(x, dim):
    """For every element the product of the others, in n products of n: differentiable to any order."""
    dims = _dims(x, dim)
    rest = tuple(d for d in range(x.ndim) if d not in dims)
    moved = x.permute(rest + dims)
    n = _count(x, dim)
    rows = moved.reshape((*(x.shape[d] for d in rest), n))
    positions = _core.arange_int(0, 1, n, _core.int64, x)
    own = positions.reshape((n, 1)) == positions
    others = prod(where(own, 1.0, rows.unsqueeze(-2)), -1).reshape(moved.shape)
    back = sorted(range(x.ndim), key=(rest + dims).__getitem__)
    return others.permute(back)


# ---- extremes --------------------------------------------------------------------------------------------------------
MaxResult = namedtuple("max", ("values", "indices"))
MinResult = namedtuple("min", ("values", "indices"))


def amax(input, dim=None, keepdim=False, *, axis=None):
    """The greatest element. Equal ones share the gradient."""
    dim = dim if axis is None else axis
    return record(_core.reduce_max(input, dim, keepdim), extreme_vjp, (input,), (input, dim), True)


def amin(input, dim=None, keepdim=False, *, axis=None):
    """The least element. Equal ones share the gradient."""
    dim = dim if axis is None else axis
    return record(_core.reduce_min(input, dim, keepdim), extreme_vjp, (input,), (input, dim), True)


def extreme_vjp(node, dy):
    x, dim = node.ctx
    hit = x == _spread(node.output.detach(), x, dim)
    share = dy.reshape(_kept_shape(x, dim)) / sum(hit, dim, keepdim=True).to(dy.dtype)
    return (where(hit, share, 0.0),)


def argmax(input, dim=None, keepdim=False, *, axis=None):
    """The first position of the greatest element along dim, or in the flattened input; NaN counts as greatest."""
    dim = dim if axis is None else axis
    return _core.reduce_argmax(input, dim, keepdim)


def argmin(input, dim=None, keepdim=False, *, axis=None):
    """The first position of the least element along dim, or in the flattened input; NaN counts as least."""
    dim = dim if axis is None else axis
    return _core.reduce_argmin(input, dim, keepdim)


def max(input, dim=None, keepdim=False, *, axis=None):
    """max(input): the greatest element. max(input, dim): (values, indices) along dim. max(input, other): maximum."""
    dim = dim if axis is None else axis
    if dim is None:
        return amax(input)
    if isinstance(dim, _core.TensorBase):
        return maximum(input, dim)
    return MaxResult(*_along(input, dim, keepdim, _core.reduce_max, _core.reduce_argmax))


def min(input, dim=None, keepdim=False, *, axis=None):
    """min(input): the least element. min(input, dim): (values, indices) along dim. min(input, other): minimum."""
    dim = dim if axis is None else axis
    if dim is None:
        return amin(input)
    if isinstance(dim, _core.TensorBase):
        return minimum(input, dim)
    return MinResult(*_along(input, dim, keepdim, _core.reduce_min, _core.reduce_argmin))


def _along(input, dim, keepdim, extreme, position):
    indices = position(input, dim, keepdim)
    return record(extreme(input, dim, keepdim), along_vjp, (input,), (_Like(input), dim, indices)), indices


def along_vjp(node, dy):
    like, dim, indices = node.ctx
    if like.ndim == 0:
        return (dy,)
    (d,) = _dims(like, dim)
    positions = _core.arange_int(0, 1, like.shape[d], _core.int64, dy).reshape((-1,) + (1,) * (like.ndim - 1 - d))
    return (where(positions == indices.reshape(_kept_shape(like, dim)), _spread(dy, like, dim), 0.0),)


def any(input, dim=None, keepdim=False, *, axis=None):
    """Whether some element is not 0."""
    dim = dim if axis is None else axis
    return _core.reduce_any(input, dim, keepdim)


def all(input, dim=None, keepdim=False, *, axis=None):
    """Whether no element is 0."""
    dim = dim if axis is None else axis
    return _core.reduce_all(input, dim, keepdim)


def count_nonzero(input, dim=None, *, axis=None):
    """How many elements are not 0."""
    dim = dim if axis is None else axis
    return _core.reduce_sum(input != 0, dim, False, None)


# ---- variance --------------------------------------------------------------------------------------------------------
def _correction(unbiased, correction):
    return correction if correction is not None else 0 if unbiased is False else 1


def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None):
    """The sum of squared deviations from the mean over (count - correction); correction is 1 (0 with unbiased=False)."""
    dim = dim if axis is None else axis
    c = _correction(unbiased, correction)
    return record(_core.var_mean(input, dim, c, keepdim)[0], var_vjp, (input,), (input, dim, c))


def var_vjp(node, dy):
    x, dim, c = node.ctx
    return (_deviation(x, dim, c) * _spread(2 * dy, x, dim),)


def _deviation(x, dim, c):
    """(x - mean) / (count - c)"""
    n = _count(x, dim) - c
    return (x - mean(x, dim, keepdim=True)) * (1 / n if n > 0 else math.nan)


def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None):
    """The square root of var; its derivative is 0 where it is 0."""
    dim = dim if axis is None else axis
    c = _correction(unbiased, correction)
    return record(sqrt(_core.var_mean(input, dim, c, keepdim)[0]), std_vjp, (input,), (input, dim, c), True)


def std_vjp(node, dy):
    x, dim, c = node.ctx
    y = node.output
    slope = where(y == 0, 0.0, dy / where(y == 0, 1.0, y))
    return (_deviation(x, dim, c) * _spread(slope, x, dim),)


def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None):
    """(var, mean) in one pass over memory."""
    dim = dim if axis is None else axis
    c = _correction(unbiased, correction)
    return record(_core.var_mean(input, dim, c, keepdim), var_mean_vjp, (input,), (input, dim, c))


def var_mean_vjp(node, dvar, dmean):
    x, dim, c = node.ctx
    dx = None
    if dvar is not None:
        dx = _deviation(x, dim, c) * _spread(2 * dvar, x, dim)
    if dmean is not None:
        part = _spread(dmean * (1 / _count(x, dim)), x, dim)
        dx = part if dx is None else dx + part
    return (dx,)


def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None):
    """(std, mean)."""
    dim = dim if axis is None else axis
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


# ---- norms and sums of exponentials ----------------------------------------------------------------------------------
def norm(input, p="fro", dim=None, keepdim=False, dtype=None, *, axis=None):
    """(sum of |input|^p)^(1/p): p is a number, inf or -inf, or "fro" for 2. Its gradient is 0 where the norm is 0."""
    dim = dim if axis is None else axis
    if dtype is not None:
        input = input.to(dtype)
    if p in ("fro", 2, None):
        return record(sqrt(_core.reduce_sum_squares(input, dim, keepdim)), norm_vjp, (input,), (input, dim), True)
    if p == 1:
        return record(_core.reduce_sum_abs(input, dim, keepdim), norm1_vjp, (input,), (input, dim))
    if p == math.inf:
        return amax(abs(input), dim, keepdim)
    if p == -math.inf:
        return amin(abs(input), dim, keepdim)
    if not isinstance(p, (int, float)):
        raise ValueError(f"[norm] p must be a number or 'fro', got {p!r}")
    if p == 0:
        return sum(input != 0, dim, keepdim).to(input.dtype)
    return pow(sum(pow(abs(input), p), dim, keepdim), 1 / p)


def norm_vjp(node, dy):
    x, dim = node.ctx
    y = node.output
    return (x * _spread(where(y == 0, 0.0, dy / where(y == 0, 1.0, y)), x, dim),)


def norm1_vjp(node, dy):
    x, dim = node.ctx
    return (sign(x) * _spread(dy, x, dim),)


def logsumexp(input, dim=None, keepdim=False, *, axis=None):
    """log(sum(e^input)), without overflow; -inf where all elements are -inf."""
    dim = dim if axis is None else axis
    top = _core.reduce_max(input, dim, True)
    top = where(isinf(top), 0.0, top)
    x = input.detach()
    y = log(_core.reduce_sum(exp(x - top), dim, True, None)) + top
    if not keepdim:
        y = y.reshape(_core.reduce_max(input, dim, False).shape)
    return record(y, logsumexp_vjp, (input,), (input, dim), True)


def logsumexp_vjp(node, dy):
    x, dim = node.ctx
    y = node.output
    return (exp(x - _spread(where(isinf(y), 0.0, y), x, dim)) * _spread(dy, x, dim),)
