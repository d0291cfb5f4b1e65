# SPDX-License-Identifier: MIT
"""Windows of images as columns and back, and the rearrangements between channels and pixels."""

from __future__ import annotations

from .. import _core
from ..autograd import record

__all__ = ["channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "unfold"]


def _pair(op, name, value):
    value = (value, value) if isinstance(value, int) else tuple(value)
    if len(value) == 1:
        value *= 2
    if len(value) != 2:
        raise ValueError(f"[{op}] {name} must be a number or 2 numbers, got {value}")
    return value


def _window(op, kernel_size, dilation, padding, stride):
    given = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}
    return tuple(_pair(op, name, value) for name, value in given.items())


def _unfold(x, window):
    return record(_core.unfold(x, *window), unfold_vjp, (x,), (x.shape[2:], window))


def unfold_vjp(node, dy):
    return (_fold(dy, *node.ctx),)


def _fold(columns, size, window):
    return record(_core.fold(columns, size, *window), fold_vjp, (columns,), (window,))


def fold_vjp(node, dx):
    return (_unfold(dx, *node.ctx),)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of (N, C, H, W), zero outside, as columns (N, C kernel_h kernel_w, positions); (C, H, W) likewise.

    Channels are the slowest of a column's elements, positions go row by row. ValueError where no window fits.
    """
    if input.ndim not in (3, 4):
        raise ValueError(f"[unfold] input must have 3 or 4 dimensions, got {tuple(input.shape)}")
    window = _window("unfold", kernel_size, dilation, padding, stride)
    return _unfold(input, window) if input.ndim == 4 else _unfold(input.unsqueeze(0), window).squeeze(0)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The adjoint of `unfold`: an image (N, C, *output_size) whose elements are the sums of what lies on them.

    >>> F.fold(F.unfold(lamella.ones(1, 1, 3, 3), 2), (3, 3), 2)[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    if input.ndim not in (2, 3):
        raise ValueError(f"[fold] input must have 2 or 3 dimensions, got {tuple(input.shape)}")
    window, size = _window("fold", kernel_size, dilation, padding, stride), _pair("fold", "output_size", output_size)
    return _fold(input, size, window) if input.ndim == 3 else _fold(input.unsqueeze(0), size, window).squeeze(0)


def pixel_shuffle(input, upscale_factor):
    """(..., C r^2, H, W) -> (..., C, H r, W r): channel (c, i, j) is what lies at (i, j) of each r x r square (Shi et al.
    2016). ValueError unless r^2 divides the channels."""
    return _shuffled(input, upscale_factor, False)


def pixel_unshuffle(input, downscale_factor):
    """(..., C, H r, W r) -> (..., C r^2, H, W): undoes `pixel_shuffle`. ValueError unless r divides both sizes."""
    return _shuffled(input, downscale_factor, True)


def _shuffled(x, r, inverse):
    return record(_core.pixel_shuffle(x, r, inverse), shuffled_vjp, (x,), (r, not inverse))


def shuffled_vjp(node, dy):
    return (_shuffled(dy, *node.ctx),)


def channel_shuffle(input, groups):
    """Channels (g, c) of (N, C, ...) in the order (c, g) (Zhang et al. 2018). ValueError unless groups divides C."""
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ValueError(f"[channel_shuffle] input must have channels that groups divides, got {tuple(input.shape)} and {groups}")
    n, c, *size = input.shape
    if input._is_channels_last():
        pixels = input.movedim(1, -1).reshape(n, *size, groups, c // groups)
        return pixels.transpose(-1, -2).reshape(n, *size, c).movedim(-1, 1)
    return input.reshape(n, groups, c // groups, *size).transpose(1, 2).reshape(input.shape)
