# SPDX-License-Identifier: MIT
"""Losses of images and of masks."""

import numpy as np

import lamella
import lamella.ops as ops
from case import A, Bad, Case, S

from .loss import each_reduction, reduced, shape_and_reduction

image = lamella.ones(2, 3, 8, 9)


def dice(p, t, smooth=1.0):
    axes = tuple(range(2, p.ndim))
    return 1 - (2 * (p * t).sum(axes) + smooth) / (p.sum(axes) + t.sum(axes) + smooth)


def total_variation(x):
    return abs(np.diff(x, axis=2)).sum((1, 2, 3)) + abs(np.diff(x, axis=3)).sum((1, 2, 3))


def ssim(x, y, data_range=1.0, kernel_size=11, sigma=1.5):
    """Window by window, with central moments."""
    w = np.exp(-0.5 * ((np.arange(kernel_size) - (kernel_size - 1) / 2) / sigma) ** 2)
    w = np.outer(w, w) / w.sum() ** 2
    a, b = (np.lib.stride_tricks.sliding_window_view(v, (kernel_size, kernel_size), (2, 3)) for v in (x, y))

    def mean(v):
        return (v * w).sum((-2, -1))

    ma, mb = mean(a), mean(b)
    da, db = a - ma[..., None, None], b - mb[..., None, None]
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    value = (2 * ma * mb + c1) * (2 * mean(da * db) + c2)
    return (value / ((ma**2 + mb**2 + c1) * (mean(da * da) + mean(db * db) + c2))).mean((1, 2, 3))


def network(x):
    """Features of two layers, in words that NumPy and lamella share."""
    return [x * x, x[:, :2] - x[:, 1:] * 2.0]


def gram(x):
    f = x.reshape(*x.shape[:2], -1)
    return f @ f.transpose(0, 2, 1) / (f.shape[1] * f.shape[2])


def feature_distance(view, x, y, weights=(1, 1)):
    def per_example(d):
        return (d * d).reshape(len(x), -1).mean(1)

    return sum(w * per_example(view(a) - view(b)) for w, a, b in zip(weights, network(x), network(y), strict=True))


IMAGES = A((2, 3, 4, 5)), A((2, 3, 4, 5), grad=False)

CASES = [
    Case(
        "dice_loss",
        ops.dice_loss,
        reduced(dice),
        [*each_reduction(A((2, 3, 4, 5), 0, 1), A((2, 3, 4, 5), 0, 1)), S(A((4, 3), 0, 1), A((4, 3), 0, 1), smooth=0.1)],
        bad=[
            *shape_and_reduction("dice_loss"),
            Bad(lambda: ops.dice_loss(image[0, 0, 0], image[0, 0, 0]), ValueError, "input must have at least 2 dimensions, (N, C, ...), got (9,)"),
        ],
    ),
    Case(
        "total_variation_loss",
        ops.total_variation_loss,
        reduced(total_variation),
        [*each_reduction(A((2, 3, 4, 5))), S(A((2, 1, 1, 5)))],
        bad=[Bad(lambda: ops.total_variation_loss(image[0]), ValueError, "[total_variation_loss] input must have at least 4 dimensions")],
    ),
    Case(
        "ssim",
        ops.ssim,
        reduced(ssim),
        [*each_reduction(A((2, 3, 12, 13), 0, 1), A((2, 3, 12, 13), 0, 1)), S(A((1, 1, 6, 7), 0, 9), A((1, 1, 6, 7), 0, 9), 9.0, 5, 1.0)],
        tol={"float32": 2e-5},
        bad=[
            Bad(lambda: ops.ssim(image, image, reduction="avg"), ValueError, "[ssim] reduction must be"),
            Bad(lambda: ops.ssim(image, image), ValueError, "[ssim] kernel_size must not exceed the image's 8 x 9, got 11"),
            Bad(lambda: ops.ssim(image, image[:1]), ValueError, "[ssim] target must have input's shape"),
            Bad(lambda: ops.ssim(image[0], image[0]), ValueError, "[ssim] input must have shape (N, C, H, W), got (3, 8, 9)"),
        ],
    ),
    Case(
        "ssim_loss",
        ops.ssim_loss,
        reduced(lambda *args: 1 - ssim(*args)),
        [S(A((2, 1, 6, 7), 0, 1), A((2, 1, 6, 7), 0, 1), 1.0, 5, reduction=r) for r in ("none", "sum", "mean")],
        tol={"float32": 2e-5},
        grad2=False,
    ),
    Case("gram_matrix", ops.gram_matrix, gram, [S(A((2, 3, 4, 5))), S(A((2, 3, 7)))], bad=[
        Bad(lambda: ops.gram_matrix(image[0, 0]), ValueError, "[gram_matrix] input must have at least 3 dimensions")]),
    Case(
        "perceptual_loss",
        lambda x, y, **k: ops.perceptual_loss(x, y, network, **k),
        reduced(lambda x, y, **k: feature_distance(lambda f: f, x, y, **k)),
        [*each_reduction(*IMAGES), S(*IMAGES, weights=(0.5, 2.0))],
        bad=[
            Bad(lambda: ops.perceptual_loss(image, image, network, weights=[1]), ValueError, "weights must be one per feature (2), got 1"),
            Bad(lambda: ops.perceptual_loss(image, image, lambda x: []), TypeError, "features must give a Tensor, or a list or dict"),
            Bad(lambda: ops.perceptual_loss(image, image[:1], network), ValueError, "[perceptual_loss] target must have input's shape"),
        ],
    ),
    Case(
        "style_loss",
        lambda x, y, **k: ops.style_loss(x, y, lambda v: dict(enumerate(network(v))), **k),
        reduced(lambda x, y, **k: feature_distance(gram, x, y, **k)),
        [*each_reduction(*IMAGES), S(*IMAGES, weights=(0.5, 2.0))],
    ),
]
