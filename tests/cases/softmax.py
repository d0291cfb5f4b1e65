# SPDX-License-Identifier: MIT
"""Softmax, cross-entropy and nll_loss."""

import numpy as np

import lamella
import lamella.ops as ops
from case import ALL_FLOATS, A, Bad, Case, I, S
from lamella.ops.softmax import log_softmax_unfused, softmax_unfused


def log_softmax(x, dim):
    with np.errstate(invalid="ignore"):
        d = x - x.max(dim, keepdims=True)
        return d - np.log(np.exp(d).sum(dim, keepdims=True))


def cross_entropy(x, t, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0, log_probs=False):
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis]
    logp = x if log_probs else log_softmax(x, axis)
    w = np.ones(classes) if weight is None else weight
    spread = np.expand_dims(w, tuple(range(1, x.ndim - axis)))  # weights along the class axis
    used = t != ignore_index
    at = np.where(used, t, 0)
    picked = np.take_along_axis(logp, np.expand_dims(at, axis), axis).squeeze(axis)
    factor = np.where(used, w[at], 0.0)
    loss = -(1 - label_smoothing) * factor * picked
    loss = loss - np.where(used, label_smoothing / classes * (spread * logp).sum(axis), 0.0)
    return {"none": lambda: loss, "sum": loss.sum, "mean": lambda: loss.sum() / factor.sum()}[reduction]()


def soft_cross_entropy(x, t, weight=None, reduction="mean", label_smoothing=0.0):
    axis = 0 if x.ndim == 1 else 1
    t = t * (1 - label_smoothing) + label_smoothing / x.shape[axis]
    if weight is not None:
        t = t * np.expand_dims(weight, tuple(range(1, x.ndim - axis)))
    loss = -(t * log_softmax(x, axis)).sum(axis)
    return {"none": lambda: loss, "sum": loss.sum, "mean": loss.mean}[reduction]()


LENGTHS = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 97]
ROWS = [S(A((3, n)), -1) for n in LENGTHS]
ROWS += [S(A((rows, n)), 1) for rows, n in ((40, 3), (37, 10), (35, 21), (35, 31), (19, 64))]  # many short rows at once
ROWS += [S(A((2, 4097)), 1), S(A((1, 65_600)), 1), S(A((0, 5)), 1), S(A((5, 0)), 0), S(A(()), 0), S(A((7,)), 0)]
COLUMNS = [S(A((2, 5, n)), 1) for n in (2, 16, 17, 65, 97)] + [S(A((3, 4)), 0), S(A((2, 3, 4, 5)), -2)]
INF = float("inf")
SPECIAL = [
    S(A((2, 5), special=(INF,)), 1),
    S(A((2, 5), special=(-INF, 2.0)), 1),
    S(A((2, 5), special=(-INF,) * 5), 1),
    S(A((2, 5), special=(float("nan"),)), 1),
    S(A((2, 5), low=88.0, high=1e4), 1),
    S(A((2, 9000), special=(-INF,) * 4100), 1),
    S(A((2, 5, 3), special=(-INF, INF, float("nan"))), 1),
    *(S(A((20, n), special=(-INF, INF, float("nan"))), 1) for n in (10, 20, 40)),
]
x, t = lamella.zeros(3, 4), lamella.zeros(3, dtype=lamella.int64)

CE = {
    "plain": S(A((5, 10)), I((5,))),
    "one row": S(A((4,)), I((), 0, 4)),
    "one class": S(A((3, 1)), I((3,), 0, 1)),
    "narrow": S(A((7, 3)), I((7,), 0, 3, "int32")),
    "many": S(A((37, 20)), I((37,), 0, 20)),
    "wide": S(A((3, 5003)), I((3,), 0, 5003)),
    "image": S(A((2, 5, 3, 7)), I((2, 3, 7), 0, 5)),
    "long image": S(A((2, 3, 131)), I((2, 131), 0, 3, "uint8")),
}
OPTIONS = [
    {"reduction": "none"},
    {"reduction": "sum"},
    {"ignore_index": 1},
    {"label_smoothing": 0.1},
    {"label_smoothing": 0.3, "reduction": "none", "ignore_index": 0},
]


def with_options(samples):
    out = list(samples)
    for s in samples[:1] + samples[-2:]:
        weight = A((s.args[0].shape[1],), 0.5, 2.0, grad=False)
        out += [S(*s.args, **o) for o in OPTIONS] + [S(*s.args, weight=weight, **o) for o in OPTIONS]
    return out


def without_smoothing(samples):
    return [s for s in with_options(samples) if "label_smoothing" not in s.kwargs]


CASES = [
    Case(
        op="softmax",
        fn=ops.softmax,
        ref=lambda x, dim: np.exp(log_softmax(x, dim)) if x.shape[dim : dim + 1] != (0,) and x.size else x,
        samples=[s for s in ROWS if s.args[0].shape != ()] + COLUMNS,
        kernels=("softmax_fwd", "softmax_bwd"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: ops.softmax(x), ValueError, "[softmax] dim must be given"),
            Bad(lambda: ops.softmax(x, 2), IndexError, "softmax"),
            Bad(lambda: ops.softmax(t, 0), TypeError, "[softmax] input must have a floating dtype, got int64"),
        ],
    ),
    Case(
        op="softmax specials",
        fn=ops.softmax,
        ref=lambda x, dim: np.exp(log_softmax(x, dim)),
        samples=SPECIAL,
        kernels=("softmax_fwd",),
        dtypes=ALL_FLOATS,
        grad=False,
        grad2=False,
    ),
    Case(
        op="softmin",
        fn=ops.softmin,
        ref=lambda x, dim: np.exp(log_softmax(-x, dim)),
        samples=[S(A((3, 5)), 1)],
        bad=[Bad(lambda: ops.softmin(x), ValueError, "[softmin] dim must be given")],
    ),
    Case(
        op="log_softmax",
        fn=ops.log_softmax,
        ref=lambda x, dim: log_softmax(x, dim) if x.size else x,
        samples=[s for s in ROWS if s.args[0].shape != ()] + COLUMNS,
        kernels=("softmax_fwd", "softmax_bwd"),
        dtypes=ALL_FLOATS,
        bad=[Bad(lambda: ops.log_softmax(t, 0), TypeError, "[log_softmax] input must have a floating dtype")],
    ),
    Case(
        op="log_softmax specials",
        fn=ops.log_softmax,
        ref=log_softmax,
        samples=[s for s in SPECIAL if INF not in s.args[0].special],
        kernels=("softmax_fwd",),
        grad=False,
        grad2=False,
    ),
    Case(
        op="softmax unfused",
        fn=lambda x, dim: (softmax_unfused(x, dim), log_softmax_unfused(x, dim)),
        ref=lambda x, dim: (np.exp(log_softmax(x, dim)), log_softmax(x, dim)),
        samples=[S(A((3, 5)), 1), S(A((2, 3, 4)), 1)],
    ),
    Case(
        op="cross_entropy",
        fn=ops.cross_entropy,
        ref=cross_entropy,
        samples=with_options(list(CE.values())),
        kernels=("cross_entropy_fwd", "cross_entropy_bwd"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(
                lambda: ops.cross_entropy(x, lamella.tensor([0, 4, 1])),
                IndexError,
                "[cross_entropy] target must be in [0, 4) or ignore_index (-100), got 4 at (1,)",
            ),
            Bad(lambda: ops.cross_entropy(x, lamella.tensor([0, -1, 1])), IndexError, "got -1 at (1,)"),
            Bad(
                lambda: ops.cross_entropy(x, lamella.zeros(3)),
                TypeError,
                "[cross_entropy] target must hold class indices of an integer dtype, got float32",
            ),
            Bad(
                lambda: ops.cross_entropy(x, lamella.zeros(4, dtype=lamella.int64)),
                ValueError,
                "[cross_entropy] target must have shape (3,) for input (3, 4), got (4,)",
            ),
            Bad(
                lambda: ops.cross_entropy(x, t, weight=lamella.ones(3)),
                ValueError,
                "[cross_entropy] weight must have shape (4,), got (3,)",
            ),
            Bad(
                lambda: ops.cross_entropy(x, t, reduction="avg"),
                ValueError,
                "[cross_entropy] reduction must be 'none', 'mean' or 'sum', got 'avg'",
            ),
            Bad(lambda: ops.cross_entropy(x, t, label_smoothing=2.0), ValueError, "label_smoothing must be in [0, 1]"),
            Bad(lambda: ops.cross_entropy(t, t), TypeError, "[cross_entropy] input must have a floating dtype, got int64"),
            Bad(lambda: ops.cross_entropy(lamella.zeros(()), t), ValueError, "got a scalar"),
            Bad(
                lambda: ops.cross_entropy(x, lamella.full((3, 4), float("nan"))),
                ValueError,
                "[cross_entropy] target must hold probabilities, got NaN",
            ),
        ],
    ),
    Case(
        op="cross_entropy probabilities",
        fn=ops.cross_entropy,
        ref=soft_cross_entropy,
        samples=[
            S(A((5, 10)), A((5, 10), 0.0, 1.0)),
            S(A((4,)), A((4,), 0.0, 1.0), reduction="sum"),
            S(A((2, 3, 5)), A((2, 3, 5), 0.0, 1.0), reduction="none", label_smoothing=0.2),
            S(A((2, 3, 5)), A((2, 3, 5), 0.0, 1.0), weight=A((3,), 0.5, 2.0)),
        ],
        bad=[
            Bad(lambda: ops.cross_entropy(x, x, reduction="avg"), ValueError, "reduction must be"),
            Bad(lambda: ops.cross_entropy(x, x, label_smoothing=2), ValueError, "label_smoothing must be in [0, 1]"),
            Bad(lambda: ops.cross_entropy(x, x, weight=lamella.ones(3)), ValueError, "weight must have shape (4,)"),
        ],
    ),
    Case(
        op="nll_loss",
        fn=ops.nll_loss,
        ref=lambda x, t, **k: cross_entropy(x, t, log_probs=True, **k),
        samples=without_smoothing(list(CE.values())),
        kernels=("cross_entropy_fwd", "cross_entropy_bwd"),
        dtypes=ALL_FLOATS,
        bad=[Bad(lambda: ops.nll_loss(x, lamella.tensor([0, 4, 1])), IndexError, "[nll_loss] target must be in [0, 4)")],
    ),
]
