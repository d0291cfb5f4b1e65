# SPDX-License-Identifier: MIT
"""Counts, quantiles, moments of what is not NaN, covariances and distances."""

from __future__ import annotations

import builtins
import math
from collections import namedtuple

from .. import _core
from ..precision import in_float32
from .creation import arange, as_tensor, linspace, ones_like
from .elementwise import clamp, floor, isnan, maximum, minimum, ne, sqrt, square, where
from .gemm import matmul
from .index import gather, index_add_
from .join import cat
from .reduce import amax, amin, mean, norm, sum
from .sort import searchsorted, sort
from .view import reshape, unsqueeze

__all__ = """
aminmax bincount cdist corrcoef cosine_similarity cov dist equal histc histogram isin mode nanmean nanquantile nansum
pairwise_distance pdist quantile renorm
""".split()

AminmaxResult = namedtuple("aminmax", ("min", "max"))
ModeResult = namedtuple("mode", ("values", "indices"))
HistogramResult = namedtuple("histogram", ("hist", "bin_edges"))


def aminmax(input, *, dim=None, keepdim=False):
    """(min, max): the least and the greatest element, of all or along dim."""
    return AminmaxResult(amin(input, dim, keepdim), amax(input, dim, keepdim))


def equal(input, other):
    """Whether both have the same shape and elements, as a Python bool (NaN differs from NaN)."""
    return input.shape == other.shape and not _core.item(_core.reduce_any(ne(input, other)))


def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each of `elements` occurs in `test_elements`; with `invert` whether it does not."""
    elements, test_elements = as_tensor(elements), as_tensor(test_elements)
    if test_elements.numel() == 0:
        found = elements != elements if not elements.dtype.is_floating_point else (elements == elements) & False
        return ~found if invert else found
    dtype = _core.promote(elements.dtype, test_elements.dtype)
    rising = _core.sort(reshape(test_elements.detach().to(dtype), (-1,)), 0, False)[0]
    values = elements.detach().to(dtype)
    at = clamp(searchsorted(rising, values), 0, rising.numel() - 1)
    found = rising[at] == values
    return ~found if invert else found


# ---- without NaN -------------------------------------------------------------------------------------------------------
def nansum(input, dim=None, keepdim=False, *, dtype=None, axis=None):
    """`sum` in which NaN counts as 0."""
    dim = dim if axis is None else axis
    y = sum(input, dim, keepdim, dtype)
    if not input.dtype.is_floating_point or not _core.item(_core.reduce_any(isnan(y.detach()))):
        return y  # no NaN came in, so none is to be left out
    return sum(where(isnan(input), 0.0, input), dim, keepdim, dtype)


def nanmean(input, dim=None, keepdim=False, *, dtype=None, axis=None):
    """`mean` of the elements that are not NaN; NaN of none."""
    dim = dim if axis is None else axis
    count = sum(~isnan(input), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


# ---- counts ------------------------------------------------------------------------------------------------------------
def bincount(input, weights=None, minlength=0):
    """How often (or with what sum of weights) each of 0, 1, ... occurs in a vector of integers, none negative."""
    if input.ndim != 1 or input.dtype.is_floating_point:
        raise ValueError(f"[bincount] input must be a 1-D tensor of integers, got {input.dtype.name} {tuple(input.shape)}")
    if minlength < 0:
        raise ValueError(f"[bincount] minlength must not be negative, got {minlength}")
    if weights is None and not input.is_cuda:
        return _core.bincount(input, minlength)
    least, most = (int(amin(input)), int(amax(input))) if input.numel() else (0, -1)
    if least < 0:
        raise ValueError(f"[bincount] input must not be negative, got {least}")
    if weights is None:
        weights = _core.full_int(input.shape, 1, _core.int64, input)
    elif weights.shape != input.shape:
        raise ValueError(f"[bincount] weights must have shape {tuple(input.shape)}, got {tuple(weights.shape)}")
    elif weights.dtype is not _core.float32:
        weights = weights.to(_core.float64)
    counts = _core.full((builtins.max(most + 1, minlength),), 0.0, weights.dtype, input)
    _core.scatter_(counts, 0, input, weights.detach(), True)
    return counts


def _bounds(op, input, low, high):
    if not low <= high:
        raise ValueError(f"[{op}] min must not lie above max, got {low} and {high}")
    if low == high and input.numel():
        low, high = float(amin(input)), float(amax(input))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"[{op}] range must be finite, got {low} to {high}")
    return (low - 1, high + 1) if low == high else (low, high)


def histc(input, bins=100, min=0, max=0):
    """How many elements fall into each of `bins` equal parts of [min, max] (of the range of input where they are equal),
    the last with its upper bound; others do not count. Of input's dtype."""
    if bins <= 0:
        raise ValueError(f"[histc] bins must be positive, got {bins}")
    x = reshape(input.detach(), (-1,))
    low, high = _bounds("histc", x, min, max)
    places = floor((x - low) * (bins / (high - low)))
    places = minimum(places, bins - 1.0)
    inside = (x >= low) & (x <= high)
    at = where(inside, places, float(bins)).to(_core.int64)
    counts = _core.full((bins + 1,), 0.0, _core.float64, at)
    _core.scatter_(counts, 0, at, _core.full(at.shape, 1.0, _core.float64, at), True)
    return counts[:bins].to(input.dtype)


def histogram(input, bins, *, range=None, weight=None, density=False):
    """(hist, bin_edges): how many elements (or what sum of weights) lie in each bin, the last with its upper edge.

    bins: a number of equal bins over `range` (default: that of input), or the rising edges. density: divided by the sum and
    the bins' widths.
    """
    x = reshape(input.detach(), (-1,))
    if isinstance(bins, int):
        low, high = _bounds("histogram", x, *(range or (0, 0)))
        edges = linspace(low, high, bins + 1, dtype=input.dtype, device=input)
    else:
        edges = as_tensor(bins).to(input)
    n = edges.numel() - 1
    at = searchsorted(edges, x, right=True) - 1
    at = where(x == edges[n], n - 1, at)
    w = _core.full(x.shape, 1.0, input.dtype, x) if weight is None else reshape(weight, (-1,))
    inside = (x >= edges[0]) & (x <= edges[n])
    hist = index_add_(_core.full((n + 1,), 0.0, input.dtype, input), 0, where(inside, at, n), w)[:n]
    if density:
        hist = hist / sum(hist) / (edges[1:] - edges[:-1])
    return HistogramResult(hist, edges)


def mode(input, dim=-1, keepdim=False):
    """(values, indices) of the most frequent element along dim, of several the least; the index is that of its last place."""
    if input.ndim == 0:
        return ModeResult(input.clone(), _core.full_int((), 0, _core.int64, input))
    values, order = sort(input, dim)
    n = values.shape[dim]
    at = arange(n, device=input).reshape([-1 if d == dim % input.ndim else 1 for d in builtins.range(input.ndim)])
    starts = where(_starts(values.detach(), dim), at, 0)
    from .scan import cummax

    run = at - cummax(starts, dim).values  # place within its run of equals
    last = _core.reduce_argmax(run, dim, True)
    best, where_from = gather(values, dim, last), gather(order, dim, last)
    if not keepdim:
        best, where_from = best.squeeze(dim), where_from.squeeze(dim)
    return ModeResult(best, where_from)


def _starts(values, dim):
    from .join import cat

    n = values.shape[dim]
    differs = ne(values.narrow(dim, 1, n - 1), values.narrow(dim, 0, n - 1))
    return cat([values.narrow(dim, 0, 1) == values.narrow(dim, 0, 1), differs], dim)


# ---- quantiles ---------------------------------------------------------------------------------------------------------
@in_float32
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The value below which a share q (a number or a vector, in [0, 1]) of the elements lies, of all or along dim; q's
    dimension comes first. Between two elements: "linear", "lower", "higher", "midpoint" or "nearest". NaN gives NaN."""
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@in_float32
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def _quantile(op, input, q, dim, keepdim, interpolation, skip_nan):
    if not input.dtype.is_floating_point:
        raise TypeError(f"[{op}] input must be floating, got {input.dtype.name}")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ValueError(f"[{op}] interpolation must be linear, lower, higher, midpoint or nearest, got {interpolation!r}")
    q = as_tensor(q, dtype=input.dtype).to(input.device)
    if q.ndim > 1 or not bool(((q >= 0) & (q <= 1)).all()):
        raise ValueError(f"[{op}] q must be a number or a vector in [0, 1], got {q.tolist()}")
    if input.numel() == 0:
        raise ValueError(f"[{op}] input must not be empty")
    scalar, ndim = q.ndim == 0, input.ndim
    x = reshape(input, (-1,)) if dim is None else input.movedim(dim, -1)
    values = sort(x, -1)[0]
    lead, n = tuple(values.shape[:-1]), values.shape[-1]
    q = reshape(q, (-1,))
    numbers = sum(~isnan(x.detach()), -1, True)
    count = numbers if skip_nan else where(numbers == n, n, -1)
    rank = reshape(q, (1,) * len(lead) + (-1,)) * maximum(count - 1, 0).to(input.dtype)
    low = floor(rank)
    if interpolation == "higher":
        low = _core.ceil(rank)
    elif interpolation == "nearest":
        low = _core.round(rank)
    weight = rank - low if interpolation == "linear" else where(rank > low, 0.5, 0.0).to(input.dtype)
    y = gather(values, -1, low.to(_core.int64))
    if interpolation in ("linear", "midpoint"):
        above = gather(values, -1, _core.ceil(rank).to(_core.int64))
        y = y + (above - y) * weight
    y = where(count > 0, y, math.nan).movedim(-1, 0)
    if keepdim:
        y = reshape(y, (-1,) + ((1,) * ndim if dim is None else tuple(1 if d == dim % ndim else s for d, s in enumerate(input.shape))))
    return y[0] if scalar else y


# ---- covariance --------------------------------------------------------------------------------------------------------
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariance matrix of variables in rows, observations in columns. fweights: how often each observation counts;
    aweights: how much."""
    if input.ndim > 2:
        raise ValueError(f"[cov] input must have at most 2 dimensions, got {tuple(input.shape)}")
    x = reshape(input, (1, -1)) if input.ndim < 2 else input
    weights = fweights
    if aweights is not None:
        weights = aweights if fweights is None else fweights * aweights
    if weights is None:
        total, average = x.shape[1], mean(x, 1, True)
        scale = total - correction
    else:
        weights = weights.to(x.dtype)
        total = sum(weights)
        average = sum(x * weights, 1, True) / total
        scale = total - (correction * sum(weights * aweights) / total if aweights is not None else correction)
    centred = x - average
    other = centred if weights is None else centred * weights
    scale = maximum(scale, 0.0) if isinstance(scale, _core.TensorBase) else builtins.max(scale, 0)
    c = matmul(centred, other.t())
    c = c / scale if isinstance(scale, _core.TensorBase) or scale else c / (c * 0)
    return c.squeeze() if x.shape[0] == 1 else c


def corrcoef(input):
    """The correlation coefficients of variables in rows, observations in columns, limited to [-1, 1]."""
    c = cov(input)
    if c.ndim == 0:
        return c / c
    deviation = sqrt(c.diagonal())
    return clamp(c / unsqueeze(deviation, 1) / unsqueeze(deviation, 0), -1, 1)


# ---- distances ---------------------------------------------------------------------------------------------------------
def dist(input, other, p=2):
    """The p-norm of input - other."""
    return norm(input - other, p)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along dim."""
    a, b = clamp(norm(x1, 2.0, dim), eps), clamp(norm(x2, 2.0, dim), eps)
    return sum(x1 * x2, dim) / (a * b)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dimension: (..., n), (..., n) -> (...)."""
    return norm(x1 - x2 + eps, p, -1, keepdim)


def renorm(input, p, dim, maxnorm):
    """The slices of `input` along `dim`, those whose p-norm is above maxnorm scaled down to it."""
    over = tuple(d for d in builtins.range(input.ndim) if d != dim % input.ndim)
    size = norm(input, p, over, keepdim=True)
    return input * where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)


@in_float32
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-norms of the differences of rows: (..., m, n), (..., k, n) -> (..., m, k).

    Euclidean distances are by one matrix product, |a|^2 - 2 a . b + |b|^2, for more than 25 rows on a side (compute_mode
    "use_mm_for_euclid_dist": always, "donot_use_mm_for_euclid_dist": never, which is more accurate for near rows). Their
    gradient at distance 0 is 0.
    """
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise ValueError(f"[cdist] compute_mode must be one of {', '.join(modes)}, got {compute_mode!r}")
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"[cdist] inputs must be (..., m, n) and (..., k, n), got {tuple(x1.shape)} and {tuple(x2.shape)}")
    if p < 0:
        raise ValueError(f"[cdist] p must not be negative, got {p}")
    many = builtins.max(x1.shape[-2], x2.shape[-2]) > 25
    if p == 2 and compute_mode != modes[2] and (many or compute_mode == modes[1]) and x1.shape[-1]:
        left, right = sum(square(x1), -1, True), sum(square(x2), -1, True)
        left, right = cat([x1 * -2, left, ones_like(left)], -1), cat([x2, ones_like(right), right], -1)
        return _root(maximum(matmul(left, right.transpose(-1, -2)), 0.0))
    d = unsqueeze(x1, -2) - unsqueeze(x2, -3)
    return norm(d, p, -1) if x1.shape[-1] else sum(d, -1)


def _root(x):
    """sqrt, whose derivative at 0 is 0."""
    if not x.requires_grad:
        return sqrt(x)
    zero = x == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, x)))


def pdist(input, p=2.0):
    """The p-norms of the differences of all pairs of rows i < j of a matrix, in order."""
    if input.ndim != 2:
        raise ValueError(f"[pdist] input must be 2-D, got {tuple(input.shape)}")
    from .shape import triu_indices

    n = input.shape[0]
    i, j = triu_indices(n, n, 1).unbind(0)
    return norm(input[i] - input[j], p, -1)
