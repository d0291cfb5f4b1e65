# SPDX-License-Identifier: MIT
"""Normalisation layers."""

from __future__ import annotations

from ..ops import creation
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


def _ones_and_zeros(layer):
    if layer.weight is not None:
        init.ones_(layer.weight)
    if layer.bias is not None:
        init.zeros_(layer.bias)


class _BatchNorm(Module):
    """Statistics per channel over the batch and all positions; running means of them for evaluation."""

    _ndims: tuple[int, ...] = ()

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(creation.ones(num_features, device=device, dtype=dtype)) if affine else None
        self.bias = Parameter(creation.zeros(num_features, device=device, dtype=dtype)) if affine and bias else None
        track = track_running_stats
        self.register_buffer("running_mean", creation.zeros(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("running_var", creation.ones(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("num_batches_tracked", creation.tensor(0) if track else None)

    def reset_running_stats(self):
        """Means 0, variances 1, no batches counted."""
        if self.running_mean is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """The starting values again: weights 1, biases 0, running statistics as in reset_running_stats."""
        self.reset_running_stats()
        _ones_and_zeros(self)

    def _check(self, input):
        if input.ndim not in self._ndims:
            expected = " or ".join(map(str, self._ndims))
            raise ValueError(f"[{type(self).__name__}] input must have {expected} dimensions, got {input.shape}")

    def forward(self, input):
        self._check(input)
        momentum = self.momentum
        if self.training and self.running_mean is not None:
            self.num_batches_tracked += 1
            if momentum is None:  # a plain average over all batches so far
                momentum = 1.0 / float(self.num_batches_tracked)
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) weight + bias over (N) or (N, L) of (N, C) or (N, C, L) (Ioffe and Szegedy 2015).

    Training uses the batch's biased variance and moves running_mean and running_var (unbiased) by `momentum`; evaluation
    uses those.
    """

    _ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W) over N, H and W: see `BatchNorm1d`."""

    _ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W) over N, D, H and W: see `BatchNorm1d`."""

    _ndims = (5,)


class _InstanceNorm(_BatchNorm):
    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input):
        self._check(input)
        batched = input.ndim == max(self._ndims)
        if input.shape[1 if batched else 0] != self.num_features:
            raise ValueError(
                f"[{type(self).__name__}] input must have {self.num_features} channels, got {tuple(input.shape)}"
            )
        x = input if batched else input.unsqueeze(0)
        y = F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
        )
        return y if batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each (N, C, L) sample normalised over L (Ulyanov et al. 2016)."""

    _ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each (N, C, H, W) sample normalised over H and W."""

    _ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Each channel of each (N, C, D, H, W) sample normalised over D, H and W."""

    _ndims = (4, 5)


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) weight + bias over the last dimensions `normalized_shape` (Ba et al. 2016)."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = Parameter(creation.ones(shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.bias = Parameter(creation.zeros(shape, device=device, dtype=dtype)) if elementwise_affine and bias else None

    def reset_parameters(self):
        """The starting values again: weights 1, biases 0."""
        _ones_and_zeros(self)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) weight over the last dimensions (Zhang and Sennrich 2019); eps None is the dtype's."""

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = Parameter(creation.ones(shape, device=device, dtype=dtype)) if elementwise_affine else None

    def reset_parameters(self):
        """The starting values again: ones."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input):
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Channels of (N, C, ...) in num_groups groups, each normalised by itself (Wu and He 2018)."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True):
        if num_channels % num_groups:
            raise ValueError(
                f"[GroupNorm] num_channels must be a multiple of num_groups, got {num_channels} and {num_groups}"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = Parameter(creation.ones(num_channels, device=device, dtype=dtype)) if affine else None
        self.bias = Parameter(creation.zeros(num_channels, device=device, dtype=dtype)) if affine and bias else None

    def reset_parameters(self):
        """The starting values again: weights 1, biases 0."""
        _ones_and_zeros(self)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """input / (k + alpha / size * the sum of squares of `size` channels around)^beta: see `functional.local_response_norm`."""

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input):
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
