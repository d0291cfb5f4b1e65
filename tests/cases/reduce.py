# SPDX-License-Identifier: MIT
"""Reductions over any axes, extremes with positions, variance, norms, running sums."""

import math

import numpy as np

import lamella
from case import ALL_FLOATS, A, B, Bad, Case, I, S

NAN = math.nan


def f8(f):
    """A NumPy reduction with PyTorch's names for its arguments."""
    return lambda x, dim=None, keepdim=False, **kwargs: f(x, axis=dim, keepdims=keepdim, **kwargs)


SHAPES = [
    S(A(())),
    S(A((1,))),
    S(A((17,))),
    S(A((67,)), 0),
    S(A((3, 5)), -1, True),
    S(A((2, 3, 41)), (0, 2)),
    S(A((2, 3, 41)), 1),
    S(A((2, 3, 41)), (1, 2), keepdim=True),
    S(A((2, 3, 4, 5)), (0, 2)),
    S(A((70000,))),
    S(A((5, 2050)), 1),
    S(A((2050, 5)), 0),
    S(A((300, 601)), 0),
    S(A((40, 3)), 1),
    *(S(A(s, grad=False), 1) for s in ((150, 16), (300, 17), (1100, 31), (64, 32), (21, 100))),  # short rows, in squares
    S(A((0, 3)), 1),
]
NONEMPTY = SHAPES[:-1]
SMALL = [s for s in NONEMPTY if math.prod(s.args[0].shape) < 500]
LONG = {"float32": 1e-5, "float64": 1e-11, "float16": 4e-3}


def reduction(op, ref, samples=SHAPES, fn=None, **options):
    return Case(op, fn or getattr(lamella, op), f8(ref), samples, kernels=("reduce",),
                **({"dtypes": ALL_FLOATS, "tol": LONG} | options))


def var(x, dim=None, correction=1, keepdim=False):
    n = x.size if dim is None else np.prod([x.shape[d] for d in np.atleast_1d(dim)])
    return x.var(axis=dim, keepdims=keepdim) * n / max(n - correction, 0)


VARIANCES = [S(A((17,))), S(A((3, 5)), -1, keepdim=True), S(A((2, 3, 41)), (0, 2)), S(A((2, 3, 41)), 1, correction=0),
             S(A((3000, 7), grad=False), 0), S(A((67,), 1000, 1001, grad=False))]
AXES = [S(A((17,), special=(0.5, NAN, 2.0, NAN))), S(A((3, 5)), 1), S(A((2, 3, 41)), 1, True), S(A((2, 3, 41)), -1),
        S(A((3000, 7)), 0), S(A((3, 1500)), 1), S(I((40, 7), -5, 5), 0), S(I((40, 7), -5, 5, "uint8"), 1),
        *(S(A(s, special=(NAN, math.inf, -math.inf)), 1) for s in ((300, 10), (33, 4), (129, 33), (17, 128), (1, 10))),
        *(S(A(s, special=(NAN,)), d) for s, d in (((40, 1100), 0), ((3, 700, 21), 1))),
        *(S(I((300, 11), -5, 5, t), d) for t in ("int64", "int32", "int16") for d in (0, 1))]
WITHOUT_NAN = [S(A((17,)), 0), *AXES[1:6]]


def logsumexp(x, axis=None, keepdims=False):
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isinf(top), 0, top)
    y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, axis=axis)


def norm(p):
    if p == math.inf:
        return lambda x, axis=None, keepdims=False: np.max(np.abs(x), axis=axis, keepdims=keepdims)
    return lambda x, axis=None, keepdims=False: np.sum(np.abs(x) ** p, axis=axis, keepdims=keepdims) ** (1 / p)


INTEGERS = [S(I((67,), -9, 9, t), 0) for t in ("int64", "int32", "int16", "int8")] + [S(I((5, 3), 0, 9, "uint8")), S(B((40, 3)), 0)]

CASES = [
    reduction("sum", np.sum, bad=[
        Bad(lambda: lamella.ones(2, 3).sum(2), IndexError, "[sum]"),
        Bad(lambda: lamella.ones(2, 3).sum((0, 0)), ValueError, "[sum] dim must not repeat a dimension, got (0, 0)")]),
    reduction("mean", np.mean, NONEMPTY, bad=[
        Bad(lambda: lamella.tensor([1, 2]).mean(), TypeError, "[mean] input must be floating, got int64")]),
    reduction("prod", np.prod, SMALL, tol={"float32": 1e-5, "bfloat16": 2e-2, "float16": 4e-3}),
    reduction("prod-zeros", np.prod, [S(A((4, 5), special=(0.0,)), 1), S(A((4, 5), special=(0.0, 0.0)), 1),
                                      S(A((7,), special=(0.0,)))], lamella.prod),
    reduction("amax", np.max, NONEMPTY, bad=[
        Bad(lambda: lamella.ones(0, 3).amax(0), ValueError, "[max] input must have elements along the reduced dimensions")]),
    reduction("amin", np.min, NONEMPTY),
    reduction("amax-nan", np.max, [S(A((40,), special=(1.0, NAN))), S(A((3, 40), special=(NAN,)), 1), S(A((40, 3), special=(NAN,)), 0)],
              lamella.amax, grad=False),
    reduction("any", lambda x, **k: np.any(x, **k), [S(B((67,), 0.02)), S(B((9, 41), 0.05), 1), S(A((3, 5)), 0), S(B((0, 3)), 0)],
              grad=False),
    reduction("all", lambda x, **k: np.all(x, **k), [S(B((67,), 0.99)), S(B((9, 41), 0.98), 1), S(A((3, 5)), 0), S(B((0, 3)), 0)],
              grad=False),
    reduction("sum-int", lambda x, **k: np.sum(x, dtype=np.int64, **k), INTEGERS, lamella.sum, grad=False, dtypes=("float32",), tol={}),
    reduction("prod-int", lambda x, **k: np.prod(x, dtype=np.int64, **k), INTEGERS, lamella.prod, grad=False, dtypes=("float32",), tol={}),
    reduction("amax-int", np.max, INTEGERS, lamella.amax, grad=False, dtypes=("float32",), tol={}),
    reduction("amin-int", np.min, INTEGERS, lamella.amin, grad=False, dtypes=("float32",), tol={}),
    reduction("argmax", np.argmax, AXES, grad=False),
    reduction("argmin", np.argmin, AXES, grad=False),
    Case("max", lambda *a: tuple(lamella.max(*a)), lambda x, d, k=False: (np.max(x, d, keepdims=k), np.argmax(x, d, keepdims=k)),
         WITHOUT_NAN, kernels=("reduce",), dtypes=ALL_FLOATS),
    Case("min", lambda *a: tuple(lamella.min(*a)), lambda x, d, k=False: (np.min(x, d, keepdims=k), np.argmin(x, d, keepdims=k)),
         WITHOUT_NAN, kernels=("reduce",), dtypes=ALL_FLOATS),
    Case("var", lamella.var, var, VARIANCES, kernels=("moments",), dtypes=ALL_FLOATS, tol={"float32": 2e-5, "float64": 1e-9}),
    Case("std", lamella.std, lambda *a, **k: np.sqrt(var(*a, **k)), VARIANCES[:-1], kernels=("moments",), dtypes=ALL_FLOATS,
         tol={"float32": 1e-5}),
    Case("var_mean", lambda *a, **k: tuple(lamella.var_mean(*a, **k)),
         lambda x, d=None, **k: (var(x, d, **k), x.mean(d, keepdims=k.get("keepdim", False))), VARIANCES[:-1],
         kernels=("moments",), dtypes=ALL_FLOATS, tol={"float32": 1e-5}),
    reduction("logsumexp", logsumexp, [S(A((3, 5)), 1), S(A((2, 3, 41)), (0, 2), True), S(A((9,), 500, 900, grad=False), 0)]),
    *(reduction(f"norm-{p}", norm(p), [s for s in SMALL[1:]], lambda x, *a, p=p, **k: lamella.norm(x, p, *a, **k)) for p in (1, 2, 3, math.inf)),
]
