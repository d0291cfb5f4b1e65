# SPDX-License-Identifier: MIT
"""Interpolation against dense matrices, one a dimension, written from the definitions."""

import math

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, S
from lamella.nn import functional as F

KIND = {"linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


def cubic(x, a):
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def matrix(n, m, mode, align_corners, scale, antialias):
    """(m, n)"""
    w = np.zeros((m, n))
    kind = KIND.get(mode, mode)
    step = (n - 1) / (m - 1 or 1) if align_corners else 1 / scale if scale else n / m
    for o in range(m):
        if kind == "area":
            begin, end = o * n // m, -(-(o + 1) * n // m)
            w[o, begin:end] = 1 / (end - begin)
        elif antialias:
            stretch = max(step, 1.0)
            near = {"linear": lambda x: max(0.0, 1 - abs(x)), "cubic": lambda x: cubic(x, -0.5)}[kind]
            row = np.array([near((i + 0.5 - (o + 0.5) * step) / stretch) for i in range(n)])
            w[o] = row / row.sum()
        elif n == m and kind != "cubic":
            w[o, o] = 1
        elif kind in ("nearest", "nearest-exact"):
            w[o, min(math.floor((o + (0.5 if kind != "nearest" else 0)) * step), n - 1)] = 1
        else:
            at = o * step if align_corners else (o + 0.5) * step - 0.5
            if kind == "linear":
                at = min(max(at, 0), n - 1)
            for i in range(math.floor(at) - 1, math.floor(at) + 3):
                w[o, min(max(i, 0), n - 1)] += max(0, 1 - abs(at - i)) if kind == "linear" else cubic(at - i, -0.75)
    return w


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None, antialias=False):
    dims = x.ndim - 2
    for i in range(dims):
        n = x.shape[2 + i]
        scale = None if scale_factor is None else scale_factor[i] if isinstance(scale_factor, tuple) else scale_factor
        m = int(n * scale) if scale else size[i] if isinstance(size, tuple) else size
        x = np.moveaxis(np.tensordot(matrix(n, m, mode, align_corners, scale, antialias), x, (1, 2 + i)), 0, 2 + i)
    return x


def last(x, *args, **options):
    """interpolate of the same values with channels innermost in memory."""
    return F.interpolate(x.movedim(1, -1).contiguous().movedim(-1, 1), *args, **options)


x = lamella.zeros(1, 1, 4, 4)
TWICE = S(A((2, 3, 5, 33)), scale_factor=2, mode="bilinear", align_corners=False)

CASES = [
    Case(
        "interpolate",
        F.interpolate,
        interpolate,
        [
            S(A((2, 3, 9)), 20),
            S(A((1, 2, 7, 5)), scale_factor=(2, 3)),
            S(A((1, 2, 7, 70)), (5, 9), mode="nearest-exact"),
            S(A((2, 2, 17)), 40, mode="linear"),
            S(A((2, 2, 17)), 5, mode="linear", align_corners=True),
            TWICE,
            S(A((1, 2, 40, 100)), (9, 31), mode="bilinear"),
            S(A((1, 70, 1, 3)), (4, 4), mode="bilinear", align_corners=True),
            S(A((1, 2, 6, 9)), scale_factor=1.7, mode="bicubic", align_corners=False),
            S(A((1, 2, 6, 9)), (4, 20), mode="bicubic", align_corners=True),
            S(A((1, 2, 23, 40)), (7, 90), mode="bilinear", antialias=True),
            S(A((1, 2, 23, 40)), (30, 11), mode="bicubic", antialias=True),
            S(A((1, 2, 3, 5, 6)), (5, 4, 9), mode="trilinear"),
            S(A((1, 2, 5, 3, 4)), (2, 6, 5), mode="trilinear", align_corners=True),
            S(A((1, 2, 5, 7)), (2, 3), mode="area"),
            S(A((0, 2, 3, 3)), 5),
        ],
        kernels=("resize",),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.interpolate(x), ValueError, "[interpolate] one of size and scale_factor must be given"),
            Bad(lambda: F.interpolate(x, 2, mode="cubic"), ValueError, "[interpolate] mode must be one of nearest, nearest-exact,"),
            Bad(lambda: F.interpolate(x, 2, mode="linear"), ValueError, "input must have 3 dimensions for mode 'linear', got (1, 1, 4, 4)"),
            Bad(lambda: F.interpolate(x, (2, 2, 2)), ValueError, "[interpolate] size must be a number or 2 numbers, got (2, 2, 2)"),
            Bad(lambda: F.interpolate(x, 0), ValueError, "[interpolate] size must be positive for a non-empty input, got (0, 0)"),
            Bad(lambda: F.interpolate(x, 2, align_corners=True), ValueError, "align_corners must be None for mode 'nearest'"),
            Bad(lambda: F.interpolate(x, 2, antialias=True), ValueError, "antialias must be False for mode 'nearest'"),
            Bad(lambda: F.interpolate(x[0, 0], 2), ValueError, "[interpolate] input must have 3 to 5 dimensions, got (4, 4)"),
            Bad(lambda: F.interpolate(x.long(), 2), TypeError, "[interpolate] input must have a floating dtype, got int64"),
        ],
    ),
    Case(
        "interpolate specials",  # a weight of zero is not read: neighbours of NaN stay
        lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        lambda x: x.repeat(2, -1),
        [S(A((1, 1, 37), special=(1.0, math.nan, math.inf, -math.inf, 2.0)))],
        kernels=("resize",),
        grad=False,
        grad2=False,
    ),
    Case(
        "interpolate channels last",
        last,
        interpolate,
        [S(A((2, 17, 5, 6)), scale_factor=2, mode="bilinear"), S(A((1, 3, 9, 8)), (4, 11), mode="bicubic")],
        kernels=("resize",),
    ),
]
