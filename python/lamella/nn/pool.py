# SPDX-License-Identifier: MIT
"""Pooling layers: the functions of the same names, with their arguments kept."""

from __future__ import annotations

from ..ops import pool
from .module import Module

_KINDS = ("AdaptiveAvgPool", "AdaptiveMaxPool", "AvgPool", "LPPool", "MaxPool", "MaxUnpool")
__all__ = [f"{kind}{d}d" for kind in _KINDS for d in (1, 2, 3)]


class _MaxPool(Module):
    _function = None

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input):
        return type(self)._function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self):
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Largest value of each window of (N, C, L): see `functional.max_pool1d`."""

    _function = staticmethod(pool.max_pool1d)


class MaxPool2d(_MaxPool):
    """Largest value of each window of (N, C, H, W): see `functional.max_pool2d`."""

    _function = staticmethod(pool.max_pool2d)


class MaxPool3d(_MaxPool):
    """Largest value of each window of (N, C, D, H, W): see `functional.max_pool3d`."""

    _function = staticmethod(pool.max_pool3d)


class _AvgPool(Module):
    _function = None

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input):
        return type(self)._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """Mean of each window of (N, C, L): see `functional.avg_pool1d`."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        one = [(v,) if isinstance(v, int) else v for v in (kernel_size, stride, padding)]
        super().__init__(*one, ceil_mode, count_include_pad)

    def forward(self, input):
        return pool.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AvgPool2d(_AvgPool):
    """Mean of each window of (N, C, H, W): see `functional.avg_pool2d`."""

    _function = staticmethod(pool.avg_pool2d)


class AvgPool3d(_AvgPool):
    """Mean of each window of (N, C, D, H, W): see `functional.avg_pool3d`."""

    _function = staticmethod(pool.avg_pool3d)


class _MaxUnpool(Module):
    _dims, _function = 0, None

    def __init__(self, kernel_size, stride=None, padding=0):
        each = [(v,) * self._dims if isinstance(v, int) else tuple(v) for v in (kernel_size, stride or kernel_size, padding)]
        self.kernel_size, self.stride, self.padding = each

    def forward(self, input, indices, output_size=None):
        return type(self)._function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts (N, C, L) back where max pooling took it from: see `functional.max_unpool2d`."""

    _dims, _function = 1, staticmethod(pool.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Puts (N, C, H, W) back where max pooling took it from: see `functional.max_unpool2d`."""

    _dims, _function = 2, staticmethod(pool.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Puts (N, C, D, H, W) back where max pooling took it from: see `functional.max_unpool2d`."""

    _dims, _function = 3, staticmethod(pool.max_unpool3d)


class _LPPool(Module):
    _function = None

    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input):
        return type(self)._function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self):
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(sum of x^p over each window)^(1 / p) of (N, C, L): see `functional.lp_pool2d`."""

    _function = staticmethod(pool.lp_pool1d)


class LPPool2d(_LPPool):
    """(sum of x^p over each window)^(1 / p) of (N, C, H, W): see `functional.lp_pool2d`."""

    _function = staticmethod(pool.lp_pool2d)


class LPPool3d(_LPPool):
    """(sum of x^p over each window)^(1 / p) of (N, C, D, H, W): see `functional.lp_pool2d`."""

    _function = staticmethod(pool.lp_pool3d)


class _AdaptiveAvgPool(Module):
    _function = None

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, input):
        return type(self)._function(input, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Mean over output_size windows: see `functional.adaptive_avg_pool1d`."""

    _function = staticmethod(pool.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Mean over output_size windows: see `functional.adaptive_avg_pool2d`."""

    _function = staticmethod(pool.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Mean over output_size windows: see `functional.adaptive_avg_pool3d`."""

    _function = staticmethod(pool.adaptive_avg_pool3d)


class _AdaptiveMaxPool(_AdaptiveAvgPool):
    def __init__(self, output_size, return_indices=False):
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input):
        return type(self)._function(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest value over output_size windows: see `functional.adaptive_max_pool1d`."""

    _function = staticmethod(pool.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest value over output_size windows: see `functional.adaptive_max_pool2d`."""

    _function = staticmethod(pool.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest value over output_size windows: see `functional.adaptive_max_pool3d`."""

    _function = staticmethod(pool.adaptive_max_pool3d)
