# SPDX-License-Identifier: MIT
"""Batch and instance normalisation."""

import numpy as np

import lamella
import lamella.ops as ops
from case import ALL_FLOATS, A, Bad, Case, S


def channel(p, x):
    return p.reshape(-1, *(1,) * (x.ndim - 2))


def train(x, weight=None, bias=None, eps=1e-5):
    if x.size == 0:  # no batch has no mean
        return x
    axes = (0, *range(2, x.ndim))
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    y = y if weight is None else y * channel(weight, x)
    return y if bias is None else y + channel(bias, x)


def evaluate(x, mean, var, weight=None, bias=None, eps=1e-5):
    y = (x - channel(mean, x)) / np.sqrt(channel(var, x) + eps)
    y = y if weight is None else y * channel(weight, x)
    return y if bias is None else y + channel(bias, x)


def running(x, mean, var, momentum=0.1):
    """The buffers after one step of training."""
    axes = (0, *range(2, x.ndim))
    return (1 - momentum) * mean + momentum * x.mean(axes), (1 - momentum) * var + momentum * x.var(axes, ddof=1)


def run_running(x, mean, var, momentum=0.1):
    mean, var = mean.clone(), var.clone()
    ops.batch_norm(x, mean, var, None, None, True, momentum)
    return mean, var


def instance(x, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(2, x.ndim))
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    y = y if weight is None else y * channel(weight, x)
    return y if bias is None else y + channel(bias, x)


def columns_last(x, *rest):
    """The same op on a channels-last copy: its kernel sees rows of channels."""
    y = ops.batch_norm(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), None, None, *rest, True)
    return y


SHAPES = [
    *((4, c) for c in (1, 3, 15, 16, 17, 65)),
    *((3, 4, n) for n in (2, 7, 31, 32, 33, 97)),
    (2, 3, 5, 7),
    (67, 5, 3),
    (300, 70),
    (3, 2, 4099),
    (2, 2, 33_000),
]
x, p = lamella.zeros(2, 6), lamella.ones(6)

CASES = [
    Case(
        op="batch_norm training",
        fn=lambda x, *rest: ops.batch_norm(x, None, None, *rest, training=True),
        ref=train,
        samples=[*(S(A(s), A(s[1:2]), A(s[1:2])) for s in SHAPES), S(A((5, 3))), S(A((0, 3)), A((3,)), A((3,)))],
        kernels=("batch_norm_fwd", "batch_norm_bwd"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(
                lambda: ops.batch_norm(x[:1], None, None, training=True),
                ValueError,
                "[batch_norm] input must have more than one value per channel in training, got (1, 6)",
            ),
            Bad(lambda: ops.batch_norm(x, None, None), ValueError, "[batch_norm] running_mean and running_var must be given"),
            Bad(lambda: ops.batch_norm(p, p, p), ValueError, "[batch_norm] input must be (N, C, ...), got (6,)"),
            Bad(
                lambda: ops.batch_norm(x, p[:5], p),
                ValueError,
                "[batch_norm] running_mean must have shape (6,), got (5,)",
            ),
            Bad(
                lambda: ops.batch_norm(x, p, p, p[:5]),
                ValueError,
                "[batch_norm] weight must have shape (6,), got (5,)",
            ),
            Bad(lambda: ops.batch_norm(x.to(lamella.int32), p, p), TypeError, "[batch_norm] input must have a floating dtype"),
        ],
    ),
    Case(
        op="batch_norm far from zero",
        fn=lambda x: ops.batch_norm(x, None, None, training=True),
        ref=train,
        samples=[S(A(s, low=998.0, high=1002.0)) for s in ((64, 5), (300, 70), (8, 3, 49), (3, 2, 4099))],
        kernels=("batch_norm_fwd",),
        tol={"float64": 1e-11},
        grad=False,
        grad2=False,
    ),
    Case(
        op="batch_norm channels-last",
        fn=columns_last,
        ref=train,
        samples=[S(A((2, 5, 3, 4)), A((5,)), A((5,)))],
        kernels=("batch_norm_fwd", "batch_norm_bwd"),
    ),
    Case(
        op="batch_norm evaluation",
        fn=ops.batch_norm,
        ref=evaluate,
        samples=[
            *(
                S(A(s), A(s[1:2], grad=False), A(s[1:2], 0.5, 2.0, grad=False), A(s[1:2]), A(s[1:2]))
                for s in SHAPES
            ),
            S(A((5, 3)), A((3,), grad=False), A((3,), 0.5, 2.0, grad=False)),
        ],
        kernels=("batch_norm_apply", "batch_norm_bwd"),
        dtypes=ALL_FLOATS,
    ),
    Case(
        op="batch_norm running statistics",
        fn=run_running,
        ref=running,
        samples=[S(A((5, 3)), A((3,)), A((3,), 0.5, 2.0)), S(A((3, 2, 47)), A((2,)), A((2,), 0.5, 2.0), 0.3)],
        kernels=("batch_norm_fwd",),
        grad=False,
        grad2=False,
    ),
    Case(
        op="instance_norm",
        fn=lambda x, *rest: ops.instance_norm(x, None, None, *rest),
        ref=instance,
        samples=[S(A((2, 3, n)), A((3,)), A((3,))) for n in (3, 16, 17, 97)] + [S(A((2, 3, 4, 5)))],
        kernels=("group_norm_fwd", "group_norm_bwd"),
        bad=[Bad(lambda: ops.instance_norm(x), ValueError, "[instance_norm] input must be (N, C, d1, ...), got (2, 6)")],
    ),
]
