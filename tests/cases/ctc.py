# SPDX-License-Identifier: MIT
"""Connectionist temporal classification against all alignments, written out, and against the textbook recursion."""

import itertools

import numpy as np

import lamella
import lamella.ops as ops
from case import A, Bad, Case, I, S


def enumerated(x, labels, blank):
    """The sum over every sequence of classes that reads as `labels`."""
    total = 0.0
    for path in itertools.product(range(x.shape[1]), repeat=len(x)):
        read = [c for c, _ in itertools.groupby(path) if c != blank]
        if read == list(labels):
            total += np.exp(sum(x[t, c] for t, c in enumerate(path)))
    return -np.log(total)


def recursion(x, labels, blank):
    """Graves et al. (2006), equations 5 to 8."""
    states = [blank]
    for label in labels:
        states += [label, blank]
    alpha = np.full(len(states), -np.inf)
    alpha[0] = 0
    for row in x:
        before = alpha.copy()
        for s, label in enumerate(states):
            ways = [before[s]] + [before[s - 1]] * (s > 0)
            if s > 1 and label not in (blank, states[s - 2]):
                ways.append(before[s - 2])
            alpha[s] = np.logaddexp.reduce(ways) + row[label]
    return -np.logaddexp.reduce(alpha[-2:])


def ctc(one):
    def loss(x, targets, steps, counts, blank=0, reduction="mean", zero_infinity=False):
        single = x.ndim == 2
        if single:
            x, targets = x[:, None], targets.reshape(1, -1)
        steps, counts = np.ravel(steps), np.ravel(counts)
        start = np.cumsum(counts) - counts
        rows = [targets[i] if targets.ndim == 2 else targets[start[i] :] for i in range(x.shape[1])]
        each = np.array([one(x[: steps[i], i], rows[i][: counts[i]], blank) for i in range(x.shape[1])])
        if zero_infinity:
            each = np.where(np.isinf(each), 0.0, each)
        if reduction == "none":
            return each[0] if single else each
        return each.sum() if reduction == "sum" else (each / np.maximum(counts, 1)).mean()

    return loss


x, t, two = lamella.zeros(4, 2, 3), lamella.ones(2, 2, dtype=lamella.int64), [2, 2]
LENGTHS = ((5, 4, 5), (2, 0, 3))

CASES = [
    Case(
        "ctc_loss",
        ops.ctc_loss,
        ctc(enumerated),
        [
            *[S(A((5, 3, 3)), I((3, 3), 1, 3), *LENGTHS, reduction=r) for r in ("none", "mean", "sum")],
            S(A((5, 3, 3)), I((5,), 0, 2), *LENGTHS, blank=2, reduction="none"),  # one after another
            S(A((5, 2, 3)), np.array([[1, 1, 1], [1, 2, 1]]), (5, 5), (3, 3)),  # repeated labels need a blank between
            S(A((4, 3, 3)), I((3, 3), 1, 3), (1, 0, 4), (3, 2, 1), zero_infinity=True, reduction="none"),
            S(A((4, 3)), I((2,), 1, 3), 4, 2),
        ],
        kernels=("ctc_fwd", "ctc_bwd"),
        bad=[
            Bad(lambda: ops.ctc_loss(x[0, 0], t, two, two), ValueError, "[ctc_loss] log_probs must have shape (T, N, C) or (T, C), got (3,)"),
            Bad(lambda: ops.ctc_loss(x.half(), t, two, two), TypeError, "must have dtype float32 or float64, got float16: use log_probs.float()"),
            Bad(lambda: ops.ctc_loss(x, t.float(), two, two), TypeError, "targets must hold class indices of an integer dtype, got float32"),
            Bad(lambda: ops.ctc_loss(x, t[:1], two, two), ValueError, "targets must have shape (N, S) = (2, S), or one dimension, got (1, 2)"),
            Bad(lambda: ops.ctc_loss(x, t[0], two, two), ValueError, "must hold sum(target_lengths) = 4 labels, got 2"),
            Bad(lambda: ops.ctc_loss(x, t + 2, two, two), IndexError, "targets must be in [0, 3), got 3 in sequence 0"),
            Bad(lambda: ops.ctc_loss(x, t, two, two, blank=1), ValueError, "targets must not hold the blank (1), got it in sequence 0"),
            Bad(lambda: ops.ctc_loss(x, t, two, two, blank=3), ValueError, "blank must be in [0, 3), got 3"),
            Bad(lambda: ops.ctc_loss(x, t, [2, 5], two), ValueError, "input_lengths must be in [0, 4], the steps of log_probs, got 5 at 1"),
            Bad(lambda: ops.ctc_loss(x, t, two, [3, 1]), ValueError, "target_lengths must be in [0, 2], the size of targets, got 3 at 0"),
            Bad(lambda: ops.ctc_loss(x, t, [2], two), ValueError, "input_lengths must have shape (2,), one per sequence, got (1,)"),
            Bad(lambda: ops.ctc_loss(x, t, lamella.ones(2), two), TypeError, "input_lengths must have an integer dtype, got float32"),
            Bad(lambda: ops.ctc_loss(x, t, two, two, reduction="avg"), ValueError, "reduction must be 'none', 'mean' or 'sum', got 'avg'"),
        ],
    ),
    Case(
        "ctc_loss long",  # labels over several vectors of every ISA, many steps
        ops.ctc_loss,
        ctc(recursion),
        [
            S(A((41, 4, 6)), I((4, 19), 1, 6), (41, 23, 40, 39), (15, 16, 17, 19), reduction="none"),
            S(A((90, 2, 4), -3, 0), I((2, 33), 0, 3), (90, 80), (33, 32), blank=3),
        ],
        kernels=("ctc_fwd", "ctc_bwd"),
        grad2=False,
    ),
    Case(
        "ctc_loss without alignment",
        ops.ctc_loss,
        ctc(recursion),
        [
            S(A((4, 3, 3)), I((3, 3), 1, 3), (1, 0, 4), (3, 2, 1), reduction="none"),
            S(A((3, 1, 3), special=(-np.inf, -np.inf, -np.inf)), I((1, 2), 1, 3), (3,), (2,)),
            S(A((3, 1, 3), special=(np.nan,) * 3), I((1, 2), 1, 3), (3,), (2,)),
        ],
        kernels=("ctc_fwd",),
        grad=False,
        grad2=False,
    ),
]
