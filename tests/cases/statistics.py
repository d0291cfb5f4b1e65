# SPDX-License-Identifier: MIT
"""Counts, quantiles, what is not NaN, covariances, distances."""

import math

import numpy as np

import lamella
from case import A, Bad, Case, I, S

NAN = math.nan
HOLES = (NAN, 1.0, NAN, 2.0)
LOOSE = {"float32": 2e-5, "float64": 1e-10}


def mode(x, dim=-1, keepdim=False):
    rows = np.moveaxis(x, dim, -1)
    values, places = np.empty(rows.shape[:-1], x.dtype), np.empty(rows.shape[:-1], np.int64)
    for at in np.ndindex(*rows.shape[:-1]):
        found, counts = np.unique(rows[at], return_counts=True)
        values[at] = found[np.argmax(counts)]
        places[at] = np.flatnonzero(rows[at] == values[at])[-1]
    return tuple(np.expand_dims(a, dim) if keepdim else a for a in (values, places))


def histc(x, bins=100, low=0, high=0):
    return np.histogram(x, bins, (x.min(), x.max()) if low == high else (low, high))[0].astype(np.float64)


def distances(p):
    return lambda a, b: np.linalg.norm(a[..., :, None, :] - b[..., None, :, :], p, axis=-1)


def cdist(p, **options):
    return lambda a, b: lamella.cdist(a, b, p, **options)


def renorm(x, p, dim, most):
    over = tuple(d for d in range(x.ndim) if d != dim)
    size = (np.abs(x) ** p).sum(over, keepdims=True) ** (1 / p)
    return x * np.where(size > most, most / (size + 1e-7), 1)


def quantile(f):
    return lambda x, q, dim=None, keepdim=False, interpolation="linear": f(x, q, dim, method=interpolation, keepdims=keepdim)


QUANTILES = [S(A((17,)), 0.3), S(A((3, 8)), np.array([0.1, 0.5, 1.0]), 1), S(A((3, 8)), 0.4, 0, True)]
METHODS = [S(A((3, 8)), 0.37, 1, interpolation=m) for m in ("lower", "higher", "midpoint", "nearest")]

CASES = [
    Case("aminmax", lambda x, dim=None: lamella.aminmax(x, dim=dim), lambda x, dim=None: (x.min(dim), x.max(dim)), [S(A((3, 5))), S(A((3, 5)), 1)]),
    Case("equal", lamella.equal, np.array_equal, [S(A((3,), special=(1.0,)), A((3,))), S(A((2,)), A((3,))), S(np.ones(3), np.ones(3))], grad=False),
    Case("isin", lamella.isin, np.isin, [S(I((3, 7), 0, 9), I((4,), 0, 9)), S(I((5,), 0, 3), I((0,)))],
         grad=False),
    Case("nansum", lamella.nansum, lambda x, dim=None: np.nansum(x, dim), [S(A((3, 5), special=HOLES)), S(A((3, 5), special=HOLES), 1)], tol=LOOSE),
    Case("nanmean", lamella.nanmean, lambda x, dim=None: np.nanmean(x, dim), [S(A((3, 5), special=HOLES)),
          S(A((3, 5), special=HOLES), 0)], tol=LOOSE),
    Case("bincount", lamella.bincount, lambda x, w=None, minlength=0: np.bincount(x, w, minlength),
         [S(I((40,), 0, 9)), S(I((40,), 0, 9), minlength=20), S(I((0,)), minlength=3), S(I((40,), 0, 9, "uint8"))], grad=False, bad=[
        Bad(lambda: lamella.bincount(lamella.tensor([-1])), ValueError, "[bincount] input must not be negative, got -1"),
        Bad(lambda: lamella.bincount(lamella.ones(2)), ValueError, "[bincount] input must be a 1-D tensor of integers")]),
    Case("bincount-weights", lamella.bincount, np.bincount, [S(I((40,), 0, 9), A((40,)))], grad=False, tol=LOOSE),
    Case("histc", lamella.histc, histc, [S(A((50,)), 7), S(A((5, 10)), 5, -1, 1)], grad=False, dtypes=("float64",),
         bad=[Bad(lambda: lamella.ones(2).histc(0), ValueError, "[histc] bins must be positive, got 0")]),
    Case("histogram", lamella.histogram, lambda x, bins, **k: tuple(a.astype(np.float64) for a in np.histogram(x, bins, **k)),
         [S(A((50,)), 7), S(A((50,)), 4, range=(-1.0, 1.0), density=True), S(A((50,)), np.array([-1.0, 0.0, 0.5]))], grad=False, dtypes=("float64",)),
    Case("mode", lamella.mode, mode, [S(I((4, 9), 0, 3), 1), S(I((4, 9), 0, 3), 0, True)]),
    Case("mode-grad", lambda x: lamella.mode(x)[0], lambda x: mode(x)[0], [S(A((3, 5)))]),
    Case("quantile", lamella.quantile, quantile(np.quantile), [*QUANTILES, *METHODS], tol=LOOSE, bad=[
        Bad(lambda: lamella.ones(2).quantile(1.5), ValueError, "[quantile] q must be a number or a vector in [0, 1]"),
        Bad(lambda: lamella.tensor([1]).quantile(0.5), TypeError, "[quantile] input must be floating, got int64")]),
    Case("nanquantile", lamella.nanquantile, quantile(np.nanquantile), [S(A((3, 8), special=HOLES), 0.3),
          S(A((3, 8), special=HOLES), 0.6, 1)], tol=LOOSE),
    Case("cov", lamella.cov, lambda x, correction=1: np.cov(x, ddof=correction), [S(A((4, 9))), S(A((9,)), correction=0)], tol=LOOSE),
    Case("cov-weights", lambda x, f, a: lamella.cov(x, fweights=f, aweights=a), lambda x, f, a: np.cov(x, fweights=f, aweights=a),
         [S(A((4, 9)), I((9,), 1, 4), A((9,), 0.3, 2, grad=False))], tol=LOOSE),
    Case("corrcoef", lamella.corrcoef, np.corrcoef, [S(A((3, 9)))], tol=LOOSE),
    Case("dist", lamella.dist, lambda a, b, p=2: np.linalg.norm(a - b, p), [S(A((9,)), A((9,))), S(A((9,)), A((9,)), 1)], tol=LOOSE),
    Case("cosine_similarity", lamella.cosine_similarity,
         lambda a, b, dim=1, eps=1e-8: (a * b).sum(dim) / np.maximum(np.linalg.norm(a, axis=dim), eps) / np.maximum(np.linalg.norm(b, axis=dim), eps),
         [S(A((4, 5)), A((4, 5))), S(A((3, 1, 7)), A((2, 7)), -1), S(A((2, 3), -1e-3, 1e-3), A((2, 3)), eps=0.1)], tol=LOOSE),
    Case("pairwise_distance", lamella.pairwise_distance, lambda a, b, p=2, eps=1e-6, keepdim=False: np.linalg.norm(a - b + eps, p, -1, keepdim),
         [S(A((4, 5)), A((4, 5))), S(A((2, 3, 5)), A((5,)), 1, keepdim=True), S(A((5,)), A((5,)), 3.0, 0.1)], tol=LOOSE),
    Case("renorm", lamella.renorm, renorm, [S(A((4, 5)), 2, 0, 1.0), S(A((4, 5)), 1, 1, 2.5)], tol=LOOSE),
    *(Case(f"cdist-{p}", cdist(p), distances(p), [S(A((3, 5)), A((4, 5))), S(A((2, 3, 2)), A((1, 4, 2)))], tol=LOOSE) for p in (1, 2, 3, math.inf)),
    Case("cdist-mm", cdist(2.0), distances(2), [S(A((30, 5)), A((4, 5)))], tol={"float32": 1e-4, "float64": 1e-10}, bad=[
        Bad(lambda: lamella.cdist(lamella.ones(2, 3), lamella.ones(2, 4)), ValueError, "[cdist] inputs must be (..., m, n) and (..., k, n)")]),
    Case("pdist", lamella.pdist, lambda x: distances(2)(x, x)[np.triu_indices(len(x), 1)], [S(A((5, 3)))], tol=LOOSE),
    Case("vector_norm", lamella.linalg.vector_norm, lambda x, p=2, dim=None: np.linalg.norm(x.reshape(-1) if dim is None else x, p, dim),
         [S(A((3, 5))), S(A((3, 5)), 3, 1), S(A((3, 5)), -math.inf, 0)], tol=LOOSE),
    Case("matrix_norm", lamella.linalg.matrix_norm, lambda x, p="fro": np.linalg.norm(x, p, (-2, -1)),
         [S(A((2, 3, 5)), p) for p in ("fro", 1, -1, math.inf)],
         tol=LOOSE, bad=[Bad(lambda: lamella.linalg.matrix_norm(lamella.ones(2, 2), 3), ValueError, "[matrix_norm] ord must be")]),
]
