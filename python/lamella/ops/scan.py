# SPDX-License-Identifier: MIT
"""Running sums, products, extremes and log-sums of exponentials along a dimension."""

from __future__ import annotations

from collections import namedtuple

from .. import _core
from ..autograd import is_grad_enabled, record
from .elementwise import exp, log, where
from .index import index_select, nonzero, scatter_add_
from .join import cat
from .reduce import prod
from .view import unsqueeze
from .write import index_copy

__all__ = """
cummax cummin cumprod cumsum cumulative_trapezoid diff gradient logcumsumexp trapezoid trapz
""".split()

CummaxResult = namedtuple("cummax", ("values", "indices"))
CumminResult = namedtuple("cummin", ("values", "indices"))


def cumsum(input, dim, dtype=None):
    """y[i] = input[0] + ... + input[i] along dim; integers and bool give int64."""
    return record(_core.cumsum(input, dim, dtype), cumsum_vjp, (input,), (dim,))


def cumsum_vjp(node, dy):
    (dim,) = node.ctx
    return (dy if dy.ndim == 0 else _reversed(cumsum(_reversed(dy, dim), dim), dim),)


def _reversed(x, dim):
    n = x.shape[dim]
    return x if n == 0 else record(_core.slice(x, dim % x.ndim, n - 1, -1, -1), reversed_vjp, (x,), (dim,))


def reversed_vjp(node, dy):
    return (_reversed(dy, node.ctx[0]),)


def cumprod(input, dim, dtype=None):
    """y[i] = input[0] ... input[i] along dim; integers and bool give int64. The gradient is right at zeros, too."""
    return record(_core.cumprod(input, dim, dtype), cumprod_vjp, (input,), (input, dim), True)


def cumprod_vjp(node, dy):
    x, dim = node.ctx
    if x.ndim == 0:
        return (dy,)
    zero = x == 0
    if not _core.item(_core.reduce_any(zero)):  # dx[i] = sum over k >= i of dy[k] y[k] / x[i]
        return (_tail_sums(dy * node.output, dim) / x,)
    if not is_grad_enabled():
        dx = _tail_sums(dy * node.output, dim) / where(zero, 1.0, x)
        rows = None if dim % x.ndim < x.ndim - 1 else nonzero(zero.any(-1).reshape(-1)).reshape(-1)  # those with zeros
        if rows is None or 2 * len(rows) * x.shape[-1] > x.numel():
            return (_at_first_zeros(dx, x, dy, zero, dim),)
        flat = [t.reshape(-1, x.shape[-1]) for t in (dx, x, dy, zero)]
        some = _at_first_zeros(*(index_select(t, 0, rows) for t in flat), 1)
        return (index_copy(flat[0], 0, rows, some).reshape(x.shape),)
    # To be differentiated: dx[i] = (product of x before i) (sum over k >= i of dy[k] times the product of x after i up to k),
    # where the products are taken over an (n, n) table.
    n, dim = x.shape[dim], dim % x.ndim
    rows = x.movedim(dim, -1)
    at = _core.arange_int(0, 1, n, _core.int64, x)
    i, k, j = at.reshape((n, 1, 1)), at.reshape((1, n, 1)), at.reshape((1, 1, n))
    others = prod(where((j <= k) & (j != i), rows.unsqueeze(-2).unsqueeze(-2), 1.0), -1)  # [..., i, k]
    reaches = (at.reshape((n, 1)) <= at).to(x.dtype)
    dx = (others * reaches * dy.movedim(dim, -1).unsqueeze(-2)).sum(-1)
    return (dx.movedim(-1, dim),)


def _at_first_zeros(dx, x, dy, zero, dim):
    """dx, but at the first zero along dim, where it is the sum of the products without it: those with it are 0 from there on."""
    first = zero & (cumsum(zero, dim, _core.int32) == 1)
    return where(first, _tail_sums(dy * cumprod(where(first, 1.0, x), dim), dim), dx)


def _tail_sums(x, dim):
    return _reversed(cumsum(_reversed(x, dim), dim), dim)


def logcumsumexp(input, dim):
    """log(e^input[0] + ... + e^input[i]) along dim, without overflow."""
    return record(_core.logcumsumexp(input, dim), logcumsumexp_vjp, (input,), (input, dim), True)


def logcumsumexp_vjp(node, dy):
    # dx[i] = sum over k >= i of dy[k] e^(x[i] - y[k]); by the logs of the positive and negative parts of dy, so that
    # nothing overflows
    x, dim = node.ctx
    if x.ndim == 0:
        return (dy,)
    y, low = node.output, -float("inf")
    if x.dtype.itemsize < 4:  # differences of logs have too few digits there, the rounded output too
        x, dy = x.float(), dy.float()
        y = logcumsumexp(x, dim)
    up = _tail(log(where(dy > 0, dy, 1.0)) - y, dy > 0, low, dim)
    down = _tail(log(where(dy < 0, -dy, 1.0)) - y, dy < 0, low, dim)
    return (exp(up + x) - exp(down + x),)


def _tail(x, used, low, dim):
    return _reversed(logcumsumexp(_reversed(where(used, x, low), dim), dim), dim)


def cummax(input, dim):
    """(values, indices) of the greatest element so far along dim; of equal ones the last, NaN counts as greatest."""
    return CummaxResult(*_extreme(input, dim, True))


def cummin(input, dim):
    """(values, indices) of the least element so far along dim; of equal ones the last, NaN counts as least."""
    return CumminResult(*_extreme(input, dim, False))


def _extreme(input, dim, greatest):
    values, indices = _core.cumextreme(input, dim, greatest)
    return record(values, extreme_vjp, (input,), (input.shape, dim, indices)), indices


def extreme_vjp(node, dy):
    shape, dim, indices = node.ctx
    if not shape:
        return (dy,)
    wide = dy if dy.dtype.itemsize >= 4 else dy.float()  # many may fall on one place
    return (scatter_add_(_core.full(shape, 0.0, wide.dtype, wide), dim, indices, wide),)


# ---- differences and integrals ---------------------------------------------------------------------------------------
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """The n-th differences input[i + 1] - input[i] along dim, of input with `prepend` and `append` around it."""
    parts = [t for t in (prepend, input, append) if t is not None]
    x = cat(parts, dim) if len(parts) > 1 else input
    if x.ndim == 0:
        raise ValueError("[diff] input must have at least one dimension, got a scalar")
    if n < 0:
        raise ValueError(f"[diff] n must not be negative, got {n}")
    for _ in range(n):
        size = x.shape[dim]
        if size == 0:
            return x
        later, sooner = x.narrow(dim, 1, size - 1), x.narrow(dim, 0, size - 1)
        x = later != sooner if x.dtype is _core.bool else later - sooner
    return x


def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """The derivative along each of `dim` (default: all), a Tensor per dimension: by central differences of second order,
    at the edges one-sided ones of edge_order 1 or 2.

    spacing: a number, one per dimension, or per dimension the vector of coordinates.
    """
    if edge_order not in (1, 2):
        raise ValueError(f"[gradient] edge_order must be 1 or 2, got {edge_order}")
    dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    spacing = list(spacing) if isinstance(spacing, tuple | list) else [spacing] * len(dims)
    if len(spacing) != len(dims):
        raise ValueError(f"[gradient] spacing must be one per dimension ({len(dims)}), got {len(spacing)}")
    return tuple(_gradient(input, h, d, edge_order) for h, d in zip(spacing, dims, strict=True))


def _gradient(x, spacing, dim, edge_order):
    x = (x if x.dtype.is_floating_point else x + 0.0).movedim(dim, -1)
    n = x.shape[-1]
    if n <= edge_order:
        raise ValueError(f"[gradient] input must have more than {edge_order} elements along dimension {dim}, got {n}")
    h = diff(spacing) if isinstance(spacing, _core.TensorBase) else _core.full((n - 1,), float(spacing), x.dtype, x)
    a, b = h[:-1], h[1:]
    inner = x[..., 2:] * (a / (b * (a + b))) + x[..., 1:-1] * ((b - a) / (a * b)) - x[..., :-2] * (b / (a * (a + b)))
    if edge_order == 1:
        first, last = (x[..., 1:2] - x[..., :1]) / h[:1], (x[..., -1:] - x[..., -2:-1]) / h[-1:]
    else:
        first, last = _edge(x[..., :3], h[:2]), -_edge(x[..., -3:].flip(-1), h[-2:].flip(-1))
    return cat([first, inner, last], -1).movedim(-1, dim)


def _edge(x, h):
    """The derivative at the first of three points, of second order."""
    a, b = h[:1], h[1:]
    return x[..., 1:2] * ((a + b) / (a * b)) - x[..., :1] * ((2 * a + b) / (a * (a + b))) - x[..., 2:] * (a / (b * (a + b)))


def _strips(y, x, dx, dim):
    n = y.shape[dim]
    both = y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)
    if x is None:
        return both * (dx / 2)
    widths = diff(x, dim=-1 if x.ndim == 1 else dim)
    if x.ndim == 1:
        for _ in range(y.ndim - 1 - dim % y.ndim):
            widths = unsqueeze(widths, -1)
    return both * widths * 0.5


def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral of y along dim by the trapezoidal rule, at points x or `dx` apart."""
    n = y.shape[dim]
    if x is None and n > 1 and y.dtype.is_floating_point:
        return (y.sum(dim) - (y.select(dim, 0) + y.select(dim, n - 1)) * 0.5) * dx
    return _strips(y, x, dx, dim).sum(dim)


def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral of y along dim up to each point, by the trapezoidal rule; one element shorter than y."""
    return cumsum(_strips(y, x, dx, dim), dim)


trapz = trapezoid
