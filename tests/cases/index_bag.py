# SPDX-License-Identifier: MIT
"""Embedding bags against loops over the bags."""

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, I, S
from lamella.nn import functional as F


def bags(i, w, offsets=None, mode="mean", per_sample_weights=None, include_last_offset=False, padding_idx=None, **_):
    if i.ndim == 2:
        offsets = np.arange(0, i.size + 1, max(i.shape[1], 1)) if i.shape[1] else np.zeros(i.shape[0] + 1, int)
        include_last_offset = True
    edges = list(offsets) if include_last_offset else [*offsets, i.size]
    flat, scale = i.reshape(-1), np.ones(i.size) if per_sample_weights is None else per_sample_weights.reshape(-1)
    y = np.zeros((len(edges) - 1, w.shape[1]))
    for b in range(len(y)):
        kept = [t for t in range(edges[b], edges[b + 1]) if padding_idx is None or flat[t] != padding_idx % len(w)]
        if kept:
            rows = w[flat[kept]] * scale[kept, None]
            y[b] = {"sum": rows.sum, "mean": rows.mean, "max": rows.max}[mode](axis=0)
    return y


def of(*values):
    return lamella.tensor(list(values))


OFFSETS = np.array([0, 3, 3, 4, 11, 40])
t = lamella.zeros(10, 4)

CASES = [
    Case(
        "embedding_bag",
        lambda i, w, *a, **k: F.embedding_bag(i, w, *a, **k),
        bags,
        [
            S(I((4, 5), 0, 7), A((7, 3))),
            S(I((40,), 0, 13), A((13, 17)), OFFSETS, mode="sum"),
            S(I((40,), 0, 13), A((13, 64)), OFFSETS, mode="mean", include_last_offset=True),
            S(I((40,), 0, 13), A((13, 97)), OFFSETS, mode="sum", per_sample_weights=A((40,)), padding_idx=-1),
            S(I((3, 6), 0, 50, "int32"), A((50, 515)), mode="sum", per_sample_weights=A((3, 6))),
            S(I((900, 9), 0, 30), A((30, 20)), padding_idx=3),
            S(I((2, 0), 0, 3), A((3, 2))),
        ],
        kernels=("bag_sum", "bag_dot"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.embedding_bag(of(1, 10), t, of(0)), IndexError, "[embedding_bag] index must be in [0, 10), got 10"),
            Bad(lambda: F.embedding_bag(of(1, 2), t), ValueError, "input must be 2-D, or 1-D with offsets, got (2,)"),
            Bad(lambda: F.embedding_bag(of(1, 2), t, of(1)), ValueError, "[embedding_bag] offsets must begin with 0, got 1"),
            Bad(lambda: F.embedding_bag(of(1, 2), t, of(0, 2, 1)), ValueError, "offsets must ascend and be at most 2, got 2 at 1 before 1"),
            Bad(lambda: F.embedding_bag(of(1, 2), t, of(0, 3)), ValueError, "offsets must ascend and be at most 2, got 0 at 0 before 3"),
            Bad(lambda: F.embedding_bag(of(1), t, of(0), mode="avg"), ValueError, "mode must be sum, mean or max, got 'avg'"),
            Bad(
                lambda: F.embedding_bag(of(1), t, of(0), per_sample_weights=lamella.ones(1)),
                ValueError,
                "per_sample_weights must have the shape of input (1,) and mode 'sum', got (1,) and 'mean'",
            ),
            Bad(lambda: F.embedding_bag(of(1), t, of(0), padding_idx=10), ValueError, "padding_idx must be in [-10, 10), got 10"),
            Bad(lambda: F.embedding_bag(of(1), t[0], of(0)), ValueError, "weight must be 2-D (rows, width), got (4,)"),
        ],
    ),
    Case(
        "embedding_bag max",
        lambda i, w, *a, **k: F.embedding_bag(i, w, *a, mode="max", **k),
        lambda *a, **k: bags(*a, mode="max", **k),
        [S(I((4, 5), 0, 7), A((7, 3))), S(I((40,), 0, 13), A((13, 70)), OFFSETS, padding_idx=0)],
        kernels=("bag_max",),
        dtypes=ALL_FLOATS,
    ),
]
