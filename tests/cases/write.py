# SPDX-License-Identifier: MIT
"""Copies with something written into them, scatter by an op, windows and strided views."""

import numpy as np

import lamella
from case import ALL_FLOATS, A, B, Bad, Case, I, S


def copied(f):
    """f writes into its first argument."""

    def ref(x, *args, **kwargs):
        y = x.copy()
        f(y, *args, **kwargs)
        return y

    return ref


def along(x, dim, index):
    at = [slice(None)] * x.ndim
    at[dim] = index
    return tuple(at)


@copied
def index_copy(y, dim, index, source):
    y[along(y, dim, index)] = source


@copied
def index_fill(y, dim, index, value):
    y[along(y, dim, index)] = value


@copied
def masked_scatter(y, mask, source):
    mask = np.broadcast_to(mask, y.shape)
    y[mask] = source.reshape(-1)[: mask.sum()]


JOIN = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum, "mean": np.add}


def scatter_reduce(x, dim, index, src, reduce, include_self=True):
    y, n = x.copy(), np.ones(x.shape) if include_self else np.zeros(x.shape)
    seen = np.full(x.shape, include_self)
    for at in np.ndindex(*index.shape):
        to = (*at[:dim], int(index[at]), *at[dim + 1 :])
        y[to] = JOIN[reduce](y[to], src[at]) if seen[to] else src[at]
        seen[to] = True
        n[to] += 1
    if reduce == "mean":
        y = y / np.maximum(n, 1) if x.dtype.kind == "f" else y // np.maximum(n, 1).astype(x.dtype)
    return y


def reductions(reduce, include_self=True):
    return [
        S(A((5,)), 0, I((9,), 0, 5), A((9,)), reduce, include_self=include_self),
        S(A((3, 4)), 1, I((2, 5), 0, 4), A((3, 6)), reduce, include_self=include_self),
        S(A((6, 17)), 0, I((9, 17), 0, 6), A((9, 17)), reduce, include_self=include_self),
    ]


@copied
def put(y, index, source, accumulate=False):
    flat = y.reshape(-1)
    if accumulate:
        np.add.at(flat, index.reshape(-1), source.reshape(-1))
    else:
        flat[index.reshape(-1)] = source.reshape(-1)


def unfold(x, dim, size, step):
    windows = np.lib.stride_tricks.sliding_window_view(x, size, dim)
    return windows[along(windows, dim, slice(None, None, step))]


def as_strided(x, size, stride, offset=0):
    return np.lib.stride_tricks.as_strided(x.reshape(-1)[offset:], size, [s * x.itemsize for s in stride])


@copied
def diagonal_scatter(y, src, offset=0):
    n = src.shape[0]
    y[np.arange(n) + max(0, -offset), np.arange(n) + max(0, offset)] = src


@copied
def slice_scatter(y, src, dim=0, start=None, end=None, step=1):
    y[along(y, dim, slice(start, end, step))] = src


X = np.array([2, 0])

CASES = [
    Case("index_copy", lamella.index_copy, index_copy, [S(A((3, 5)), 0, X, A((2, 5))), S(A((2, 3, 4)), 1, X, A((2, 2, 4)))],
         dtypes=ALL_FLOATS, bad=[
        Bad(lambda: lamella.ones(3, 2).index_copy(0, lamella.tensor([0]), lamella.ones(2, 2)), ValueError,
            "[index_copy] source must have shape (1, 2), got (2, 2)")]),
    Case("index_fill", lamella.index_fill, index_fill, [S(A((3, 5)), 0, X, 1.5), S(A((2, 3, 4)), -2, X, 0.0), S(I((4,)), 0, X, 7),
          S(A((3, 40_000), grad=False), 0, X, 2.5)],
         bad=[Bad(lambda: lamella.ones(3).index_fill(0, lamella.tensor([3]), 0), IndexError, "[index] index must be in")]),
    Case("masked_scatter", lamella.masked_scatter, masked_scatter, [S(A((5, 7)), B((5, 7)), A((40,))), S(A((5, 7)), B((7,)), A((5, 7)))],
         dtypes=ALL_FLOATS, bad=[
        Bad(lambda: lamella.ones(3).masked_scatter(lamella.ones(3) > 0, lamella.ones(2)), ValueError,
            "[masked_scatter] source must have at least 3 elements, got 2")]),
    *(Case(f"scatter_reduce-{op}", lamella.scatter_reduce, scatter_reduce, [*reductions(op), *reductions(op, False)],
           kernels=("scatter_along", "gather_along"), dtypes=("float32", "float64", "bfloat16") if op in ("amax", "amin") else ("float32", "float64"),
           tol={"float32": 1e-5}) for op in JOIN),
    Case("scatter_reduce-int", lamella.scatter_reduce, scatter_reduce,
         [S(I((5,), -9, 9, t), 0, I((9,), 0, 5), I((9,), -9, 9, t), op) for t in ("int64", "int8") for op in ("prod", "amax", "amin", "mean")
          if (t, op) != ("int8", "prod")], kernels=("scatter_along",), grad=False, bad=[
        Bad(lambda: lamella.ones(3).scatter_reduce(0, lamella.tensor([0]), lamella.ones(1), "max"), ValueError,
            "[scatter_reduce] reduce must be one of sum, prod, mean, amax, amin, got 'max'"),
        Bad(lambda: lamella.ones(3).scatter_reduce(0, lamella.tensor([3]), lamella.ones(1), "amax"), IndexError,
            "[scatter_reduce] index must be in [0, 3)")]),
    Case("take", lamella.take, lambda x, i: x.reshape(-1)[i], [S(A((3, 5)), I((2, 4), -15, 15))]),
    Case("put", lamella.put, put, [S(A((3, 5)), np.array([3, 1, 7]), A((3,))), S(A((3, 5)), I((9,), 0, 15), A((9,)), True)],
         bad=[Bad(lambda: lamella.ones(3).put(lamella.tensor([0]), lamella.ones(2)), ValueError, "[put] source must have 1 elements")]),
    Case("select_scatter", lamella.select_scatter, lambda x, s, d, i: slice_scatter(x, np.expand_dims(s, d), d, i, i + 1),
         [S(A((3, 5)), A((3,)), 1, 2)],
         bad=[Bad(lambda: lamella.ones(3, 2).select_scatter(lamella.ones(2), 1, 0), ValueError, "[scatter] src must have shape (3,), got (2,)")]),
    Case("slice_scatter", lamella.slice_scatter, slice_scatter, [S(A((3, 8)), A((3, 3)), 1, 1, 7, 2), S(A((5,)), A((5,)))]),
    Case("diagonal_scatter", lamella.diagonal_scatter, diagonal_scatter, [S(A((3, 5)), A((3,))), S(A((4, 3)), A((2,)), 1)]),
    Case("unfold-windows", lamella.unfold, unfold, [S(A((17,)), 0, 4, 1), S(A((3, 10)), 1, 3, 2), S(A((7, 2, 2)), 0, 7, 1)], dtypes=ALL_FLOATS,
         tol={"bfloat16": 3e-2},
         bad=[Bad(lambda: lamella.ones(3).unfold(0, 4, 1), ValueError, "[unfold] size must be 0 to 3 and step positive, got 4 and 1")]),
    Case("as_strided", lamella.as_strided, as_strided, [S(A((12,)), (3, 4), (2, 1)), S(A((3, 4)), (2, 2), (4, 1), 1)], layouts=False,
         bad=[Bad(lambda: lamella.ones(3).as_strided((2, 2), (2, 1)), ValueError, "[as_strided] view must stay within a storage of")]),
    Case("unravel_index", lambda i: lamella.unravel_index(i, (3, 4, 5)), lambda i: np.unravel_index(i, (3, 4, 5)), [S(I((7,), 0, 60))]),
]
