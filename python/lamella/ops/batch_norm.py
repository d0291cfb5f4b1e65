# SPDX-License-Identifier: MIT
"""Batch and instance normalisation of input (N, C, ...)."""

from __future__ import annotations

from .. import _core
from ..autograd import is_grad_enabled, record, vjp
from .elementwise import rsqrt
from .layer_norm import group_norm

__all__ = ["batch_norm", "instance_norm"]


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """(input - mean) / sqrt(variance + eps) * weight + bias per channel of input (N, C, ...) (Ioffe and Szegedy 2015).

    training: mean and (biased) variance are the batch's, and running_mean, running_var (unless None) are updated in
    place: (1 - momentum) running + momentum batch, with the unbiased variance. Otherwise they are the running ones.
    ValueError where shapes do not fit, or for one value per channel in training.
    """
    if training:
        y, mean, rstd = _core.batch_norm_fwd(input, weight, bias, running_mean, running_var, momentum, eps)
    elif running_mean is None or running_var is None:
        raise ValueError("[batch_norm] running_mean and running_var must be given where training is False, got None")
    else:
        y, mean, rstd = _core.batch_norm_apply(input, weight, bias, running_mean, running_var, eps)
    ctx = (input, weight, bias, mean, rstd, training, eps)
    return record(y, batch_norm_vjp, (input, weight, bias), ctx)


def batch_norm_vjp(node, dy):
    x, weight, bias, mean, rstd, training, eps = node.ctx
    if is_grad_enabled():
        given = None if training else (mean, rstd)
        return vjp(lambda x, w, b: batch_norm_unfused(x, w, b, eps, given), (x, weight, bias), dy)
    return _core.batch_norm_bwd(x, dy, weight, mean, rstd, not training, *node.needs)


def batch_norm_unfused(input, weight, bias, eps, given=None):
    """`given`: (mean, rstd) to use instead of the batch's."""
    channel = (-1,) + (1,) * (input.ndim - 2)
    if given is None:
        dims = (0, *range(2, input.ndim))
        d = input - input.mean(dims, keepdim=True)
        y = d * rsqrt((d * d).mean(dims, keepdim=True) + eps)
    else:
        mean, rstd = (s.reshape(channel) for s in given)
        y = (input - mean) * rstd
    y = y if weight is None else y * weight.reshape(channel)
    return y if bias is None else y + bias.reshape(channel)


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Normalises each channel of each sample of input (N, C, d1, ...) by its own mean and variance (Ulyanov et al. 2016).

    running_mean, running_var (unless None) are updated in place with the averages over the samples; with
    use_input_stats False they are used instead.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if input.ndim < 3:
        raise ValueError(f"[instance_norm] input must be (N, C, d1, ...), got {tuple(input.shape)}")
    n, c, *spatial = input.shape
    if running_mean is not None:  # the batch's statistics per sample and channel, then their mean over samples
        mean, var = running_mean.repeat(n), running_var.repeat(n)
        flat = input.detach().reshape((1, n * c, *spatial))
        _core.batch_norm_fwd(flat, None, None, mean, var, momentum, eps)
        running_mean.copy_(mean.reshape((n, c)).mean(0))
        running_var.copy_(var.reshape((n, c)).mean(0))
    return group_norm(input, c, weight, bias, eps)
