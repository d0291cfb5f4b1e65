# SPDX-License-Identifier: MIT
"""Running sums, products, extremes, log-sums; differences and integrals."""

import math

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, I, S

LONG = {"float32": 1e-5, "float64": 1e-11, "float16": 4e-3}
SAMPLES = [S(A((1,)), 0), S(A((17,)), 0), S(A((3, 1031)), 1), S(A((40, 7)), 0), S(A((2, 5, 3)), -2), S(A((0,)), 0),
           S(A((3, 4, 700)), 1), S(A(()), 0), *(S(A(s), 1) for s in ((70, 4), (37, 11), (37, 23)))]
INTEGERS = [S(I((5, 7), -3, 4, t), 1) for t in ("int64", "int32", "int8")]
INTEGERS += [S(I((40, 30), -3, 4, t), 1) for t in ("int64", "int32", "int16")]


def factors(shape, special=()):
    return A(shape, 0.5, 1.5, special)


def running(f):
    """f(x, best so far) -> whether x takes its place; values and positions along an axis."""

    def ref(x, d):
        if x.ndim == 0:
            return x, np.int64(0)
        rows = np.moveaxis(x, d, 0)
        values, places = rows.copy(), np.zeros(rows.shape, np.int64)
        for j in range(1, len(rows)):
            wins = (f(rows[j], values[j - 1]) | np.isnan(rows[j])) & ~np.isnan(values[j - 1])
            values[j] = np.where(wins, rows[j], values[j - 1])
            places[j] = np.where(wins, j, places[j - 1])
        return np.moveaxis(values, 0, d), np.moveaxis(places, 0, d)

    return ref


EXTREMES = [S(A((17,), special=(0.5, 2.0, math.nan, 3.0)), 0), S(A((3, 1031)), 1), S(A((40, 7)), 0), S(A((3, 4, 700)), 1),
            S(I((5, 7), 0, 3), 1), S(I((40, 3), 0, 3, "uint8"), 0), S(A(()), 0)]


def logcumsumexp(x, d):
    return np.logaddexp.accumulate(x, d) if x.ndim else x


CASES = [
    Case("cumsum", lamella.cumsum, lambda x, d: np.cumsum(x, d) if x.ndim else x, [*SAMPLES, *INTEGERS], kernels=("scan",),
         dtypes=ALL_FLOATS, tol=LONG, bad=[Bad(lambda: lamella.ones(3).cumsum(1), IndexError, "[cumsum]")]),
    Case("cumprod", lamella.cumprod, lambda x, d: np.cumprod(x, d) if x.ndim else x,
         [S(factors((17,)), 0), S(factors((3, 70)), 1), S(factors((40, 7)), 0), S(factors((2, 5, 3)), -2), S(A(()), 0),
          *(S(factors(s), 1) for s in ((70, 4), (37, 11))), *INTEGERS],
         kernels=("scan",), dtypes=ALL_FLOATS, tol={"float32": 1e-5, "bfloat16": 3e-2, "float16": 4e-3},
         bad=[Bad(lambda: lamella.ones(3).cumprod(1), IndexError, "[cumprod]")]),
    Case("cumprod-zeros", lambda x, d: lamella.cumprod(lamella.where(lamella.abs(x) < 0.6, 0.0, x), d),
         lambda x, d: np.cumprod(np.where(np.abs(x) < 0.6, 0.0, x), d), [S(A((3, 7)), 1), S(A((5, 4)), 0)], kernels=("scan",)),
    Case("logcumsumexp", lamella.logcumsumexp, logcumsumexp,
         [S(A((17,), special=(-math.inf, 1.0, 800.0)), 0), S(A((3, 130)), 1), S(A((40, 7)), 0), S(A((2, 5, 3)), -2), S(A(()), 0)],
         kernels=("scan",), dtypes=ALL_FLOATS,
         bad=[Bad(lambda: lamella.tensor([1]).logcumsumexp(0), TypeError, "[logcumsumexp] input must be floating, got int64")]),
    Case("cummax", lamella.cummax, running(np.greater_equal), EXTREMES, kernels=("scan",), dtypes=ALL_FLOATS),
    Case("cummin", lamella.cummin, running(np.less_equal), EXTREMES, kernels=("scan",), dtypes=ALL_FLOATS),
    Case("diff", lamella.diff, lambda x, n=1, dim=-1: np.diff(x, n, dim),
         [S(A((7,))), S(A((3, 5)), 2, 0), S(A((3, 5)), n=0), S(A((2,)), 3), S(I((9,)))],
         bad=[Bad(lambda: lamella.tensor(1.0).diff(), ValueError, "[diff] input must have at least one dimension")]),
    Case("diff-around", lambda x, a, b: lamella.diff(x, prepend=a, append=b), lambda x, a, b: np.diff(x, prepend=a, append=b),
         [S(A((3, 5)), A((3, 2)), A((3, 1)))]),
    Case("trapezoid", lamella.trapezoid, lambda y, x=None, dx=1, dim=-1: np.trapezoid(y, x, dx, dim) if hasattr(np, "trapezoid")
         else np.trapz(y, x, dx, dim), [S(A((3, 7))), S(A((3, 7)), dx=0.5, dim=0), S(A((3, 7)), A((7,))), S(A((3, 7)), A((3,)), dim=0)]),
    Case("gradient", lamella.gradient, lambda x, spacing=1, dim=None, edge_order=1: np.gradient(
        x, *(spacing if isinstance(spacing, list) else [spacing]), axis=dim, edge_order=edge_order),
         [S(A((7,)), spacing=0.5), S(A((4, 5))), S(A((4, 5)), spacing=2.0, dim=1, edge_order=2),
          S(A((6,)), spacing=[np.array([0.0, 0.5, 2.0, 2.5, 4.0, 7.0])], edge_order=2)], tol={"float32": 1e-5}, bad=[
        Bad(lambda: lamella.gradient(lamella.ones(1)), ValueError, "[gradient] input must have more than 1 elements")]),
]
