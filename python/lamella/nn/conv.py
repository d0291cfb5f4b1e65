# SPDX-License-Identifier: MIT
"""Convolution layers."""

from __future__ import annotations

import math

from ..ops import conv, creation
from ..ops.padding import pad
from . import init
from .module import Module
from .parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


def _each(value, dims):
    return (value,) * dims if isinstance(value, int) else tuple(value)


class _Conv(Module):
    """What convolutions and their transposes share; subclasses give `_dims` and `forward`."""

    _dims = 0
    _transposed = False

    def _setup(self, channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype):
        in_channels, out_channels = channels
        op = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"[{op}] in_channels and out_channels must be multiples of groups, "
                f"got {in_channels}, {out_channels} and {groups}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = _each(kernel_size, self._dims)
        self.stride, self.dilation = _each(stride, self._dims), _each(dilation, self._dims)
        self.padding = padding if isinstance(padding, str) else _each(padding, self._dims)
        first, second = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        self.weight = Parameter(creation.empty((first, second // groups, *self.kernel_size), device=device, dtype=dtype))
        self.bias = Parameter(creation.empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the starting values again: uniform on +- 1 / sqrt(fan in), PyTorch's default."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self):
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if isinstance(self.padding, str) or any(self.padding):
            parts.append(f"padding={self.padding}")
        if any(d != 1 for d in self.dilation):
            parts.append(f"dilation={self.dilation}")
        if any(getattr(self, "output_padding", ())):
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Straight(_Conv):
    _function = None

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"[{type(self).__name__}] padding_mode must be zeros, reflect, replicate or circular, got {padding_mode!r}"
            )
        self.padding_mode = padding_mode
        self._setup((in_channels, out_channels), kernel_size, stride, padding, dilation, groups, bias, device, dtype)

    def _sides(self):
        """Padding as F.pad takes it: last dimension first, both sides."""
        if self.padding == "valid":
            return (0,) * (2 * self._dims)
        if self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return tuple(v for t in reversed(total) for v in (t // 2, t - t // 2))
        return tuple(v for p in reversed(self.padding) for v in (p, p))

    def forward(self, input):
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._sides(), mode=self.padding_mode), 0
        return type(self)._function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Straight):
    """(N, C, L) -> (N, K, L'): see `functional.conv1d`. weight (K, C / groups, R), bias (K)."""

    _dims, _function = 1, staticmethod(conv.conv1d)


class Conv2d(_Straight):
    """(N, C, H, W) -> (N, K, H', W'): see `functional.conv2d`. weight (K, C / groups, R, S), bias (K)."""

    _dims, _function = 2, staticmethod(conv.conv2d)


class Conv3d(_Straight):
    """(N, C, D, H, W) -> (N, K, D', H', W'): see `functional.conv3d`. weight (K, C / groups, T, R, S), bias (K)."""

    _dims, _function = 3, staticmethod(conv.conv3d)


class _Transpose(_Conv):
    _function = None
    _transposed = True

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        if padding_mode != "zeros":
            raise ValueError(f"[{type(self).__name__}] padding_mode must be zeros, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self.output_padding = _each(output_padding, self._dims)
        self._setup((in_channels, out_channels), kernel_size, stride, padding, dilation, groups, bias, device, dtype)

    def forward(self, input, output_size=None):
        """output_size: which of the sizes that a convolution of these arguments makes the input's, instead of output_padding."""
        extra = self.output_padding if output_size is None else self._extra(input, tuple(output_size)[-self._dims :])
        return type(self)._function(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra(self, input, wanted):
        geometry = zip(input.shape[-self._dims :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in geometry]
        if len(wanted) != self._dims or any(not 0 <= w - m < s for w, m, s in zip(wanted, least, self.stride, strict=True)):
            most = tuple(m + s - 1 for m, s in zip(least, self.stride, strict=True))
            raise ValueError(f"[{type(self).__name__}] output_size must be in {tuple(least)} to {most}, got {wanted}")
        return tuple(w - m for w, m in zip(wanted, least, strict=True))


class ConvTranspose1d(_Transpose):
    """(N, K, L) -> (N, C, L'): see `functional.conv_transpose1d`. weight (K, C / groups, R)."""

    _dims, _function = 1, staticmethod(conv.conv_transpose1d)


class ConvTranspose2d(_Transpose):
    """(N, K, P, Q) -> (N, C, H, W): see `functional.conv_transpose2d`. weight (K, C / groups, R, S)."""

    _dims, _function = 2, staticmethod(conv.conv_transpose2d)


class ConvTranspose3d(_Transpose):
    """(N, K, O, P, Q) -> (N, C, D, H, W): see `functional.conv_transpose3d`. weight (K, C / groups, T, R, S)."""

    _dims, _function = 3, staticmethod(conv.conv_transpose3d)
