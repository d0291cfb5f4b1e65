# SPDX-License-Identifier: MIT
"""Convolution against plain loops over the taps."""

import itertools

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, S
from lamella.nn import functional as F

KERNELS = ("conv_fwd", "conv_bwd_input", "conv_bwd_weight")
TOL = {"float32": 1e-5, "float64": 1e-12}
TOL_ALL = {**TOL, "bfloat16": 2e-2, "float16": 4e-3}
TOL_WINOGRAD = {**TOL, "float32": 2e-5}


def _each(v, dims):
    return (v,) * dims if isinstance(v, int) else tuple(v)


def reference(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, k, o] = b[k] + sum over c and taps t of w[k, c, t] x[n, c, o stride + t dilation - padding]."""
    dims = w.ndim - 2
    if x.ndim == dims + 1:
        return reference(x[None], w, b, stride, padding, dilation, groups)[0]
    stride, dilation = _each(stride, dims), _each(dilation, dims)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
        sides = [(t // 2, t - t // 2) for t in total]
    else:
        sides = [(p, p) for p in _each(0 if padding == "valid" else padding, dims)]
    x = np.pad(x, [(0, 0), (0, 0), *sides])
    out = [(s - d * (k - 1) - 1) // st + 1 for s, d, k, st in zip(x.shape[2:], dilation, w.shape[2:], stride, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    per_in, per_out = w.shape[1], w.shape[0] // groups
    for tap in itertools.product(*(range(k) for k in w.shape[2:])):
        at = tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilation, out, stride, strict=True)
        )
        seen = x[(slice(None), slice(None), *at)]
        for g in range(groups):
            taps = w[(slice(g * per_out, (g + 1) * per_out), slice(None), *tap)]
            y[:, g * per_out : (g + 1) * per_out] += np.einsum("kc,nc...->nk...", taps, seen[:, g * per_in : (g + 1) * per_in])
    return y if b is None else y + b.reshape((-1,) + (1,) * dims)


def transposed(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Every input adds its taps to the output: y[i stride + t dilation - padding] += w[k, c, t] x[i]."""
    dims = w.ndim - 2
    stride, padding, dilation = _each(stride, dims), _each(padding, dims), _each(dilation, dims)
    extra = _each(output_padding, dims)
    full = [(s - 1) * st + d * (k - 1) + 1 for s, st, d, k in zip(x.shape[2:], stride, dilation, w.shape[2:], strict=True)]
    y = np.zeros((x.shape[0], w.shape[1] * groups, *(f + e for f, e in zip(full, extra, strict=True))))
    per_in, per_out = w.shape[0] // groups, w.shape[1]
    for tap in itertools.product(*(range(k) for k in w.shape[2:])):
        at = tuple(
            slice(t * d, t * d + (s - 1) * st + 1, st) for t, d, s, st in zip(tap, dilation, x.shape[2:], stride, strict=True)
        )
        for g in range(groups):
            taps = w[(slice(g * per_in, (g + 1) * per_in), slice(None), *tap)]
            part = np.einsum("kc,nk...->nc...", taps, x[:, g * per_in : (g + 1) * per_in])
            y[(slice(None), slice(g * per_out, (g + 1) * per_out), *at)] += part
    y = y[(..., *(slice(p, y.shape[2 + i] - p) for i, p in enumerate(padding)))]
    return y if b is None else y + b.reshape((-1,) + (1,) * dims)


x4, w4 = lamella.zeros(1, 4, 5, 5), lamella.zeros(6, 4, 3, 3)

def channels_last(x, *args, **options):
    y = F.conv2d(x.contiguous(memory_format=lamella.channels_last), *args, **options)
    assert y.is_contiguous(memory_format=lamella.channels_last)
    return y


def weights_channels_last(x, w, *args, **options):
    return channels_last(x, w.contiguous(memory_format=lamella.channels_last), *args, **options)


def one_channels_last(x, w, *args, **options):
    """A picture (H, W, C) as a batch of one: the stride over images is what it happens to be."""
    assert x.shape[0] == 1
    x = x[0].permute(1, 2, 0).contiguous().permute(2, 0, 1).unsqueeze(0)
    return F.conv2d(x, w.contiguous(memory_format=lamella.channels_last), *args, **options)


CHANNELS_LAST = [
    S(A((2, 9, 9, 8)), A((10, 9, 3, 3)), A((10,)), padding=1),
    S(A((2, 17, 6, 7)), A((13, 17, 1, 1)), A((13,))),  # a plain product
    S(A((2, 33, 9, 11)), A((40, 33, 3, 2)), None, stride=(2, 3), padding=(1, 2), dilation=(2, 1)),
    S(A((1, 120, 5, 4)), A((68, 120, 3, 3)), None, padding=1),  # k beyond a block
    S(A((2, 8, 36, 31)), A((8, 8, 3, 3)), A((8,)), padding=1),  # an image in parts
    S(A((2, 16, 5, 5)), A((8, 16, 1, 1)), None, stride=2),  # positions that no tap reaches
    S(A((2, 3, 9, 8)), A((10, 3, 3, 3)), A((10,)), padding=1),  # few channels: vectors across filters
    S(A((3, 3, 5, 29)), A((50, 3, 3, 4)), None, stride=(1, 3), padding=(1, 9)),  # a block of two vectors, then one; odd rows
    S(A((2, 3, 17, 33)), A((26, 3, 3, 5)), A((26,)), stride=(1, 2), padding=(1, 2)),  # weight gradients by overlapping rows
    S(A((2, 16, 15, 18)), A((16, 16, 3, 3)), None, padding=1),
    S(A((1, 6, 31, 40)), A((24, 3, 5, 3)), None, stride=(2, 1), padding=(0, 2), groups=2),
    S(A((2, 2, 7, 5)), A((9, 2, 3, 4)), A((9,))),  # rows too short for that: the taps of a row as one
    S(A((2, 2, 19, 30)), A((40, 2, 4, 5)), A((40,)), stride=(1, 4), padding=(0, 3), dilation=(2, 1)),
    S(A((2, 3, 9, 8)), A((10, 3, 3, 3)), A((10,)), padding=1, dilation=2),  # the rest: through the other layout
    S(A((2, 9, 9, 8)), A((3, 9, 3, 3)), A((3,)), padding=1),
    S(A((2, 12, 7, 6)), A((12, 1, 3, 3)), A((12,)), padding=1, groups=12),  # depthwise
    S(A((2, 12, 7, 6)), A((12, 2, 3, 3)), A((12,)), padding=1, groups=6),  # small groups
    S(A((1, 20, 9, 8)), A((20, 4, 3, 2)), None, stride=(2, 1), padding=1, groups=5),
    S(A((1, 35, 5, 17)), A((35, 1, 3, 6)), None, stride=(1, 2), padding=(2, 3), dilation=(2, 1), groups=35),
    S(A((1, 5, 2, 2)), A((5, 1, 7, 7)), A((5,)), padding=3, groups=5),  # no position sees all taps
    S(A((1, 18, 9, 90)), A((18, 1, 7, 7)), A((18,)), padding=3, groups=18),  # parts of rows
    S(A((2, 24, 6, 7)), A((24, 8, 3, 3)), A((24,)), padding=1, groups=3),  # groups of few, a member at a time
    S(A((2, 20, 7, 6)), A((36, 10, 3, 3)), A((36,)), padding=1, groups=2),  # groups of many
    S(A((2, 1024, 3, 2)), A((8, 1024, 1, 1)), None),  # rows a multiple of 4 KiB apart
    S(A((7, 12, 6, 5)), A((9, 12, 3, 3)), A((9,)), padding=3),  # the edges see nothing but padding
    S(A((3, 8, 9, 6)), A((8, 8, 7, 5)), None, padding=(3, 2)),  # as many kinds of edges as taps
]

WINOGRAD = [
    S(A((3, 16, 13, 18)), A((20, 16, 3, 3)), A((20,)), padding=1),  # tiles cut at two edges, filters that do not fill vectors
    S(A((2, 32, 17, 16)), A((48, 32, 3, 3)), None, padding=1),
    S(A((1, 32, 25, 27)), A((64, 16, 3, 3)), A((64,)), groups=2),  # no padding
    S(A((9, 16, 8, 7)), A((32, 16, 3, 3)), None, padding=2),  # several images to a task
    S(A((2, 16, 7, 7)), A((288, 16, 3, 3)), A((288,)), padding=1),  # by panels of filters
    S(A((1, 112, 20, 17)), A((112, 112, 3, 3)), None, padding=1),  # the weight gradient by panels of channels
]

CASES = [
    Case(
        "conv1d",
        F.conv1d,
        reference,
        [
            S(A((2, 3, 17)), A((4, 3, 3)), A((4,))),
            S(A((2, 4, 40)), A((6, 2, 5)), A((6,)), stride=2, padding=3, dilation=2, groups=2),
            S(A((1, 17, 1300)), A((17, 1, 9)), A((17,)), padding=4, groups=17),
            S(A((3, 9)), A((2, 3, 4)), None, padding="same"),
            S(A((1, 2, 3001)), A((3, 2, 9)), A((3,)), padding=4),  # rows cut across
            S(A((2, 1, 3001)), A((3, 1, 5)), None, stride=2, padding=6, dilation=3),
            S(A((1, 66, 1300)), A((66, 66, 4)), None, padding=1),  # many filters over them
            S(A((1, 5, 2100)), A((40, 5, 7)), None, stride=2, padding=3),  # weight gradients by overlapping rows, cut across
            S(A((2, 1, 300)), A((9, 1, 40)), A((9,)), stride=16, padding=3),  # a stride's phases, alike and not
            S(A((3, 4, 9)), A((5, 4, 9)), A((5,)), stride=2),  # one window
            S(A((2, 3, 24)), A((5, 3, 8)), A((5,)), stride=8),  # windows side by side
        ],
        kernels=KERNELS,
        dtypes=ALL_FLOATS,
        tol=TOL_ALL,
    ),
    Case(
        "conv2d-channels-last",
        channels_last,
        reference,
        CHANNELS_LAST,
        kernels=KERNELS,
        dtypes=ALL_FLOATS,
        tol=TOL_ALL,
        layouts=False,
    ),
    Case(
        "conv2d-winograd",
        F.conv2d,
        reference,
        WINOGRAD,
        kernels=KERNELS,
        dtypes=ALL_FLOATS,
        tol={**TOL_ALL, **TOL_WINOGRAD},
        layouts=False,
    ),
    Case(
        "conv2d-winograd-channels-last",
        channels_last,
        reference,
        WINOGRAD,
        kernels=KERNELS,
        tol=TOL_WINOGRAD,
        layouts=False,
    ),
    Case(
        "conv2d-weights-channels-last",
        weights_channels_last,
        reference,
        CHANNELS_LAST,
        kernels=KERNELS,
        tol=TOL,
        layouts=False,
    ),
    Case(
        "conv2d-one-channels-last",
        one_channels_last,
        reference,
        [
            S(A((1, 16, 5, 6)), A((12, 16, 3, 3)), A((12,)), padding=1),
            S(A((1, 9, 5, 6)), A((90, 9, 3, 3)), None, stride=2),
            S(A((1, 16, 4, 4)), A((40, 8, 2, 2)), None, groups=2),
        ],
        kernels=KERNELS,
        tol=TOL,
        layouts=False,
    ),
    Case(
        "conv2d",
        F.conv2d,
        reference,
        [
            S(A((2, 3, 9, 8)), A((4, 3, 3, 3)), A((4,)), padding=1),
            S(A((5, 1, 12, 12)), A((6, 1, 5, 5)), A((6,)), padding=2),  # few channels, many images in a tile
            S(A((2, 17, 6, 7)), A((13, 17, 1, 1)), A((13,))),  # a plain product
            S(A((3, 4, 5, 6)), A((7, 4, 5, 6)), A((7,))),  # one window
            S(A((2, 9, 1, 1)), A((5, 9, 1, 1)), None),
            S(A((2, 3, 8, 12)), A((5, 3, 4, 3)), A((5,)), stride=(4, 3)),  # windows side by side
            S(A((2, 3, 5, 12)), A((5, 3, 5, 3)), None, stride=(2, 3)),
            S(A((0, 3, 4, 4)), A((5, 3, 2, 2)), A((5,)), stride=2),
            S(A((0, 3, 4, 4)), A((5, 3, 4, 4)), A((5,))),
            S(A((1, 31, 5, 5)), A((14, 31, 3, 3)), None, padding=1),
            S(A((2, 3, 70, 67)), A((9, 3, 3, 3)), A((9,)), padding=1),  # several bands, blocks of filters of two sizes
            S(A((17, 2, 4, 4)), A((33, 2, 3, 3)), None),
            S(A((2, 2, 3, 4)), A((1, 2, 1, 2)), A((1,)), padding=(0, 3)),  # padding beyond the kernel
            S(A((2, 26, 9, 8)), A((30, 26, 3, 3)), A((30,)), padding=1),  # many filters: products of packed columns
            S(A((9, 26, 5, 4)), A((30, 26, 3, 3)), A((30,)), padding=2),  # over many small images, with edges of padding
            S(A((2, 26, 9, 11)), A((30, 26, 3, 3)), None, stride=2, padding=1),
            S(A((1, 120, 5, 4)), A((68, 120, 3, 3)), A((68,)), padding=1),  # k beyond a block
            S(A((1, 9, 36, 31)), A((26, 9, 3, 3)), A((26,)), padding=1),  # an image in parts
            S(A((1, 52, 11, 10)), A((56, 26, 3, 2)), A((56,)), stride=(3, 2), padding=(2, 1), dilation=(2, 3), groups=2),
            S(A((2, 4, 11, 10)), A((6, 2, 3, 3)), A((6,)), stride=2, padding=1, groups=2),
            S(A((2, 5, 9, 9)), A((5, 1, 3, 3)), A((5,)), padding=1, groups=5),  # depthwise, of few channels
            S(A((2, 18, 9, 13)), A((18, 1, 3, 3)), A((18,)), padding=1, groups=18),  # by vectors of channels
            S(A((1, 33, 12, 17)), A((33, 1, 5, 7)), None, stride=(2, 3), padding=(2, 4), dilation=(2, 1), groups=33),
            S(A((2, 16, 7, 7)), A((16, 1, 2, 1)), A((16,)), stride=(3, 2), groups=16),  # positions that no tap reaches
            S(A((1, 16, 13, 150)), A((16, 1, 7, 7)), A((16,)), padding=3, groups=16),  # bands of parts of rows
            S(A((3, 16, 4, 5)), A((16, 1, 5, 5)), None, padding=(4, 2), groups=16),
            S(A((2, 3, 17, 25)), A((9, 3, 8, 8)), A((9,)), stride=8),  # patches
            S(A((2, 16, 8, 8)), A((16, 1, 3, 3)), A((16,)), stride=3, groups=16),  # columns that no window sees
            S(A((1, 1, 5, 10)), A((8, 1, 1, 7)), None, stride=(2, 4)),  # rows that no tap reaches, under phases alike
            S(A((2, 16, 9, 40)), A((16, 4, 2, 2)), None, stride=3, padding=1, groups=4),
            S(A((2, 24, 9, 13)), A((24, 4, 3, 3)), A((24,)), padding=1, groups=6),  # groups of few, a member at a time
            S(A((1, 16, 8, 9)), A((16, 2, 2, 5)), None, stride=(3, 1), padding=(1, 2), groups=8),
            S(A((2, 32, 7, 6)), A((32, 16, 3, 3)), A((32,)), stride=2, padding=1, groups=2),
            S(A((1, 40, 5, 5)), A((40, 8, 3, 3)), A((40,)), padding=2, dilation=2, groups=5),
            S(A((2, 3, 40, 37)), A((6, 1, 3, 5)), None, stride=2, padding=(1, 2), groups=3),  # with multiplier 2
            S(A((1, 2, 13, 14)), A((3, 2, 3, 2)), A((3,)), stride=(3, 2), padding=(2, 1), dilation=(2, 3)),
            S(A((1, 3, 23, 23)), A((8, 3, 7, 7)), None, stride=2, padding=3),
            S(A((2, 2, 6, 6)), A((3, 2, 2, 3)), A((3,)), padding="same"),
            S(A((3, 7, 7)), A((2, 3, 3, 3)), A((2,)), padding="valid"),
            S(A((2, 2, 3, 3)), A((2, 2, 1, 1)), None, stride=2),  # positions that no tap reaches
            S(A((0, 3, 5, 5)), A((2, 3, 3, 3)), A((2,))),
            S(A((2, 4, 5, 5)), A((0, 4, 3, 3)), None, padding=1),  # no filters
            S(A((2, 256, 5, 5)), A((256, 32, 3, 3)), None, padding=1, groups=8),  # tasks enough by groups
            S(A((3, 6, 9, 9)), A((16, 6, 5, 5)), A((16,))),
            S(A((2, 4, 33, 61)), A((40, 4, 3, 3)), None, padding=1),  # weight gradients by overlapping rows
            S(A((3, 6, 9, 14)), A((16, 6, 5, 5)), A((16,))),  # rows too short for vectors: these across filters, an odd number of rows
            S(A((3, 4, 5, 10)), A((30, 4, 3, 3)), A((30,)), padding=1),  # two vectors of them
            S(A((2, 14, 6, 9)), A((30, 7, 3, 3)), None, padding=1, groups=2),  # pieces of a row that overlap
            S(A((2, 3, 7, 70)), A((10, 3, 3, 3)), A((10,)), stride=2, padding=1),  # sources 2, 3 and 4 apart
            S(A((2, 2, 5, 91)), A((7, 2, 3, 4)), None, stride=(2, 3), padding=(1, 3)),
            S(A((2, 3, 9, 130)), A((9, 3, 5, 6)), A((9,)), stride=4, padding=2),
            S(A((2, 4, 9, 70)), A((14, 4, 3, 5)), A((14,)), stride=(2, 4), padding=(1, 2)),  # the taps of a row as one: 4 channels
            S(A((2, 2, 9, 71)), A((14, 2, 3, 5)), None, stride=(2, 5), padding=1),  # and 2
            S(A((20, 26, 9, 8)), A((50, 26, 3, 3)), A((50,)), padding=1),  # the weight gradient over several chunks of images
            S(A((2, 130, 4, 5)), A((230, 130, 3, 3)), None, padding=1),  # by tasks with tiles of their own
            S(A((2, 32, 17, 19)), A((32, 32, 16, 16)), None, padding=2),  # or with taps
            S(A((3, 5, 17, 16)), A((70, 5, 4, 4)), A((70,)), stride=4, padding=1, dilation=(2, 1)),
            S(A((1, 3, 40, 7)), A((30, 3, 3, 7)), None, stride=(2, 1), padding=(1, 3), dilation=(2, 1)),
            S(A((2, 3, 4, 50)), A((12, 3, 1, 20)), None, stride=(1, 9), padding=(0, 7)),  # the taps of a row as one
            S(A((2, 6, 7, 40)), A((26, 3, 3, 5)), A((26,)), stride=(2, 8), padding=(1, 3), groups=2),
        ],
        kernels=KERNELS,
        dtypes=ALL_FLOATS,
        tol=TOL_ALL,
        bad=[
            Bad(lambda: F.conv2d(lamella.zeros(1, 3, 5, 5), w4), ValueError, "[conv] input must have 4 channels"),
            Bad(lambda: F.conv2d(x4, w4, lamella.zeros(5)), ValueError, "[conv] bias must be float32 (6,), got float32 (5,)"),
            Bad(lambda: F.conv2d(lamella.zeros(5, 5), w4), ValueError, "[conv2d] input must have 3 or 4 dimensions, got (5, 5)"),
            Bad(lambda: F.conv2d(lamella.zeros(1, 4, 2, 2), w4), ValueError, "[conv] kernel must fit into the padded input"),
            Bad(lambda: F.conv2d(lamella.zeros(1, 0, 5, 5), lamella.zeros(6, 0, 3, 3)), ValueError, "must have at least one channel and tap"),
            Bad(lambda: F.conv2d(x4, w4, stride=0), ValueError, "[conv] stride must be at least 1, got (0, 0)"),
            Bad(lambda: F.conv2d(x4, w4, padding="full"), ValueError, "[conv2d] padding must be a number"),
            Bad(lambda: F.conv2d(x4, w4.double()), TypeError, "must have one floating dtype, got float32 and float64"),
            Bad(lambda: F.conv2d(x4, w4, stride=2, padding="same"), ValueError, "[conv2d] stride must be 1 for padding='same'"),
        ],
    ),
    Case(
        "conv3d",
        F.conv3d,
        reference,
        [
            S(A((2, 2, 4, 5, 6)), A((3, 2, 2, 3, 3)), A((3,)), padding=1),
            S(A((2, 3, 2, 4, 6)), A((4, 3, 2, 2, 3)), A((4,)), stride=(2, 2, 3)),  # windows side by side
            S(A((1, 4, 5, 5, 5)), A((4, 1, 3, 3, 3)), None, stride=2, padding=1, groups=4),
            S(A((1, 18, 4, 5, 6)), A((18, 1, 3, 3, 3)), A((18,)), stride=(1, 2, 1), padding=1, groups=18),
            S(A((2, 16, 5, 3, 4)), A((16, 1, 2, 1, 2)), None, stride=(3, 1, 1), groups=16),
            S(A((1, 26, 3, 4, 3)), A((27, 26, 2, 2, 2)), A((27,)), stride=(2, 1, 1), padding=(1, 0, 1)),
        ],
        kernels=KERNELS,
        tol=TOL,
    ),
    Case(
        "conv_transpose2d-channels-last",
        lambda x, *args, **options: F.conv_transpose2d(x.contiguous(memory_format=lamella.channels_last), *args, **options),
        transposed,
        [
            S(A((3, 12, 6, 5)), A((12, 33, 4, 4)), A((33,)), stride=2, padding=1),
            S(A((2, 20, 7, 6)), A((20, 10, 3, 3)), A((20,)), stride=2, groups=2),
            S(A((2, 6, 4, 5)), A((6, 1, 3, 3)), A((6,)), stride=2, padding=1, groups=6),
            S(A((1, 8, 3, 3)), A((8, 9, 2, 2)), A((9,)), stride=3),  # positions that no tap reaches
            S(A((2, 6, 3, 4)), A((6, 5, 2, 3)), A((5,)), stride=(2, 3)),  # windows side by side
        ],
        kernels=KERNELS,
        dtypes=ALL_FLOATS,
        tol=TOL_ALL,
        layouts=False,
    ),
    Case(
        "conv_transpose1d",
        F.conv_transpose1d,
        transposed,
        [
            S(A((2, 4, 7)), A((4, 3, 3)), A((3,)), stride=2, padding=1, output_padding=1),
            S(A((2, 9, 11)), A((9, 1, 8)), A((1,)), stride=4, padding=2),  # phases alike of one channel
            S(A((1, 9, 5)), A((9, 3, 2)), A((3,)), stride=4),  # positions that no tap reaches
        ],
        kernels=KERNELS,
        dtypes=ALL_FLOATS,
        tol=TOL_ALL,
    ),
    Case(
        "conv_transpose2d",
        F.conv_transpose2d,
        transposed,
        [
            S(A((2, 4, 5, 6)), A((4, 3, 3, 3)), A((3,))),
            S(A((1, 4, 4, 3)), A((4, 2, 4, 3)), A((4,)), stride=2, padding=1, groups=2),
            S(A((1, 2, 3, 3)), A((2, 3, 2, 2)), None, stride=3, output_padding=(2, 1), dilation=2),
            S(A((2, 2, 3, 4)), A((2, 3, 3, 2)), A((3,)), stride=(1, 2), padding=(2, 0), output_padding=(1, 2), dilation=(2, 3)),
            S(A((3, 12, 6, 5)), A((12, 33, 4, 4)), A((33,)), stride=2, padding=1),  # phases together
            S(A((2, 6, 3, 4)), A((6, 5, 2, 3)), A((5,)), stride=(2, 3)),  # windows side by side
            S(A((3, 6, 1, 1)), A((6, 5, 4, 4)), A((5,))),
            S(A((2, 9, 4, 5)), A((9, 26, 3, 3)), A((26,)), stride=2, padding=1),  # of unequal size
            S(A((1, 8, 3, 3)), A((8, 26, 6, 6)), A((26,)), stride=5, padding=1),  # more than are taken at once
            S(A((2, 16, 10, 9)), A((16, 20, 6, 6)), A((20,)), stride=2, padding=2),  # four, of 3x3 taps each
            S(A((2, 16, 4, 4)), A((16, 13, 3, 2)), A((26,)), stride=(2, 3), groups=2, dilation=(2, 1)),
        ],
        kernels=KERNELS,
        dtypes=ALL_FLOATS,
        tol=TOL_ALL,
        bad=[
            Bad(
                lambda: F.conv_transpose2d(lamella.zeros(1, 6, 5, 5), w4, lamella.zeros(6)),
                ValueError,
                "[conv_transpose2d] bias must have shape (4,)",
            ),
            Bad(
                lambda: F.conv_transpose2d(x4, lamella.zeros(4, 2, 3, 3), output_padding=1),
                ValueError,
                "[conv_transpose2d] output_padding must lie below stride or dilation",
            ),
            Bad(lambda: F.conv_transpose2d(x4, w4), ValueError, "[conv_transpose2d] input must have 6 channels"),
        ],
    ),
]
