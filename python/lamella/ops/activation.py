# SPDX-License-Identifier: MIT
"""Activation functions. Rules are fused kernels, and plain ops when gradients of gradients are recorded."""

from __future__ import annotations

import math

from .. import _core
from ..autograd import is_grad_enabled
from ..precision import lower, regions
from .elementwise import abs, elementwise, erf, exp, minimum, sign, tanh, where
from .random import rand

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "step",
    "tanhshrink",
    "threshold",
    "threshold_",
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


@elementwise("selu", saves="inputs")
def _selu(node, dy):
    x = node.ctx[0]
    if is_grad_enabled():
        return (_SELU_SCALE * where(x > 0, dy, dy * (_SELU_ALPHA * exp(minimum(x, 0)))),)
    return (_core.selu_bwd(x, dy),)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(input, inplace=False):
    """1.0507 elu(input, 1.6733): keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return _apply(_selu, inplace, input)


@elementwise("celu", saves="inputs")
def _celu(node, dy):
    x, alpha = node.ctx
    if is_grad_enabled():
        return (where(x > 0, dy, dy * exp(minimum(x, 0) / alpha)),)
    return (_core.celu_bwd(x, dy, alpha),)


def celu(input, alpha=1.0, inplace=False):
    """input where positive, else alpha (e^(input / alpha) - 1), continuously differentiable (Barron 2017). ValueError for
    alpha 0."""
    if alpha == 0:
        raise ValueError("[celu] alpha must not be 0, got 0")
    return _apply(_celu, inplace, input, alpha)


def prelu(input, weight):
    """input where positive, else weight input; weight has one element, or one per channel (dimension 1)."""
    if regions:
        input, weight = lower(input, weight)
    if weight.numel() > 1:
        if input.ndim < 2 or weight.numel() != input.shape[1]:
            raise ValueError(f"[prelu] weight must have 1 element or one per channel of {input.shape}, got {weight.shape}")
        weight = weight.reshape((-1,) + (1,) * (input.ndim - 2))
    return _prelu(input, weight)


@elementwise("prelu", saves="inputs")
def _prelu(node, dy):
    x, weight = node.ctx
    positive = x > 0
    dx = where(positive, dy, weight * dy) if node.needs[0] else None
    return dx, where(positive, 0.0, x * dy) if node.needs[1] else None


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """input where positive, else a input: a is drawn from [lower, upper) for each element while training, and is their
    mean otherwise (Xu et al. 2015). ValueError if lower lies above upper."""
    if lower > upper:
        raise ValueError(f"[rrelu] lower must not lie above upper, got {lower} and {upper}")
    if not training:
        return _apply(_leaky_relu, inplace, input, (lower + upper) / 2)
    slope = where(input.detach() > 0, 1.0, rand(input.shape, dtype=input.dtype, device=input) * (upper - lower) + lower)
    return input.mul_(slope) if inplace else input * slope


# ---- piecewise linear -----------------------------------------------------------------------------------------------
@elementwise("hardtanh", saves="inputs")
def _hardtanh(node, dy):
    x, low, high = node.ctx
    if is_grad_enabled():
        return (where((x <= low) | (x >= high), 0.0, dy),)
    return (_core.hardtanh_bwd(x, dy, low, high),)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """input limited to [min_val, max_val]; its derivative is 0 at both. ValueError if min_val lies above max_val."""
    if min_val > max_val:
        raise ValueError(f"[hardtanh] min_val must not lie above max_val, got {min_val} and {max_val}")
    return _apply(_hardtanh, inplace, input, min_val, max_val)


def relu6(input, inplace=False):
    """input limited to [0, 6]; its derivative is 0 at both."""
    return _apply(_hardtanh, inplace, input, 0.0, 6.0)


@elementwise("hardsigmoid", saves="inputs")
def _hardsigmoid(node, dy):
    x = node.ctx[0]
    if is_grad_enabled():
        return (where((x > -3) & (x < 3), dy * (1 / 6), 0.0),)
    return (_core.hardsigmoid_bwd(x, dy),)


def hardsigmoid(input, inplace=False):
    """relu6(input + 3) / 6."""
    return _apply(_hardsigmoid, inplace, input)


@elementwise("hardswish", saves="inputs")
def _hardswish(node, dy):
    x = node.ctx[0]
    if is_grad_enabled():
        return (where(x <= -3, 0.0, where(x < 3, dy * (x * (1 / 3) + 0.5), dy)),)
    return (_core.hardswish_bwd(x, dy),)


def hardswish(input, inplace=False):
    """input hardsigmoid(input) (Howard et al. 2019)."""
    return _apply(_hardswish, inplace, input)


def _shrink_vjp(node, dy):
    x, lambd = node.ctx
    if is_grad_enabled():
        return (where((x >= -lambd) & (x <= lambd), 0.0, dy),)
    return (_core.shrink_bwd(x, dy, lambd),)


_softshrink = elementwise("softshrink", saves="inputs")(_shrink_vjp)
_hardshrink = elementwise("hardshrink", saves="inputs")(_shrink_vjp)


def softshrink(input, lambd=0.5):
    """input moved towards 0 by lambd, 0 within it. ValueError for a negative lambd."""
    if lambd < 0:
        raise ValueError(f"[softshrink] lambd must not be negative, got {lambd}")
    return _softshrink(input, lambd)


def hardshrink(input, lambd=0.5):
    """input, or 0 within [-lambd, lambd]."""
    return _hardshrink(input, lambd)


@elementwise("threshold", saves="inputs")
def _threshold(node, dy):
    x, level, _ = node.ctx
    if is_grad_enabled():
        return (where(x <= level, 0.0, dy),)
    return (_core.threshold_bwd(x, dy, level),)


def threshold(input, threshold, value, inplace=False):
    """input where above `threshold`, else value."""
    return _apply(_threshold, inplace, input, threshold, value)


def step(input):
    """1 where input is at least 0, else 0: the perceptron's activation (Rosenblatt 1958). Its derivative is 0.

    >>> lamella.nn.functional.step(lamella.tensor([-0.5, 0.0, 2.0]))
    tensor([0., 1., 1.])
    """
    return where(input == 0, 1.0, (sign(input) + 1) * 0.5)


# ---- smooth ---------------------------------------------------------------------------------------------------------
@elementwise("mish", saves="inputs")
def _mish(node, dy):
    x = node.ctx[0]
    if is_grad_enabled():
        t = tanh(softplus(x))
        return (dy * (t + x * (1 - t * t) * sigmoid(x)),)
    return (_core.mish_bwd(x, dy),)


def mish(input, inplace=False):
    """input tanh(softplus(input)) (Misra 2019)."""
    return _apply(_mish, inplace, input)


@elementwise("softsign", saves="inputs")
def softsign(node, dy):
    """input / (1 + |input|)."""
    x = node.ctx[0]
    if is_grad_enabled():
        d = 1 + abs(x)
        return (dy / (d * d),)
    return (_core.softsign_bwd(x, dy),)


@elementwise("tanhshrink", saves="inputs")
def tanhshrink(node, dy):
    """input - tanh(input)."""
    x = node.ctx[0]
    if is_grad_enabled():
        t = tanh(x)
        return (dy * t * t,)
    return (_core.tanhshrink_bwd(x, dy),)


# ---- in place -------------------------------------------------------------------------------------------------------
def _in_place(name, function):
    def written(input, *args, **kwargs):
        return function(input, *args, **kwargs, inplace=True)

    written.__name__ = written.__qualname__ = name
    written.__doc__ = f"`{name[:-1]}`, written into input."
    return written


relu_ = relu.inplace
celu_, elu_, hardtanh_, leaky_relu_, rrelu_, selu_, threshold_ = (
    _in_place(f"{f.__name__}_", f) for f in (celu, elu, hardtanh, leaky_relu, rrelu, selu, threshold)
)
