# SPDX-License-Identifier: MIT
"""Losses of images and of masks: (N, C, H, W)."""

from __future__ import annotations

import math

from ... import _core
from ..conv import conv2d
from ..creation import tensor
from ..elementwise import abs, square
from ..gemm import matmul
from ..join import cat
from ._common import check_reduction, reduce, same_shape

__all__ = [
    "dice_loss",
    "gram_matrix",
    "perceptual_loss",
    "ssim",
    "ssim_loss",
    "style_loss",
    "total_variation_loss",
]


def _check_image(op, input, least=4):
    if input.ndim < least:
        raise ValueError(f"[{op}] input must have at least {least} dimensions, (N, C, ...), got {tuple(input.shape)}")


def dice_loss(input, target, smooth=1.0, reduction="mean"):
    """1 - (2 sum(input target) + smooth) / (sum(input) + sum(target) + smooth), of each example and class (Milletari,
    Navab and Ahmadi 2016).

    input: probabilities (N, C, ...), as sigmoid or softmax gives them; target: its shape, 0 and 1. Sums are over all
    but the first two dimensions; 'none' gives (N, C).
    """
    op = "dice_loss"
    same_shape(op, input, target)
    check_reduction(op, reduction)
    _check_image(op, input, 2)
    x, t = input.flatten(2) if input.ndim > 2 else input.unsqueeze(2), target.reshape((*target.shape[:2], -1))
    overlap = (x * t).sum(2)
    return reduce(op, 1 - (2 * overlap + smooth) / (x.sum(2) + t.sum(2) + smooth), reduction)


def total_variation_loss(input, reduction="mean"):
    """The sum of |differences| between neighbours in height and width (Rudin, Osher and Fatemi 1992, anisotropic).

    input: (N, C, H, W). 'none' gives (N,), 'mean' averages over the examples.
    """
    op = "total_variation_loss"
    check_reduction(op, reduction)
    _check_image(op, input)
    h, w = input.shape[-2:]
    down = abs(input.narrow(-2, 1, h - 1) - input.narrow(-2, 0, h - 1)) if h > 1 else input * 0
    across = abs(input.narrow(-1, 1, w - 1) - input.narrow(-1, 0, w - 1)) if w > 1 else input * 0
    each = tuple(range(1, input.ndim))
    return reduce(op, down.sum(each) + across.sum(each), reduction)


# ---- structural similarity ------------------------------------------------------------------------------------------
def _window(size, sigma, like):
    x = [math.exp(-0.5 * ((i - (size - 1) / 2) / sigma) ** 2) for i in range(size)]
    return tensor([v / sum(x) for v in x], dtype=like.dtype, device=like)


def ssim(input, target, data_range=1.0, kernel_size=11, sigma=1.5, k1=0.01, k2=0.03, reduction="mean"):
    """Structural similarity, 1 for equal images (Wang, Bovik, Sheikh and Simoncelli 2004):
    (2 mx my + c1)(2 cxy + c2) / ((mx^2 + my^2 + c1)(vx + vy + c2)), with means m, variances v and covariance c under a
    Gaussian window that stays inside the image, c1 = (k1 data_range)^2, c2 = (k2 data_range)^2.

    input, target: (N, C, H, W) with values that span data_range. 'none' gives (N,), each the mean over its windows.
    ValueError for shapes, and for images smaller than the window (kernel_size square).
    """
    op = "ssim"
    check_reduction(op, reduction)
    if input.ndim != 4:
        raise ValueError(f"[{op}] input must have shape (N, C, H, W), got {tuple(input.shape)}")
    same_shape(op, input, target)
    n, c, h, w = input.shape
    if kernel_size > min(h, w):
        raise ValueError(f"[{op}] kernel_size must not exceed the image's {h} x {w}, got {kernel_size}")
    window = _window(kernel_size, sigma, input)
    maps = cat([input, target, square(input), square(target), input * target]).reshape(5 * n * c, 1, h, w)
    maps = conv2d(conv2d(maps, window.reshape(1, 1, -1, 1)), window.reshape(1, 1, 1, -1))
    mx, my, xx, yy, xy = maps.reshape((5, n, c, *maps.shape[-2:])).unbind(0)
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    mxy, mxx, myy = mx * my, square(mx), square(my)
    shared = mxx + myy
    value = (2 * mxy + c1) * (2 * (xy - mxy) + c2) / ((shared + c1) * (xx + yy - shared + c2))
    return reduce(op, value.mean((1, 2, 3)), reduction)


def ssim_loss(input, target, data_range=1.0, kernel_size=11, sigma=1.5, k1=0.01, k2=0.03, reduction="mean"):
    """1 - ssim(input, target)."""
    return 1 - ssim(input, target, data_range, kernel_size, sigma, k1, k2, reduction) if reduction != "sum" else (
        1 - ssim(input, target, data_range, kernel_size, sigma, k1, k2, "none")
    ).sum()


# ---- distances in a network's features ------------------------------------------------------------------------------
def gram_matrix(input):
    """Inner products of channels, over C H W: (N, C, H, W) gives (N, C, C) (Gatys, Ecker and Bethge 2016)."""
    _check_image("gram_matrix", input, 3)
    x = input.flatten(2)
    return matmul(x, x.transpose(1, 2)) * (1 / (x.shape[1] * x.shape[2]))


def _features(op, features, image, count=None):
    found = features(image)
    found = list(found.values()) if isinstance(found, dict) else [found] if isinstance(found, _core.TensorBase) else list(found)
    if not found or not all(isinstance(f, _core.TensorBase) and f.ndim >= 2 for f in found):
        raise TypeError(f"[{op}] features must give a Tensor, or a list or dict of Tensors, of (N, ...), got {type(found)}")
    return found


def _feature_distance(op, input, target, features, weights, reduction, view):
    check_reduction(op, reduction)
    same_shape(op, input, target)
    ours, theirs = _features(op, features, input), _features(op, features, target.detach())
    weights = [1.0] * len(ours) if weights is None else list(weights)
    if len(weights) != len(ours):
        raise ValueError(f"[{op}] weights must be one per feature ({len(ours)}), got {len(weights)}")
    total = None
    for a, b, weight in zip(ours, theirs, weights, strict=True):
        d = square(view(a) - view(b).detach())
        part = weight * d.mean(tuple(range(1, d.ndim)))
        total = part if total is None else total + part
    return reduce(op, total, reduction)


def perceptual_loss(input, target, features, weights=None, reduction="mean"):
    """The mean squared difference of a network's features of two images (Johnson, Alahi and Fei-Fei 2016).

    features(image) gives one Tensor (N, ...), or a list or dict of them: layers, summed with `weights` (1 each unless
    given). No gradient goes to the target's features. 'none' gives (N,).
    """
    return _feature_distance("perceptual_loss", input, target, features, weights, reduction, lambda x: x)


def style_loss(input, target, features, weights=None, reduction="mean"):
    """perceptual_loss of the features' Gram matrices: which channels go together, not where (Gatys et al. 2016)."""
    return _feature_distance("style_loss", input, target, features, weights, reduction, gram_matrix)
