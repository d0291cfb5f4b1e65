# SPDX-License-Identifier: MIT
"""Windows as columns and back, against loops over the taps; pixels and channels rearranged."""

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, S
from lamella.nn import functional as F


def _two(v):
    return (v, v) if isinstance(v, int) else tuple(v)


def _slices(size, kernel, dilation, padding, stride):
    """For each tap the rows and columns of the padded image it reads, and how many positions there are."""
    kernel, dilation, padding, stride = map(_two, (kernel, dilation, padding, stride))
    out = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)]
    taps = [(i * dilation[0], j * dilation[1]) for i in range(kernel[0]) for j in range(kernel[1])]
    at = [tuple(slice(t, t + (o - 1) * s + 1, s) for t, o, s in zip(tap, out, stride, strict=True)) for tap in taps]
    return at, out, padding


def unfold(x, kernel, dilation=1, padding=0, stride=1):
    lead = x.shape[:-3]
    at, out, pad = _slices(x.shape[-2:], kernel, dilation, padding, stride)
    x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(p, p) for p in pad])
    return np.stack([x[(..., *s)] for s in at], -3).reshape(*lead, -1, out[0] * out[1])


def fold(y, size, kernel, dilation=1, padding=0, stride=1):
    at, out, pad = _slices(size, kernel, dilation, padding, stride)
    lead, c = y.shape[:-2], y.shape[-2] // len(at)
    y = y.reshape(*lead, c, len(at), *out)
    x = np.zeros((*lead, c, size[0] + 2 * pad[0], size[1] + 2 * pad[1]))
    for t, s in enumerate(at):
        x[(..., *s)] += y[..., t, :, :]
    return x[..., pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]]


def pixel_shuffle(x, r):
    *lead, c, h, w = x.shape
    y = np.zeros((*lead, c // r**2, h * r, w * r))
    for i in range(r):
        for j in range(r):
            y[..., i::r, j::r] = x[..., i * r + j :: r**2, :, :]
    return y


x = lamella.zeros(1, 2, 4, 4)

CASES = [
    Case(
        "unfold",
        F.unfold,
        unfold,
        [
            S(A((2, 3, 8, 10)), 3),
            S(A((2, 2, 7, 37)), (2, 3), (2, 1), (1, 2), (1, 2)),
            S(A((3, 5, 5)), 5, 1, 2, 3),
            S(A((1, 1, 3, 2)), (1, 3), 2, 2),  # taps that lie outside of every window
            S(A((1, 2, 40, 40)), 2, stride=2),
        ],
        kernels=("unfold", "fold"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.unfold(x, 5), ValueError, "[unfold] kernel_size must fit into the padded image, got (5, 5)"),
            Bad(lambda: F.unfold(x, 0), ValueError, "[unfold] kernel_size must be positive, got (0, 0)"),
            Bad(lambda: F.unfold(x, (1, 2, 3)), ValueError, "[unfold] kernel_size must be a number or 2 numbers, got (1, 2, 3)"),
            Bad(lambda: F.unfold(x[0, 0], 2), ValueError, "[unfold] input must have 3 or 4 dimensions, got (4, 4)"),
        ],
    ),
    Case(
        "fold",
        F.fold,
        fold,
        [
            S(A((2, 12, 20)), (5, 6), 2),
            S(A((1, 18, 12)), (7, 9), 3, 1, 1, (2, 3)),
            S(A((8, 132)), (12, 13), 2),
            S(A((1, 4, 400)), (40, 40), 2, 1, 0, 2),
        ],
        kernels=("unfold", "fold"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.fold(lamella.zeros(1, 5, 9), (4, 4), 2), ValueError, "multiple of kernel_size's product 4 in dimension 1"),
            Bad(lambda: F.fold(lamella.zeros(1, 4, 8), (4, 4), 2), ValueError, "[fold] input must have 9 positions for output_size (4, 4)"),
            Bad(lambda: F.fold(x, (4, 4), 2), ValueError, "[fold] input must have 2 or 3 dimensions, got (1, 2, 4, 4)"),
        ],
    ),
    Case(
        "pixel_shuffle",
        lambda x, r: (F.pixel_shuffle(x, r), F.pixel_unshuffle(F.pixel_shuffle(x, r) * 2, r)),
        lambda x, r: (pixel_shuffle(x, r), 2 * x),
        [S(A((2, 12, 3, 5)), 2), S(A((9, 2, 2)), 3), S(A((1, 16, 2, 19)), 4), S(A((25, 2, 3)), 5), S(A((0, 4, 2, 2)), 2)],
        kernels=("pixel_shuffle",),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.pixel_shuffle(x, 2), ValueError, "[pixel_shuffle] input must have channels that upscale_factor^2 divides"),
            Bad(lambda: F.pixel_unshuffle(x, 3), ValueError, "[pixel_unshuffle] input must have sizes that downscale_factor divides"),
        ],
    ),
    Case(
        "channel_shuffle",
        F.channel_shuffle,
        lambda x, g: np.concatenate([x[:, i :: x.shape[1] // g] for i in range(x.shape[1] // g)], 1),
        [S(A((2, 6, 3)), 3), S(A((1, 6, 2, 2)), 2)],
        bad=[Bad(lambda: F.channel_shuffle(x, 3), ValueError, "[channel_shuffle] input must have channels that groups divides")],
    ),
]
