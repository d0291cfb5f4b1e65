# SPDX-License-Identifier: MIT
"""Order against NumPy's stable sort: NaN greatest, equal elements in their order whichever way."""

import numpy as np

import lamella
from case import ALL_FLOATS, A, B, Bad, Case, I, S
from lamella import ops

NAN, INF = float("nan"), float("inf")


def order(x, dim=-1, descending=False):
    """Positions of the elements in order: -0 with 0, NaN together at the great end."""
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    turned = np.flip(x, dim)  # the reverse of a stable sort of the reverse is stable, too
    return np.flip(x.shape[dim] - 1 - np.argsort(turned, axis=dim, kind="stable"), dim) if x.ndim else np.zeros((), int)


def sort(x, dim=-1, descending=False, stable=False):
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    i = order(x, dim, descending)
    return np.take_along_axis(x, i, dim), i


def topk(x, k, dim=-1, largest=True, sorted=True):
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    values, i = sort(x, dim, largest)
    return tuple(np.take(v, np.arange(k), axis=dim) for v in (values, i))


def kthvalue(x, k, dim=-1, keepdim=False):
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    values, i = sort(x, dim)
    return tuple(np.take(v, [k - 1] if keepdim else k - 1, axis=dim) for v in (values, i))


def median(x, dim=None, keepdim=False, skip=False):
    if dim is None:
        return median(x.reshape(-1), 0, skip=skip)[0]

    def of(row):
        nan = np.isnan(row) if row.dtype.kind == "f" else np.zeros(row.shape, bool)
        i = order(row)
        numbers = len(row) - nan.sum()
        if skip:
            return i[max(numbers - 1, 0) // 2]
        return i[numbers] if nan.any() else i[(len(row) - 1) // 2]

    i = np.expand_dims(np.apply_along_axis(of, dim, x).astype(np.int64), dim)
    values = np.take_along_axis(x, i, dim)
    return (values, i) if keepdim else (values.squeeze(dim), i.squeeze(dim))


def searchsorted(a, x, right=False, side=None, **_):
    side = "right" if right else side or "left"
    if a.ndim == 1:
        return np.searchsorted(a, x, side)
    rows = [np.searchsorted(s, v, side) for s, v in zip(a.reshape(-1, a.shape[-1]), x.reshape(-1, x.shape[-1]), strict=True)]
    return np.array(rows, np.int64).reshape(x.shape)


def unique(x, sorted=True, return_inverse=False, return_counts=False, dim=None):
    if x.size == 0 and dim is None:
        found = (x.reshape(-1), np.zeros(x.shape, np.int64), np.zeros(0, np.int64))
    else:
        found = np.unique(x, return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    found = (found[0], found[1].reshape(x.shape if dim is None else -1), found[2])
    return tuple(f for f, wanted in zip(found, (True, return_inverse, return_counts), strict=True) if wanted)


def unique_consecutive(x, return_inverse=False, return_counts=False, dim=None):
    rows = x.reshape(-1, 1) if dim is None else np.moveaxis(x, dim, 0).reshape(x.shape[dim], -1)
    new = np.r_[True, (rows[1:] != rows[:-1]).any(1)]
    starts = np.flatnonzero(new)
    values = x.reshape(-1)[starts] if dim is None else np.take(x, starts, dim)
    inverse = (np.cumsum(new) - 1).reshape(x.shape if dim is None else -1)
    found = (values, inverse, np.diff(np.r_[starts, len(rows)]))
    return tuple(f for f, wanted in zip(found, (True, return_inverse, return_counts), strict=True) if wanted)


# Lengths about the end of rank sort (128 pairs, 32 wide ones), of groups (64), and more than a digit of counts.
LENGTHS = [1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129]
ROWS = [S(A((3, n))) for n in LENGTHS]
SHAPES = [S(A((5, 6, 4)), 1), S(A((37, 70)), 0, descending=True), S(A((7,)), descending=True), S(A(()), 0), S(A((0, 5)), 1)]
SHAPES += [S(A((5, 0)), 1), S(A((2, 150)), descending=True)]
SPECIAL = (NAN, 1.0, -0.0, 0.0, -INF, INF, NAN, 0.0, -0.0, 1.0)
TIES = [S(A((2, 40), special=SPECIAL)), S(A((40, 2), special=SPECIAL), 0, descending=True), S(A((200,), special=SPECIAL)), S(A((3, 1000)))]
TIES += [S(A((35, n), special=SPECIAL), descending=n % 2 == 0) for n in (2, 3, 4, 5, 8, 12, 13, 16, 17)]
WHOLE = [S(I((4, 50), -3, 3, t)) for t in ("int64", "int32", "int16", "int8")] + [S(I((2, 333), 0, 255, "uint8")), S(B((3, 90)))]
WHOLE += [S(I((300,), -(2**63), 2**63 - 1), descending=True), S(I((3, 40), -(2**40), 2**40)), S(I((1, 500), 7, 8))]
WHOLE += [S(I((35, n), -2, 2, t), descending=n % 2 == 1) for n in (2, 3, 4, 9, 12, 13, 16) for t in ("int64", "int32")]
FEW = ((2, 1), (3, 3), (8, 2), (12, 5), (13, 2), (16, 7), (16, 16), (17, 4))  # elements in a row, k
LONG = [S(A((131_200,))), S(A((131_200,)), descending=True), S(I((1, 140_000), -5, 300)), S(I((131_100,), -(2**62), 2**62))]
x, t = lamella.zeros(3, 4), lamella.tensor([1, 2, 3])

CASES = [
    Case(
        op="sort",
        fn=ops.sort,
        ref=sort,
        samples=ROWS + SHAPES,
        kernels=("sort",),
        dtypes=ALL_FLOATS,
        bad=[Bad(lambda: ops.sort(x, 2), IndexError, "[sort] dim must be in [-2, 2)")],
    ),
    Case(op="sort ties", fn=ops.sort, ref=sort, samples=TIES, dtypes=ALL_FLOATS, grad=False),
    Case(op="sort whole numbers", fn=ops.sort, ref=sort, samples=WHOLE, grad=False),
    Case(op="sort long", fn=ops.sort, ref=sort, samples=LONG, grad=False),
    Case(op="argsort", fn=ops.argsort, ref=lambda *a, **k: sort(*a, **k)[1], samples=[S(A((3, 9)), 0), S(A((200,)), descending=True)]),
    Case(op="msort", fn=ops.msort, ref=lambda x: sort(x, 0)[0], samples=[S(A((9, 3)))]),
    Case(
        op="topk",
        fn=ops.topk,
        ref=topk,
        samples=[S(A((3, n)), k) for n, k in ((1, 1), (5, 0), (9, 4), (64, 64), (129, 1), (150, 3))]
        + [S(A((2, 300)), 5, largest=False), S(A((300, 3)), 2, 0), S(A((4, 6, 3)), 3, 1, sorted=False), S(A(()), 1)]
        + [S(A((0, 5)), 2)],
        kernels=("topk",),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: ops.topk(x, 5), ValueError, "[topk] k must be in [0, 4], the size of dimension 1 of input (3, 4), got 5"),
            Bad(lambda: ops.topk(x, -1), ValueError, "[topk] k must be in [0, 4]"),
            Bad(lambda: ops.topk(x, 1, 2), IndexError, "topk"),
        ],
    ),
    Case(
        op="topk ties",
        fn=ops.topk,
        ref=topk,
        samples=[S(A((2, n), special=SPECIAL), 6, largest=g) for n in (20, 1000) for g in (True, False)]
        + [S(A((3, n)), k) for n, k in ((1000, 7), (1023, 16), (1000, 400))]
        + [S(I((2, 2000), 0, 4), 9), S(I((2, 300), 0, 4, "uint8"), 200, largest=False), S(I((700,), -(2**62), 2**62), 3)]
        + [S(A((1, 131_200)), 3), S(I((131_200,), 0, 50, "int32"), 3000), S(B((2, 400)), 3)]
        + [S(A((35, n), special=SPECIAL), k, largest=n % 2 == 0) for n, k in FEW]
        + [S(I((19, n), -2, 3, t), k) for n, k in FEW for t in ("int32", "int64")],
        dtypes=ALL_FLOATS,
        grad=False,
    ),
    Case(
        op="kthvalue",
        fn=ops.kthvalue,
        ref=kthvalue,
        samples=[S(A((3, n)), k) for n, k in ((1, 1), (9, 4), (40, 40), (150, 1))]
        + [S(A((30, 4)), 7, 0), S(A((3, 5, 2)), 2, 1, keepdim=True), S(A(()), 1)],
        kernels=("kth",),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: ops.kthvalue(x, 0), ValueError, "[kthvalue] k must be in [1, 4], got 0"),
            Bad(lambda: ops.kthvalue(x, 5), ValueError, "[kthvalue] k must be in [1, 4], got 5"),
        ],
    ),
    Case(
        op="kthvalue ties",
        fn=ops.kthvalue,
        ref=kthvalue,
        samples=[S(A((2, 60), special=SPECIAL), k) for k in (1, 30, 60)]
        + [S(A((35, n), special=SPECIAL), k) for n, k in FEW]
        + [S(I((19, n), -2, 3, t), k) for n, k in FEW for t in ("int32", "int64")]
        + [S(A((3, 1000)), 700)]
        + [S(I((3, 500), -2, 3), 250), S(I((1, 132_000), -(2**62), 2**62), 9), S(A((140_000,)), 70_000)],
        dtypes=ALL_FLOATS,
        grad=False,
    ),
    Case(
        op="median",
        fn=ops.median,
        ref=median,
        samples=[S(A((3, 8)), 1), S(A((7, 4)), 0, keepdim=True), S(A((3, 5))), S(A((60,)))],
        kernels=("kth",),
        dtypes=ALL_FLOATS,
        bad=[Bad(lambda: ops.median(lamella.zeros(0, 3), 0), ValueError, "[median] input must have elements along dimension 0")],
    ),
    Case(
        op="median NaN",
        fn=lambda *a: (*ops.median(*a), *ops.nanmedian(*a)),
        ref=lambda *a: (*median(*a), *median(*a, skip=True)),
        samples=[S(A((3, 7), special=(1.0, NAN, NAN)), 1), S(A((1, 5), special=(NAN,) * 5), 1), S(I((3, 6), -4, 9, "int16"), 1)]
        + [S(A((35, n), special=(1.0, NAN, NAN, 3.0)), 1) for n, _ in FEW]
        + [S(I((19, n), -9, 9, t), 1) for n, _ in FEW for t in ("int32", "int64")],
        dtypes=ALL_FLOATS,
        grad=False,
    ),
    Case(
        op="nanmedian",
        fn=ops.nanmedian,
        ref=lambda *a: median(*a, skip=True),
        samples=[S(A((3, 8)), 1), S(A((3, 5)))],
    ),
    Case(
        op="searchsorted",
        fn=ops.searchsorted,
        ref=searchsorted,
        samples=[
            S(np.arange(10.0), A((3, 7), -2.0, 12.0)),
            S(np.array([0.0, 1, 1, 1, 2]), np.array([[1.0, 0, 2], [3, -1, 1]]), right=True),
            S(np.sort(np.random.default_rng(0).normal(size=(2, 33)), -1), A((2, 50)), side="right"),
            S(np.arange(0, 90, 3), I((40,), -5, 100)),
            S(np.zeros(0), A((3,))),
            S(np.arange(5.0), A((2, 0))),
            S(np.array([1.0, 2, INF]), np.array([NAN, INF, -INF])),
            S(np.arange(5.0), A(())),
        ],
        kernels=("search_sorted",),
        dtypes=ALL_FLOATS,
        grad=False,
        layouts=False,
        bad=[
            Bad(
                lambda: ops.searchsorted(x, lamella.zeros(2, 4)),
                ValueError,
                "[searchsorted] sorted_sequence must be 1-D or have the dimensions of input (2, 4) but for the last, got (3, 4)",
            ),
            Bad(lambda: ops.searchsorted(t, t, side="up"), ValueError, "[searchsorted] side must be 'left' or 'right'"),
        ],
    ),
    Case(
        op="bucketize",
        fn=ops.bucketize,
        ref=lambda x, edges, right=False: np.searchsorted(edges, x, "right" if right else "left"),
        samples=[S(A((3, 4)), np.array([-1.0, 0, 1])), S(I((5,), 0, 5), np.arange(1, 5), right=True)],
        grad=False,
        bad=[Bad(lambda: ops.bucketize(x, x), ValueError, "[bucketize] boundaries must be 1-D, got (3, 4)")],
    ),
    Case(
        op="unique",
        fn=ops.unique,
        ref=unique,
        samples=[
            S(I((40,), 0, 9)),
            S(I((3, 20), -4, 4, "int16"), return_inverse=True, return_counts=True),
            S(np.array([2.0, 1, 2, 0, 1]), return_counts=True),
            S(np.array([NAN, 1.0, NAN]), return_inverse=True),
            S(I((12, 2), 0, 2), return_inverse=True, return_counts=True, dim=0),
            S(I((2, 12), 0, 2), return_inverse=True, dim=1),
            S(np.zeros(0), return_inverse=True, return_counts=True),
            S(B((50,)), return_counts=True),
        ],
        grad=False,
    ),
    Case(
        op="unique_consecutive",
        fn=ops.unique_consecutive,
        ref=unique_consecutive,
        samples=[S(I((30,), 0, 2), return_inverse=True, return_counts=True), S(I((9, 2), 0, 2), dim=0, return_counts=True)],
        grad=False,
    ),
]
