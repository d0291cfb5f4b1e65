# SPDX-License-Identifier: MIT
"""Layer, RMS and group normalisation."""

import numpy as np

import lamella
import lamella.ops as ops
from case import ALL_FLOATS, A, Bad, Case, S


def layer_norm(x, shape, weight=1.0, bias=0.0, eps=1e-5):
    axes = tuple(range(-len(np.atleast_1d(shape)), 0))
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps) * weight + bias


def rms_norm(x, shape, weight=1.0, eps=2.0**-23):
    axes = tuple(range(-len(np.atleast_1d(shape)), 0))
    y = x / np.sqrt((x * x).mean(axes, keepdims=True) + eps)
    return y if weight is None else y * weight


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    if x.size == 0:
        return x
    rows = x.reshape(x.shape[0], groups, -1)
    y = ((rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + eps)).reshape(x.shape)
    channel = (-1, *(1,) * (x.ndim - 2))
    y = y if weight is None else y * weight.reshape(channel)
    return y if bias is None else y + bias.reshape(channel)


SIZES = [3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 97, 769]
x = lamella.zeros(2, 6)

CASES = [
    Case(
        op="layer_norm",
        fn=ops.layer_norm,
        ref=layer_norm,
        samples=[
            *(S(A((3, n)), (n,), A((n,)), A((n,))) for n in SIZES),
            S(A((2, 3, 4, 5)), (4, 5), A((4, 5)), A((4, 5))),
            S(A((7,)), 7, A((7,))),
            S(A((5, 8)), (8,)),
            S(A((0, 5)), (5,), A((5,)), A((5,))),
            S(A((67, 33)), (33,), A((33,)), A((33,)), 0.1),
            S(A((2, 4099)), (4099,), A((4099,)), A((4099,))),
            S(A((2, 65_600)), (65_600,)),
            S(A((9, 20_011)), (20_011,), A((20_011,)), A((20_011,))),
        ],
        kernels=("layer_norm_fwd", "layer_norm_bwd"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(
                lambda: ops.layer_norm(x, (5,)),
                ValueError,
                "[layer_norm] normalized_shape must be the last sizes of input (2, 6), got (5,)",
            ),
            Bad(lambda: ops.layer_norm(x, ()), ValueError, "[layer_norm] normalized_shape"),
            Bad(
                lambda: ops.layer_norm(x, 6, lamella.ones(5)),
                ValueError,
                "[layer_norm] weight must have shape (6,), got (5,)",
            ),
            Bad(lambda: ops.layer_norm(x.to(lamella.int64), 6), TypeError, "[layer_norm] input must have a floating dtype"),
        ],
    ),
    Case(
        op="layer_norm far from zero",  # mean >> deviation: the variance must be that of centred values
        fn=ops.layer_norm,
        ref=layer_norm,
        samples=[S(A((5, 768), low=998.0, high=1002.0), 768), S(A((2, 70_001), low=998.0, high=1002.0), 70_001)],
        kernels=("layer_norm_fwd",),
        tol={"float64": 1e-11},
        grad=False,
        grad2=False,
    ),
    Case(
        op="rms_norm",
        fn=ops.rms_norm,
        ref=rms_norm,
        samples=[
            *(S(A((3, n)), (n,), A((n,)), 1e-6) for n in SIZES),
            S(A((2, 3, 4)), (3, 4), None, 1e-5),
            S(A((65, 33)), (33,), A((33,)), 1e-5),
            S(A((9, 20_011)), (20_011,), A((20_011,)), 1e-5),
        ],
        kernels=("layer_norm_fwd", "layer_norm_bwd"),
        dtypes=ALL_FLOATS,
        bad=[Bad(lambda: ops.rms_norm(x, 5), ValueError, "[rms_norm] normalized_shape must be the last sizes")],
    ),
    Case(
        op="group_norm",
        fn=ops.group_norm,
        ref=group_norm,
        samples=[
            *(S(A((2, 6, n)), g, A((6,)), A((6,))) for n in (3, 16, 17, 97) for g in (1, 3)),
            S(A((2, 6)), 2, A((6,)), A((6,))),
            S(A((2, 4, 3, 5)), 2),
            S(A((0, 4, 3)), 2, A((4,)), A((4,))),
            S(A((1, 2, 33_000)), 1, A((2,)), A((2,))),
        ],
        kernels=("group_norm_fwd", "group_norm_bwd"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(
                lambda: ops.group_norm(x, 4),
                ValueError,
                "[group_norm] num_groups must divide the 6 channels of input, got 4",
            ),
            Bad(lambda: ops.group_norm(lamella.zeros(6), 2), ValueError, "[group_norm] input must be (N, C, ...)"),
        ],
    ),
]
