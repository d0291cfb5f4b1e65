# SPDX-License-Identifier: MIT
"""Convolution in 1, 2 and 3 dimensions, and its transpose.

Three functions are each other's gradients, so any order works: y = conv(x, w), dx = _input_grad(dy, w) and
dw = _weight_grad(dy, x); each is bilinear in its two arguments, but for a bias.
"""

from __future__ import annotations

import math

from .. import _core
from ..autograd import record
from ..precision import lower, regions
from .gemm import linear
from .padding import pad

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def _conv(x, w, bias, options):
    y = _core.conv(x, w, bias, *options)
    return record(y, conv_vjp, (x, w, bias), (x, w, options))


def conv_vjp(node, dy):
    x, w, options = node.ctx
    need_x, need_w, need_b = node.needs
    dx = _input_grad(dy, w, x.shape, options) if need_x else None
    dw, db = _weight_grad(dy, x, w.shape, options, need_b) if need_w else (None, None)
    if need_b and db is None:
        db = dy.sum((0, *range(2, dy.ndim)))
    return dx, dw, db


def _input_grad(dy, w, shape, options, bias=None):
    if _are_apart(dy, w, bias, shape, options):
        dx = _windows_laid_out(dy.detach(), w.detach(), shape, None if bias is None else bias.detach())
    else:
        dx = _core.conv_input_grad(dy, w, shape, *options, bias)
    return record(dx, input_grad_vjp, (dy, w, bias), (dy, w, options))


def _is_one_window(x, w, bias, options):
    """Whether each filter is as large as what it is for: the convolution is a matrix product. False of what is in error."""
    stride, padding, dilation, groups = options
    fits = x.shape[1:] == w.shape[1:] and groups == 1 and not any(padding) and min(stride) > 0 and set(dilation) == {1}
    return fits and 0 not in w.shape and _on_cpu_alike(x, w, bias, w.shape[0])


def _are_apart(dy, w, bias, shape, options):
    """Whether windows lie side by side and fill the input, so that each of its elements has its gradient from one."""
    stride, padding, dilation, groups = options
    kernel = w.shape[2:]
    if groups != 1 or any(padding) or set(dilation) != {1} or max(kernel) == 1 or dy.shape[1] != w.shape[0] or 0 in w.shape:
        return False
    sizes = zip(shape[2:], dy.shape[2:], kernel, stride, strict=True)
    return all(n == o * k and (s == k or o == 1) for n, o, k, s in sizes) and _on_cpu_alike(dy, w, bias, w.shape[1])


def _on_cpu_alike(x, w, bias, filters):
    alike = x.dtype == w.dtype and x.dtype.is_floating_point and x.device.type == "cpu" and w.device.type == "cpu"
    return alike and (bias is None or (bias.shape == (filters,) and bias.dtype == w.dtype))


def _windows_laid_out(dy, w, shape, bias):
    """The gradient of windows that are apart: one product makes them all, and a copy brings them to their places."""
    filters, channels, *kernel = w.shape
    if bias is not None:
        bias = bias.reshape((-1, 1)).expand((channels, w[0, 0].numel())).reshape(-1)
    if len(kernel) == 2 and kernel[0] == kernel[1] and dy.shape[2] * dy.shape[3] > 1 and dy.dtype.itemsize > 2:
        weight = w.reshape((filters, -1)).t().reshape((-1, filters, 1, 1))  # a window is a pixel of so many channels more
        return _core.pixel_shuffle(_core.conv(dy, weight, bias, (1, 1), (0, 0), (1, 1), 1), kernel[0], False)
    rows = dy.movedim(1, -1).reshape((dy.numel() // filters, filters))
    windows = linear(rows, w.reshape((filters, -1)).t(), bias).reshape((dy.shape[0], *dy.shape[2:], channels, *kernel))
    dims = len(kernel)
    spatial = [d for i in range(1, dims + 1) for d in (i, dims + 1 + i)]
    if dy.stride(1) == 1 and filters > 1:  # channels last, and so they stay
        return windows.permute((0, *spatial, dims + 1)).reshape((shape[0], *shape[2:], channels)).movedim(-1, 1)
    return windows.permute((0, dims + 1, *spatial)).reshape(shape)


def input_grad_vjp(node, ddx):
    dy, w, options = node.ctx
    need_y, need_w, need_b = node.needs
    ddy = _conv(ddx, w, None, options) if need_y else None
    dw = _weight_grad(dy, ddx, w.shape, options, False)[0] if need_w else None
    return ddy, dw, ddx.sum((0, *range(2, ddx.ndim))) if need_b else None


def _weight_grad(dy, x, shape, options, with_bias):
    dw, db = _core.conv_weight_grad(dy, x, shape, *options, with_bias)
    outputs = (dw, db) if with_bias else (dw,)
    record(outputs, weight_grad_vjp, (dy, x), (dy, x, options))
    return dw, db


def weight_grad_vjp(node, ddw, ddb=None):
    dy, x, options = node.ctx
    ddy = dx = None
    if ddw is not None:
        ddy = _conv(x, ddw, None, options) if node.needs[0] else None
        dx = _input_grad(dy, ddw, x.shape, options) if node.needs[1] else None
    if ddb is not None and node.needs[0]:
        spread = ddb.reshape((1, -1) + (1,) * (dy.ndim - 2)).expand(dy.shape)
        ddy = spread if ddy is None else ddy + spread
    return ddy, dx


# ---- the public functions ----------------------------------------------------------------------------------------------
def _each(op, name, value, dims):
    if isinstance(value, int):
        return (value,) * dims
    value = tuple(value)
    if len(value) == 1:
        return value * dims
    if len(value) != dims:
        raise ValueError(f"[{op}] {name} must be a number or {dims} numbers, got {value}")
    return value


def _check(op, input, weight, dims):
    if weight.ndim != dims + 2:
        raise ValueError(f"[{op}] weight must have {dims + 2} dimensions, got {weight.shape}")
    if input.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"[{op}] input must have {dims + 1} or {dims + 2} dimensions, got {input.shape}")


def _convolve(op, dims, input, weight, bias, stride, padding, dilation, groups):
    _check(op, input, weight, dims)
    if regions:
        input, weight, bias = lower(input, weight, bias)
    stride = _each(op, "stride", stride, dims)
    dilation = _each(op, "dilation", dilation, dims)
    if padding == "valid":
        padding = (0,) * dims
    elif padding == "same":
        input, padding = _same(op, dims, input, weight, stride, dilation)
    elif isinstance(padding, str):
        raise ValueError(f"[{op}] padding must be a number, {dims} numbers, 'same' or 'valid', got {padding!r}")
    else:
        padding = _each(op, "padding", padding, dims)
    options = (stride, padding, dilation, groups)
    if _is_one_window(input, weight, bias, options):
        size = math.prod(weight.shape[1:])
        y = linear(input.reshape((input.shape[0], size)), weight.reshape((weight.shape[0], size)), bias)
        return y.reshape((*y.shape, *(1,) * dims))
    if input.ndim == dims + 1:
        return _conv(input.unsqueeze(0), weight, bias, options).squeeze(0)
    return _conv(input, weight, bias, options)


def _same(op, dims, input, weight, stride, dilation):
    """Padding that keeps the size; where it is odd, the extra zero comes behind."""
    if any(s != 1 for s in stride):
        raise ValueError(f"[{op}] stride must be 1 for padding='same', got {stride}")
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(t % 2 for t in total):
        from .padding import pad

        input = pad(input, [v for t in reversed(total) for v in (0, t % 2)])
    return input, tuple(t // 2 for t in total)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of input (N, C, L) or (C, L) with weight (K, C / groups, R): see `conv2d`."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation (what deep learning calls convolution; LeCun et al. 1989):

    y[n, k, p, q] = bias[k] + sum over c, r, s of w[k, c, r, s] x[n, c, p stride + r dilation - padding, ...]

    input (N, C, H, W) or (C, H, W), weight (K, C / groups, R, S), bias (K); output size
    floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1. `padding` may be 'same' (stride 1) or 'valid'. With groups,
    channels are split into that many independent convolutions. ValueError where shapes disagree.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of input (N, C, D, H, W) or (C, D, H, W) with weight (K, C / groups, T, R, S): see `conv2d`."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _transposed(op, dims, input, weight, bias, stride, padding, output_padding, groups, dilation):
    _check(op, input, weight, dims)
    if regions:
        input, weight, bias = lower(input, weight, bias)
    stride, padding = _each(op, "stride", stride, dims), _each(op, "padding", padding, dims)
    extra, dilation = _each(op, "output_padding", output_padding, dims), _each(op, "dilation", dilation, dims)
    batched = input.ndim == dims + 2
    x = input if batched else input.unsqueeze(0)
    if x.shape[1] != weight.shape[0]:
        raise ValueError(f"[{op}] input must have {weight.shape[0]} channels (weight {weight.shape}), got {x.shape[1]}")
    size = []
    for i in range(dims):
        if not 0 <= extra[i] < max(stride[i], dilation[i]):
            raise ValueError(f"[{op}] output_padding must lie below stride or dilation, got {extra} with {stride}")
        reach = dilation[i] * (weight.shape[2 + i] - 1) + extra[i] + 1
        size.append((x.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + reach)
    if any(s < 1 for s in size):
        raise ValueError(f"[{op}] output must have positive sizes, got {tuple(size)}")
    shape = (x.shape[0], weight.shape[1] * groups, *size)
    if bias is not None and (bias.ndim != 1 or bias.shape[0] != shape[1]):
        raise ValueError(f"[{op}] bias must have shape ({shape[1]},), got {tuple(bias.shape)}")
    more = [e // s for e, s in zip(extra, stride, strict=True)]  # output beyond a stride, as dilation allows: that of zeros past the input
    if any(more):
        x = pad(x, [n for m in reversed(more) for n in (0, m)])
    y = _input_grad(x, weight, shape, (stride, padding, dilation, groups), bias)
    return y if batched else y.squeeze(0)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of `conv1d` as a linear map: see `conv_transpose2d`."""
    return _transposed("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of `conv2d` as a linear map, i.e. its gradient with respect to the input (Zeiler et al. 2010).

    input (N, K, P, Q), weight (K, C / groups, R, S); output (N, C, H, W) with
    H = (P - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1.
    """
    return _transposed("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of `conv3d` as a linear map: see `conv_transpose2d`."""
    return _transposed("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)
