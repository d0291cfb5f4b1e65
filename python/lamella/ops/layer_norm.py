# SPDX-License-Identifier: MIT
"""Layer, RMS and group normalisation. Each fused op stands above its unfused spelling, which is its definition."""

from __future__ import annotations

from .. import _core
from ..autograd import is_grad_enabled, record, vjp
from .elementwise import rsqrt

__all__ = ["group_norm", "layer_norm", "rms_norm"]

_EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def _shape(normalized_shape):
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(input - mean) / sqrt(variance + eps) * weight + bias over the last dimensions (Ba, Kiros and Hinton 2016).

    normalized_shape: the sizes of those dimensions, an int for one; weight and bias have that shape. The variance is the
    biased one, of centred values. ValueError where shapes do not fit.
    """
    shape = _shape(normalized_shape)
    y, mean, rstd = _core.layer_norm_fwd(input, shape, weight, bias, eps, False)
    return record(y, layer_norm_vjp, (input, weight, bias), (input, weight, bias, mean, rstd, shape, eps))


def layer_norm_vjp(node, dy):
    x, weight, bias, mean, rstd, shape, eps = node.ctx
    if is_grad_enabled():
        return vjp(lambda x, w, b: layer_norm_unfused(x, shape, w, b, eps), (x, weight, bias), dy)
    return _core.layer_norm_bwd(x, dy, shape, weight, mean, rstd, False, *node.needs)


def layer_norm_unfused(input, shape, weight, bias, eps):
    dims = tuple(range(-len(shape), 0))
    d = input - input.mean(dims, keepdim=True)
    y = d * rsqrt((d * d).mean(dims, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """input / sqrt(mean(input^2) + eps) * weight over the last dimensions (Zhang and Sennrich 2019).

    eps None is the spacing of input's dtype at 1. Shapes as in layer_norm.
    """
    shape = _shape(normalized_shape)
    eps = _EPS.get(str(input.dtype).rsplit(".", 1)[-1], 0.0) if eps is None else eps
    y, _, rstd = _core.layer_norm_fwd(input, shape, weight, None, eps, True)
    return record(y, rms_norm_vjp, (input, weight), (input, weight, rstd, shape, eps))


def rms_norm_vjp(node, dy):
    x, weight, rstd, shape, eps = node.ctx
    if is_grad_enabled():
        return vjp(lambda x, w: rms_norm_unfused(x, shape, w, eps), (x, weight), dy)
    return _core.layer_norm_bwd(x, dy, shape, weight, None, rstd, True, *node.needs, False)[:2]


def rms_norm_unfused(input, shape, weight, eps):
    y = input * rsqrt((input * input).mean(tuple(range(-len(shape), 0)), keepdim=True) + eps)
    return y if weight is None else y * weight


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalises each of num_groups groups of channels of each sample of input (N, C, ...) (Wu and He 2018).

    weight and bias (C,) are per channel. ValueError where num_groups does not divide C.
    """
    y, mean, rstd = _core.group_norm_fwd(input, num_groups, weight, bias, eps)
    return record(y, group_norm_vjp, (input, weight, bias), (input, weight, bias, mean, rstd, num_groups, eps))


def group_norm_vjp(node, dy):
    x, weight, bias, mean, rstd, groups, eps = node.ctx
    if is_grad_enabled():
        return vjp(lambda x, w, b: group_norm_unfused(x, groups, w, b, eps), (x, weight, bias), dy)
    return _core.group_norm_bwd(x, dy, groups, weight, mean, rstd, *node.needs)


def group_norm_unfused(input, groups, weight, bias, eps):
    rows = input.reshape((input.shape[0], groups, -1))
    y = layer_norm_unfused(rows, rows.shape[2:], None, None, eps).reshape(input.shape)
    channel = (-1,) + (1,) * (input.ndim - 2)
    y = y if weight is None else y * weight.reshape(channel)
    return y if bias is None else y + bias.reshape(channel)
