# SPDX-License-Identifier: MIT
"""Pooling against plain loops over the windows."""

import itertools
import math

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, S
from lamella.nn import functional as F


def _each(v, dims):
    return (v,) * dims if isinstance(v, int) else tuple(v)


def _windows(size, kernel, stride, padding, dilation, ceil_mode):
    """Per output: (positions inside the input, how many positions lie inside the padded input)."""
    free = size + 2 * padding - dilation * (kernel - 1) - 1
    n = (math.ceil(free / stride) if ceil_mode else free // stride) + 1
    if ceil_mode and (n - 1) * stride >= size + padding:
        n -= 1
    result = []
    for o in range(n):
        at = [o * stride - padding + t * dilation for t in range(kernel)]
        result.append(([p for p in at if 0 <= p < size], len([p for p in at if p < size + padding])))
    return result


def _pool(x, dims, kernel, stride, padding, dilation, ceil_mode, value):
    kernel = _each(kernel, dims)
    stride = kernel if stride is None else _each(stride, dims)
    padding, dilation = _each(padding, dims), _each(dilation, dims)
    per = [
        _windows(x.shape[x.ndim - dims + i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode) for i in range(dims)
    ]
    y = np.zeros((*x.shape[: x.ndim - dims], *(len(p) for p in per)))
    for at in itertools.product(*(range(len(p)) for p in per)):
        chosen = [per[i][o] for i, o in enumerate(at)]
        window = x[(..., *np.ix_(*(c[0] for c in chosen)))]
        y[(..., *at)] = value(window.reshape(*x.shape[: x.ndim - dims], -1), math.prod(c[1] for c in chosen))
    return y


def max_reference(dims):
    def ref(x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
        return _pool(x, dims, kernel, stride, padding, dilation, ceil_mode, lambda w, n: w.max(-1))

    return ref


def avg_reference(dims):
    def ref(x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        def mean(w, padded):
            return w.sum(-1) / (divisor_override or (padded if count_include_pad else w.shape[-1]))

        return _pool(x, dims, kernel, stride, padding, 1, ceil_mode, mean)

    return ref


def adaptive_reference(dims, reduce):
    def ref(x, output):
        output = (output,) * dims if output is None or isinstance(output, int) else output
        lead = x.shape[: x.ndim - dims]
        sizes = [s if o is None else o for o, s in zip(output, x.shape[x.ndim - dims :], strict=True)]
        y = np.zeros((*lead, *sizes))
        for at in itertools.product(*(range(s) for s in sizes)):
            window = x[
                (
                    ...,
                    *(
                        slice(o * n // s, -(-(o + 1) * n // s))
                        for o, s, n in zip(at, sizes, x.shape[x.ndim - dims :], strict=True)
                    ),
                )
            ]
            y[(..., *at)] = reduce(window.reshape(*lead, -1), axis=-1)
        return y

    return ref


MAX, AVG = ("max_pool_fwd", "max_pool_bwd"), ("avg_pool_fwd", "avg_pool_bwd")
ADAPTIVE = ("adaptive_avg_pool_fwd", "adaptive_avg_pool_bwd")
x = lamella.zeros(1, 2, 4, 4)


def last(pool):
    """`pool` of the same values with channels innermost in memory."""
    return lambda x, *args, **options: pool(x.movedim(1, -1).contiguous().movedim(-1, 1), *args, **options)


def unpooled(dims):
    """y of max pooling put back where it came from."""
    pool, unpool = getattr(F, f"max_pool{dims}d"), getattr(F, f"max_unpool{dims}d")

    def fn(x, kernel):
        y, index = pool(x, kernel, return_indices=True)
        return unpool(y, index, kernel, output_size=x.shape)

    return fn


def kept_maxima(dims):
    """x where it is the largest of its window, side by side, else zero."""

    def ref(x, kernel):
        y = max_reference(dims)(x, kernel)
        for axis in range(x.ndim - dims, x.ndim):
            y = y.repeat(kernel, axis)
        y = np.pad(y, [(0, a - b) for a, b in zip(x.shape, y.shape, strict=True)], constant_values=np.inf)
        return np.where(x == y, x, 0)

    return ref


def lp_reference(dims):
    def ref(x, p, kernel, stride=None, ceil_mode=False):
        n = math.prod(_each(kernel, dims))
        mean = _pool(x**p, dims, kernel, stride, 0, 1, ceil_mode, lambda w, size: w.sum(-1) / size)
        return (np.maximum(mean, 0) if p % 2 == 0 else np.abs(mean) * np.sign(mean)) * n if p == 1 else (mean * n) ** (1 / p)

    return ref


CASES = [
    Case("max_pool1d", F.max_pool1d, max_reference(1), [S(A((2, 3, 19)), 3, 2, 1), S(A((3, 8)), 2)], kernels=MAX),
    Case(
        "max_pool2d",
        F.max_pool2d,
        max_reference(2),
        [
            S(A((2, 3, 8, 10)), 2),
            S(A((2, 3, 33, 35)), 3, 2, 1),
            S(A((1, 2, 9, 7)), (2, 3), (3, 1), (1, 1), (2, 1)),
            S(A((2, 2, 7, 7)), 3, 2, 0, ceil_mode=True),
            S(A((1, 1, 5, 6), special=(math.nan, math.inf, -math.inf)), 2, 1),
            S(A((3, 5, 5)), 5),
        ],
        kernels=MAX,
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.max_pool2d(x, 2, padding=2), ValueError, "[max_pool] padding must be at most half of kernel_size"),
            Bad(lambda: F.max_pool2d(x, 5), ValueError, "[max_pool] input must be at least as large as the window"),
            Bad(
                lambda: F.max_pool2d(x[..., :1], (1, 3), 3, padding=(0, 1), dilation=2, ceil_mode=True),
                ValueError,
                "[max_pool] every window must hold an element of the input",
            ),
            Bad(lambda: F.max_pool2d(x, 0), ValueError, "[max_pool] kernel_size must be positive, got (0, 0)"),
            Bad(lambda: F.max_pool2d(x, (1, 2, 3)), ValueError, "[max_pool2d] kernel_size must be a number or 2 numbers"),
            Bad(lambda: F.max_pool2d(x.long(), 2), TypeError, "[max_pool] input must have a floating dtype, got int64"),
        ],
    ),
    Case("max_pool3d", F.max_pool3d, max_reference(3), [S(A((1, 2, 5, 6, 7)), 2), S(A((1, 1, 5, 5, 5)), 3, 2, 1)], kernels=MAX),
    *(
        Case(f"max_unpool{d}d of max_pool{d}d", unpooled(d), kept_maxima(d), [S(A((2, 3, *(7, 6, 5)[:d])), 2)], grad=d == 2, grad2=d == 2)
        for d in (1, 2, 3)
    ),
    Case(
        "max_unpool2d",
        lambda x, i: F.max_unpool2d(x, i, 3),
        lambda x, i: np.eye(9)[i].reshape(1, 1, 3, 3) * x,
        [S(A((1, 1, 1, 1)), np.array([[[[4]]]]))],
        bad=[
            Bad(
                lambda: F.max_unpool2d(x, x.long()[:, :1], 2),
                ValueError,
                "[max_unpool2d] indices must have the shape of input, got (1, 1, 4, 4) and (1, 2, 4, 4)",
            ),
            Bad(
                lambda: F.max_unpool2d(x, x.long(), 2, output_size=(20, 8)),
                ValueError,
                "[max_unpool2d] output_size must be within a stride of (8, 8), got (20, 8)",
            ),
            Bad(lambda: F.max_unpool2d(x, x.long() + 64, 2), IndexError, "must be in [0, 64), got 64"),
        ],
    ),
    Case("lp_pool1d", F.lp_pool1d, lp_reference(1), [S(A((2, 3, 19), 0.1, 1), 3, 4, 2), S(A((1, 2, 9)), 1, 2)]),
    Case("lp_pool2d", F.lp_pool2d, lp_reference(2), [S(A((2, 3, 8, 7)), 2, (2, 3)), S(A((1, 2, 5, 5)), 2, 3, 2, True)]),
    Case("lp_pool3d", F.lp_pool3d, lp_reference(3), [S(A((1, 2, 4, 5, 4)), 2, 2)]),
    Case("avg_pool1d", F.avg_pool1d, avg_reference(1), [S(A((2, 3, 19)), 3, 2, 1)], kernels=AVG),
    Case(
        "avg_pool2d",
        F.avg_pool2d,
        avg_reference(2),
        [
            S(A((2, 3, 8, 10)), 2),
            S(A((2, 3, 33, 35)), 3, 2, 1),
            S(A((2, 2, 7, 7)), 3, 2, 1, ceil_mode=True),
            S(A((2, 2, 7, 7)), 3, 2, 1, count_include_pad=False),
            S(A((1, 2, 6, 9)), (2, 3), divisor_override=5),
            S(A((1, 2, 6, 37)), 3, 1, 1),
            S(A((1, 2, 9, 70)), (3, 5), 2, (1, 2)),
            S(A((1, 2, 9, 40)), 2, 3),
        ],
        kernels=AVG,
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.avg_pool2d(x, 2, divisor_override=0), ValueError, "[avg_pool2d] divisor_override must be positive"),
            Bad(lambda: F.avg_pool2d(x[0, 0], 2), ValueError, "[avg_pool2d] input must have 3 or 4 dimensions, got (4, 4)"),
        ],
    ),
    Case("avg_pool3d", F.avg_pool3d, avg_reference(3), [S(A((1, 2, 5, 6, 7)), 2), S(A((1, 1, 5, 5, 5)), 3, 2, 1)], kernels=AVG),
    Case(
        "adaptive_avg_pool2d",
        F.adaptive_avg_pool2d,
        adaptive_reference(2, np.mean),
        [S(A((2, 3, 7, 9)), 1), S(A((2, 3, 7, 9)), (3, 4)), S(A((2, 5, 6)), (None, 8)), S(A((1, 2, 40, 40)), 5)],
        kernels=ADAPTIVE,
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.adaptive_avg_pool2d(x, 0), ValueError, "[adaptive_avg_pool] output_size must be positive"),
            Bad(lambda: F.adaptive_avg_pool2d(x, (1, 2, 3)), ValueError, "[adaptive_avg_pool2d] output_size must be a number"),
        ],
    ),
    Case("adaptive_avg_pool1d", F.adaptive_avg_pool1d, adaptive_reference(1, np.mean), [S(A((2, 3, 11)), 4)], kernels=ADAPTIVE),
    Case("adaptive_avg_pool3d", F.adaptive_avg_pool3d, adaptive_reference(3, np.mean), [S(A((1, 2, 5, 6, 7)), 2)], kernels=ADAPTIVE),
    Case(
        "adaptive_max_pool2d",
        F.adaptive_max_pool2d,
        adaptive_reference(2, np.max),
        [S(A((2, 3, 7, 9)), 1), S(A((2, 3, 7, 9)), (3, 4))],
        kernels=("adaptive_max_pool_fwd", "max_pool_bwd"),
        dtypes=ALL_FLOATS,
    ),
    Case(
        "max_pool2d channels last",
        last(F.max_pool2d),
        max_reference(2),
        [S(A((2, 17, 8, 11)), 3, 2, 1), S(A((1, 3, 7, 5)), 2, ceil_mode=True)],
        kernels=MAX,
        dtypes=ALL_FLOATS,
    ),
    Case(
        "avg_pool2d channels last",
        last(F.avg_pool2d),
        avg_reference(2),
        [S(A((2, 17, 8, 11)), 3, 2, 1, count_include_pad=False), S(A((1, 3, 7, 5)), 2, ceil_mode=True), S(A((1, 40, 5, 4)), 3, 1, 1)],
        kernels=AVG,
        dtypes=ALL_FLOATS,
    ),
    Case("avg_pool1d channels last", last(F.avg_pool1d), avg_reference(1), [S(A((2, 5, 19)), 3, 2, 1)], kernels=AVG),
    Case(
        "adaptive_avg_pool2d channels last",
        last(F.adaptive_avg_pool2d),
        adaptive_reference(2, np.mean),
        [S(A((2, 17, 6, 9)), 1), S(A((2, 5, 7, 8)), (3, 4))],
        kernels=ADAPTIVE,
        dtypes=ALL_FLOATS,
    ),
]
