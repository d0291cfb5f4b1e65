# SPDX-License-Identifier: MIT
"""Convolutions of random geometry, and their gradients, against loops over the taps: which way a convolution goes depends on
channels, groups, sizes, strides and layouts, and every way has edges of its own."""

import itertools
import random

import numpy as np
import pytest

import lamella
from cases.conv import reference, transposed
from harness import ISAS, running
from lamella.nn import functional as F

SHAPES = 100  # of a seed
TOL = {"float32": 3e-5, "float64": 1e-11}


def geometry(rnd):
    """(x's shape, w's shape, options): odd sizes, strides, dilations and paddings, groups, one to three dimensions."""
    dims = rnd.choice([1, 2, 2, 2, 3])
    groups = rnd.choice([1, 1, 1, 2, 3, 8, 17])
    channels = rnd.choice([1, 1, 2, 3, 4, 8, 16, 20] if groups == 1 else [1, 1, 2, 3, 4, 8])
    filters = channels if groups > 1 and rnd.random() < 0.8 else rnd.choice([1, 2, 5, 8, 16, 33])
    each = lambda *of: tuple(rnd.choice(of) for _ in range(dims))  # noqa: E731
    kernel, dilation = each(1, 2, 3, 3, 3, 5, 7) if dims < 3 else each(1, 2, 3), each(1, 1, 1, 2, 3)
    stride = each(1, 1, 2, 3, 4, 8) if rnd.random() < 0.6 else (rnd.choice([1, 1, 2]),) * dims
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(rnd.randrange(r // 2 + 2) for r in reach)
    most = {1: 90, 2: 22, 3: 7}[dims]
    size = [max(rnd.randrange(1, most), r - 2 * p) for r, p in zip(reach, padding, strict=True)]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (rnd.choice([1, 2, 9]), channels * groups, *size), (filters * groups, channels, *kernel), options


def input_gradient(dy, w, shape, stride, padding, dilation, groups):
    spread = zip(shape[2:], dy.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    extra = tuple(n - ((o - 1) * s + d * (k - 1) + 1 - 2 * p) for n, o, k, s, p, d in spread)
    return transposed(dy, w, None, stride, padding, extra, groups, dilation)


def weight_gradient(dy, x, shape, stride, padding, dilation, groups):
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    dw = np.zeros(shape)
    rows, over = shape[0] // groups, [0, *range(2, x.ndim)]
    for tap in itertools.product(*(range(k) for k in shape[2:])):
        at = [slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilation, dy.shape[2:], stride, strict=True)]
        for g in range(groups):
            seen = x[(slice(None), slice(g * shape[1], (g + 1) * shape[1]), *at)]
            part = np.tensordot(dy[:, g * rows : (g + 1) * rows], seen, (over, over))
            dw[(slice(g * rows, (g + 1) * rows), slice(None), *tap)] = part
    return dw


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("seed", range(6))
def test_random_geometry(seed, isa):
    rnd, rng = random.Random(seed), np.random.default_rng(seed)
    for _ in range(SHAPES):
        shape, w_shape, options = geometry(rnd)
        dtype = rnd.choice(["float32", "float32", "float64"])
        x, w = rng.standard_normal(shape), rng.standard_normal(w_shape)
        y = reference(x, w, **options)
        dy = rng.standard_normal(y.shape)
        want = y, input_gradient(dy, w, shape, **options), weight_gradient(dy, x, w_shape, **options)
        a, b = (lamella.tensor(v.astype(dtype)) for v in (x, w))
        if len(shape) == 4 and rnd.random() < 0.4:
            a = a.contiguous(memory_format=lamella.channels_last)
        a.requires_grad_(), b.requires_grad_()
        with running(isa):
            got = getattr(F, f"conv{len(shape) - 2}d")(a, b, **options)
            got.backward(lamella.tensor(dy.astype(dtype)))
        for name, found, expected in zip(("y", "dx", "dw"), (got.detach(), a.grad, b.grad), want, strict=True):
            error = np.abs(found.numpy() - expected).max() / (np.abs(expected).max() + 1e-3)
            assert error < TOL[dtype], f"{name} of {shape}, {w_shape}, {options}, {dtype}: off by {error:.1e} of the greatest"
