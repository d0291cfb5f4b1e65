# SPDX-License-Identifier: MIT
"""Batch norm folded into the layer before it, for inference: w' = w gamma / sqrt(var + eps), b' = (b - mean) gamma /
sqrt(var + eps) + beta, per output channel."""

from __future__ import annotations

import copy

from ...autograd import no_grad
from ...ops import creation
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """A copy of `conv` that gives bn(conv(x)), both in evaluation mode; transpose: it is a transposed convolution."""
    return _fused("fuse_conv_bn_eval", fuse_conv_bn_weights, conv, bn, transpose)


def fuse_linear_bn_eval(linear, bn):
    """A copy of `linear` that gives bn(linear(x)), both in evaluation mode."""
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise ValueError(
            f"[fuse_linear_bn_eval] bn must have {linear.out_features} features, as linear gives, got {bn.num_features}"
        )
    return _fused("fuse_linear_bn_eval", fuse_linear_bn_weights, linear, bn)


def _fused(op, weights, layer, bn, *options):
    if layer.training or bn.training:
        raise ValueError(f"[{op}] layers must be in evaluation mode: call eval() before")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"[{op}] bn must have running statistics, got track_running_stats=False")
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = weights(
        layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, *options
    )
    return fused


def fuse_conv_bn_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose=False):
    """(weight, bias) of the convolution that does both. conv_w (K, C / groups, ...), or, transposed, (C, K / groups, ...)."""
    with no_grad():
        scale, bias = _scale_and_bias(conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
        per = conv_w.shape[1] if transpose else 1  # channels of a group, the second dimension where transposed
        if not transpose:
            weight = conv_w * scale.reshape(-1, *(1,) * (conv_w.ndim - 1))
        else:
            groups = scale.shape[0] // per
            grouped = conv_w.reshape(groups, -1, per, *conv_w.shape[2:])
            weight = (grouped * scale.reshape(groups, 1, per, *(1,) * (conv_w.ndim - 2))).reshape(conv_w.shape)
    return _parameters(weight, bias, conv_w, conv_b)


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """(weight, bias) of the linear layer that does both."""
    with no_grad():
        scale, bias = _scale_and_bias(linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
        weight = linear_w * scale.unsqueeze(-1)
    return _parameters(weight, bias, linear_w, linear_b)


def _scale_and_bias(b, mean, var, eps, w, beta):
    scale = (var + eps).rsqrt()
    scale = scale if w is None else scale * w
    bias = ((creation.zeros_like(mean) if b is None else b) - mean) * scale
    return scale, bias if beta is None else bias + beta


def _parameters(weight, bias, like_w, like_b):
    trained = like_w.requires_grad
    return (
        Parameter(weight.to(like_w.dtype), trained),
        Parameter(bias.to(like_w.dtype), trained if like_b is None else like_b.requires_grad),
    )
