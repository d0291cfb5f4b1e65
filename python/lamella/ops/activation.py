# SPDX-License-Identifier: MIT
"""Activation functions. Rules are fused kernels, and plain ops when gradients of gradients are recorded."""

from __future__ import annotations

import math

from .. import _core
from ..autograd import is_grad_enabled
from .elementwise import abs, clamp, elementwise, erf, exp, minimum, tanh, where

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]


def _apply(op, inplace, input, *constants):
    return op.inplace(input, *constants) if inplace else op(input, *constants)


@elementwise("relu", saves="output")
def relu(node, dy):
    """max(input, 0); its derivative at 0 is 0."""
    y = node.output
    return (where(y <= 0, 0.0, dy) if is_grad_enabled() else _core.relu_bwd(y, dy),)


@elementwise("sigmoid", saves="output")
def sigmoid(node, dy):
    """1 / (1 + e^-input)."""
    y = node.output
    return (dy * (y * (1 - y)) if is_grad_enabled() else _core.sigmoid_bwd(y, dy),)


@elementwise("logsigmoid", saves="inputs")
def logsigmoid(node, dy):
    """log(sigmoid(input)), without overflow."""
    x = node.ctx[0]
    return (dy * sigmoid(-x) if is_grad_enabled() else _core.logsigmoid_bwd(x, dy),)


@elementwise("silu", saves="inputs")
def _silu(node, dy):
    x = node.ctx[0]
    if is_grad_enabled():
        s = sigmoid(x)
        return (dy * (s + x * s * (1 - s)),)
    return (_core.silu_bwd(x, dy),)


def silu(input, inplace=False):
    """input sigmoid(input), also called swish (Elfwing, Uchibe and Doya 2017)."""
    return _apply(_silu, inplace, input)


@elementwise("gelu", saves="inputs")
def _gelu(node, dy):
    x = node.ctx[0]
    if is_grad_enabled():
        cdf = 0.5 * (1 + erf(x * math.sqrt(0.5)))
        return (dy * (cdf + x * exp(-0.5 * x * x) / math.sqrt(2 * math.pi)),)
    return (_core.gelu_bwd(x, dy),)


@elementwise("gelu_tanh", saves="inputs")
def _gelu_tanh(node, dy):
    x = node.ctx[0]
    if is_grad_enabled():
        c = math.sqrt(8 / math.pi)
        s = sigmoid(c * (x + 0.044715 * x * x * x))
        return (dy * (s + x * s * (1 - s) * c * (1 + 0.134145 * x * x)),)
    return (_core.gelu_tanh_bwd(x, dy),)


def gelu(input, approximate="none"):
    """input Phi(input), Phi the normal distribution function (Hendrycks and Gimpel 2016).

    approximate="tanh" gives 0.5 input (1 + tanh(sqrt(2 / pi) (input + 0.044715 input^3))), another function: they differ
    by up to 5e-4. ValueError for any other value.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"[gelu] approximate must be 'none' or 'tanh', got {approximate!r}")
    return _gelu(input) if approximate == "none" else _gelu_tanh(input)


@elementwise("softplus", saves="inputs")
def _softplus(node, dy):
    x, beta, threshold = node.ctx
    if is_grad_enabled():
        return (where(x * beta > threshold, dy, dy * sigmoid(x * beta)),)
    return (_core.softplus_bwd(x, dy, beta, threshold),)


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + e^(beta input)) / beta, input itself where beta input > threshold."""
    return _softplus(input, beta, threshold)


@elementwise("leaky_relu", saves="inputs")
def _leaky_relu(node, dy):
    x, slope = node.ctx
    return (where(x > 0, dy, dy * slope) if is_grad_enabled() else _core.leaky_relu_bwd(x, dy, slope),)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """input where positive, else negative_slope input."""
    return _apply(_leaky_relu, inplace, input, negative_slope)


@elementwise("elu", saves="inputs")
def _elu(node, dy):
    x, alpha = node.ctx
    if is_grad_enabled():
        return (where(x > 0, dy, dy * (alpha * exp(minimum(x, 0)))),)
    return (_core.elu_bwd(x, dy, alpha),)


def elu(input, alpha=1.0, inplace=False):
    """input where positive, else alpha (e^input - 1) (Clevert, Unterthiner and Hochreiter 2015)."""
    return _apply(_elu, inplace, input, alpha)


def selu(input):
    """1.0507 elu(input, 1.6733): keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return 1.0507009873554804934193349852946 * _elu(input, 1.6732632423543772848170429916717)


def celu(input, alpha=1.0):
    """alpha elu(input / alpha), continuously differentiable (Barron 2017)."""
    return _elu(input, 1.0) if alpha == 1 else alpha * _elu(input / alpha, 1.0)


def prelu(input, weight):
    """input where positive, else weight input; weight has one element, or one per channel (dimension 1)."""
    if weight.numel() > 1:
        if input.ndim < 2 or weight.numel() != input.shape[1]:
            raise ValueError(f"[prelu] weight must have 1 element or one per channel of {input.shape}, got {weight.shape}")
        weight = weight.reshape((-1,) + (1,) * (input.ndim - 2))
    return where(input > 0, input, weight * input)


def hardtanh(input, min_val=-1.0, max_val=1.0):
    """input limited to [min_val, max_val]."""
    return clamp(input, min_val, max_val)


def relu6(input):
    """input limited to [0, 6]."""
    return clamp(input, 0.0, 6.0)


def hardsigmoid(input):
    """relu6(input + 3) / 6."""
    return clamp(input + 3, 0.0, 6.0) * (1 / 6)


def hardswish(input):
    """input hardsigmoid(input)."""
    return input * hardsigmoid(input)


def mish(input):
    """input tanh(softplus(input)) (Misra 2019)."""
    return input * tanh(softplus(input))


def softsign(input):
    """input / (1 + |input|)."""
    return input / (1 + abs(input))


def tanhshrink(input):
    """input - tanh(input)."""
    return input - tanh(input)


def softshrink(input, lambd=0.5):
    """input moved towards 0 by lambd, 0 within it."""
    return input - clamp(input, -lambd, lambd)


def hardshrink(input, lambd=0.5):
    """input where |input| > lambd, else 0."""
    return where(abs(input) > lambd, input, 0.0)


def threshold(input, threshold, value):
    """input where above `threshold`, else value."""
    return where(input > threshold, input, value)


def glu(input, dim=-1):
    """a sigmoid(b), a and b being the halves of input along dim. ValueError if its size is odd."""
    n = input.shape[dim]
    if n % 2:
        raise ValueError(f"[glu] input must have an even size along dim {dim}, got {input.shape}")
    return input.narrow(dim, 0, n // 2) * sigmoid(input.narrow(dim, n // 2, n // 2))
