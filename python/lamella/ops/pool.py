# SPDX-License-Identifier: MIT
"""Pooling in 1, 2 and 3 dimensions: max, average, adaptive. Inputs are (N, C, ...) or (C, ...)."""

from __future__ import annotations

import math

from .. import _core
from ..autograd import is_grad_enabled, record

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _each(op, name, value, dims):
    if isinstance(value, int):
        return (value,) * dims
    value = tuple(value)
    if len(value) == 1:
        return value * dims
    if len(value) != dims:
        raise ValueError(f"[{op}] {name} must be a number or {dims} numbers, got {value}")
    return value


def _batched(op, input, dims):
    """input with a batch dimension, and whether it had one."""
    if input.ndim == dims + 2:
        return input, True
    if input.ndim != dims + 1:
        raise ValueError(f"[{op}] input must have {dims + 1} or {dims + 2} dimensions, got {input.shape}")
    return input.unsqueeze(0), False


def _window(op, dims, kernel_size, stride, padding, dilation):
    kernel = _each(op, "kernel_size", kernel_size, dims)
    return (
        kernel,
        kernel if stride is None or stride == () else _each(op, "stride", stride, dims),
        _each(op, "padding", padding, dims),
        _each(op, "dilation", dilation, dims),
    )


# ---- max -----------------------------------------------------------------------------------------------------------------
def max_pool_vjp(node, dy, dindex=None):
    """dy goes to the position that won: the scatter by index, whose own gradient is the gather."""
    index, shape = node.ctx
    return (_scatter_planes(dy, index, shape),)


def _scatter_planes(dy, index, shape):
    dx = _core.max_pool_grad(dy, index, shape)
    return record(dx, scatter_planes_vjp, (dy,), (index,))


def scatter_planes_vjp(node, ddx):
    (index,) = node.ctx
    n, c = index.shape[:2]
    flat = ddx.reshape(n, c, -1)
    from .index import gather

    return (gather(flat, 2, index.to(_core.int64).reshape(n, c, -1)).reshape(index.shape),)


def _max_pool(op, dims, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    x, batched = _batched(op, input, dims)
    window = _window(op, dims, kernel_size, stride, padding, dilation)
    y, index = _core.max_pool(x, *window, ceil_mode, x.requires_grad and is_grad_enabled(), return_indices)
    if index is not None:
        record(y, max_pool_vjp, (x,), (index, x.shape))
    if not batched:
        y, index = y.squeeze(0), None if index is None else index.squeeze(0)
    return (y, index) if return_indices else y


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Largest value of each window of (N, C, L): see `max_pool2d`."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Largest value of each window of (N, C, H, W); padding never wins, NaN does.

    `stride` defaults to kernel_size; output size floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, or ceil
    of it with `ceil_mode`. With `return_indices` also the winners' positions in the plane, row-major (int64). ValueError
    if padding is more than half of the kernel or the window does not fit.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Largest value of each window of (N, C, D, H, W): see `max_pool2d`."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


# ---- max undone ------------------------------------------------------------------------------------------------------------
def _max_unpool(op, dims, input, indices, kernel_size, stride, padding, output_size):
    x, batched = _batched(op, input, dims)
    if tuple(indices.shape) != tuple(input.shape):
        raise ValueError(f"[{op}] indices must have the shape of input, got {tuple(indices.shape)} and {tuple(input.shape)}")
    kernel, stride, padding, _ = _window(op, dims, kernel_size, stride, padding, 1)
    usual = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], stride, padding, kernel, strict=True)]
    size = usual if output_size is None else list(output_size)[-dims:]
    if any(not u - s < n < u + s for n, u, s in zip(size, usual, stride, strict=True)):
        raise ValueError(f"[{op}] output_size must be within a stride of {tuple(usual)}, got {tuple(size)}")
    from .creation import zeros
    from .index import scatter_

    n, c = x.shape[:2]
    y = zeros((n, c, math.prod(size)), dtype=x.dtype, device=x)
    y = scatter_(y, 2, indices.reshape(n, c, -1), x.reshape(n, c, -1)).reshape(n, c, *size)
    return y if batched else y.squeeze(0)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """(N, C, L) put back where `max_pool1d` with return_indices took it from: see `max_unpool2d`."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """(N, C, H, W) put back where `max_pool2d` with return_indices took it from, zeros elsewhere.

    output_size says the size where several would have pooled to this one. Where indices repeat, one of the values stays.
    IndexError for indices outside of the output.
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """(N, C, D, H, W) put back where `max_pool3d` with return_indices took it from: see `max_unpool2d`."""
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


# ---- average ---------------------------------------------------------------------------------------------------------------
def _average(x, options):
    return record(_core.avg_pool(x, *options), average_vjp, (x,), (x.shape, options))


def average_vjp(node, dy):
    return (_spread(dy, *node.ctx),)


def _spread(dy, shape, options):
    """The adjoint of averaging."""
    return record(_core.avg_pool_grad(dy, shape, *options), spread_vjp, (dy,), (options,))


def spread_vjp(node, ddx):
    return (_average(ddx, *node.ctx),)


def _avg_pool(op, dims, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override=None):
    x, batched = _batched(op, input, dims)
    if divisor_override is not None and divisor_override < 1:
        raise ValueError(f"[{op}] divisor_override must be positive, got {divisor_override}")
    window = _window(op, dims, kernel_size, stride, padding, 1)
    y = _average(x, (*window, ceil_mode, count_include_pad, divisor_override or 0))
    return y if batched else y.squeeze(0)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Mean of each window of (N, C, L): see `avg_pool2d`."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """Mean of each window of (N, C, H, W). Divides by the window's size within the padded input, within the input alone
    if not `count_include_pad`, or by `divisor_override`."""
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """Mean of each window of (N, C, D, H, W): see `avg_pool2d`."""
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# ---- power average ---------------------------------------------------------------------------------------------------------
def _lp_pool(op, dims, input, norm_type, kernel_size, stride, ceil_mode):
    kernel = _each(op, "kernel_size", kernel_size, dims)
    p = float(norm_type)
    powers = input * input if p == 2 else input**p
    mean = _avg_pool(op, dims, powers, kernel, stride, 0, ceil_mode, True)
    total = mean.relu() * math.prod(kernel) if p % 2 == 0 else mean.sign() * mean.abs() * math.prod(kernel)
    return total ** (1 / p)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x^p over each window)^(1 / p) of (N, C, L), p = norm_type: see `lp_pool2d`."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x^p over each window)^(1 / p) of (N, C, H, W), p = norm_type: p = 1 is a sum, p towards infinity the maximum of
    values that are not negative. The gradient is infinite where a window's sum is zero and p > 1."""
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x^p over each window)^(1 / p) of (N, C, D, H, W), p = norm_type: see `lp_pool2d`."""
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


# ---- adaptive --------------------------------------------------------------------------------------------------------------
def _output_size(op, output_size, dims):
    value = (output_size,) * dims if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(value) != dims:
        raise ValueError(f"[{op}] output_size must be a number or {dims} numbers, got {value}")
    return tuple(-1 if v is None else v for v in value)


def _adaptive_average(x, size):
    return record(_core.adaptive_avg_pool(x, size), adaptive_average_vjp, (x,), (x.shape, size))


def adaptive_average_vjp(node, dy):
    return (_adaptive_spread(dy, *node.ctx),)


def _adaptive_spread(dy, shape, size):
    return record(_core.adaptive_avg_pool_grad(dy, shape), adaptive_spread_vjp, (dy,), (size,))


def adaptive_spread_vjp(node, ddx):
    return (_adaptive_average(ddx, *node.ctx),)


def _adaptive_avg(op, dims, input, output_size):
    x, batched = _batched(op, input, dims)
    y = _adaptive_average(x, _output_size(op, output_size, dims))
    return y if batched else y.squeeze(0)


def _adaptive_max(op, dims, input, output_size, return_indices):
    x, batched = _batched(op, input, dims)
    y, index = _core.adaptive_max_pool(x, _output_size(op, output_size, dims))
    record(y, max_pool_vjp, (x,), (index, x.shape))
    if not batched:
        y, index = y.squeeze(0), index.squeeze(0)
    return (y, index) if return_indices else y


def adaptive_avg_pool1d(input, output_size):
    """Mean over as many windows as `output_size` says, of (N, C, L): see `adaptive_avg_pool2d`."""
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input, output_size):
    """Mean over output_size windows: window o covers [floor(o H / H'), ceil((o + 1) H / H')). None keeps a size."""
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input, output_size):
    """Mean over output_size windows of (N, C, D, H, W): see `adaptive_avg_pool2d`."""
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """Largest value over output_size windows of (N, C, L): windows as in `adaptive_avg_pool2d`."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """Largest value over output_size windows of (N, C, H, W): windows as in `adaptive_avg_pool2d`."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input, output_size, return_indices=False):
    """Largest value over output_size windows of (N, C, D, H, W): windows as in `adaptive_avg_pool2d`."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)
