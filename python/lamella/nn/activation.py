# SPDX-License-Identifier: MIT
"""Activation layers: the functions of nn.functional with their arguments kept."""

from __future__ import annotations

from ..ops.creation import full
from . import functional as F
from .module import Module
from .parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "GeGLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Step",
    "SwiGLU",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


def _written(inplace, before=""):
    """What `extra_repr` says of inplace: nothing unless it is set."""
    return f"{before}inplace=True" if inplace else ""


# ---- without arguments ----------------------------------------------------------------------------------------------
class Sigmoid(Module):
    """1 / (1 + e^-x)."""

    def forward(self, input):
        return F.sigmoid(input)


class LogSigmoid(Module):
    """log(1 / (1 + e^-x))."""

    def forward(self, input):
        return F.logsigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input):
        return F.tanh(input)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, input):
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, input):
        return F.tanhshrink(input)


class Step(Module):
    """1 where x is at least 0, else 0: the perceptron's activation. Its derivative is 0."""

    def forward(self, input):
        return F.step(input)


# ---- perhaps in place -----------------------------------------------------------------------------------------------
class _InPlace(Module):
    def __init__(self, inplace=False):
        self.inplace = inplace

    def extra_repr(self):
        return _written(self.inplace)


class ReLU(_InPlace):
    """max(x, 0)."""

    def forward(self, input):
        return F.relu(input, self.inplace)


class SELU(_InPlace):
    """Scaled ELU that keeps mean 0 and variance 1 (Klambauer et al. 2017)."""

    def forward(self, input):
        return F.selu(input, self.inplace)


class SiLU(_InPlace):
    """x sigmoid(x) (swish)."""

    def forward(self, input):
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """x tanh(softplus(x)) (Misra 2019)."""

    def forward(self, input):
        return F.mish(input, self.inplace)


class Hardsigmoid(_InPlace):
    """relu6(x + 3) / 6."""

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self):
        return ""  # as PyTorch


class Hardswish(_InPlace):
    """x relu6(x + 3) / 6 (Howard et al. 2019)."""

    def forward(self, input):
        return F.hardswish(input, self.inplace)

    def extra_repr(self):
        return ""  # as PyTorch


class LeakyReLU(Module):
    """x, or negative_slope x below 0."""

    def __init__(self, negative_slope=0.01, inplace=False):
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}" + _written(self.inplace, ", ")


class RReLU(Module):
    """x, or a x below 0, a drawn from [lower, upper) for each element while training (Xu et al. 2015)."""

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False):
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self):
        return f"lower={self.lower}, upper={self.upper}" + _written(self.inplace, ", ")


class ELU(Module):
    """x, or alpha (e^x - 1) below 0 (Clevert et al. 2016)."""

    def __init__(self, alpha=1.0, inplace=False):
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return f"alpha={self.alpha}" + _written(self.inplace, ", ")


class CELU(ELU):
    """x, or alpha (e^(x / alpha) - 1) below 0 (Barron 2017)."""

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)


class Hardtanh(Module):
    """x limited to [min_val, max_val]. ValueError unless min_val lies below max_val."""

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False):
        if min_val >= max_val:
            raise ValueError(f"[Hardtanh] min_val must lie below max_val, got {min_val} and {max_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        return f"min_val={self.min_val}, max_val={self.max_val}" + _written(self.inplace, ", ")


class ReLU6(Hardtanh):
    """min(max(x, 0), 6)."""

    def __init__(self, inplace=False):
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self):
        return _written(self.inplace)


class Threshold(Module):
    """x above `threshold`, else value."""

    def __init__(self, threshold, value, inplace=False):
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        return f"threshold={self.threshold}, value={self.value}" + _written(self.inplace, ", ")


# ---- with arguments -------------------------------------------------------------------------------------------------
class GELU(Module):
    """x Phi(x); approximate='tanh' (Hendrycks and Gimpel 2016)."""

    def __init__(self, approximate="none"):
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + e^(beta x)) / beta; x above threshold / beta."""

    def __init__(self, beta=1.0, threshold=20.0):
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class _Shrink(Module):
    def __init__(self, lambd=0.5):
        self.lambd = lambd

    def extra_repr(self):
        return str(self.lambd)


class Softshrink(_Shrink):
    """x moved towards 0 by lambd, 0 within."""

    def forward(self, input):
        return F.softshrink(input, self.lambd)


class Hardshrink(_Shrink):
    """x, or 0 within [-lambd, lambd]."""

    def forward(self, input):
        return F.hardshrink(input, self.lambd)


class PReLU(Module):
    """x, or weight x below 0, with a learned weight: one, or one per channel (He et al. 2015)."""

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


# ---- along a dimension ----------------------------------------------------------------------------------------------
class _Along(Module):
    def __init__(self, dim=None):
        self.dim = dim

    def extra_repr(self):
        return f"dim={self.dim}"


class Softmax(_Along):
    """e^x / sum of e^x along dim."""

    def forward(self, input):
        return F.softmax(input, self.dim)


class LogSoftmax(_Along):
    """The logarithm of softmax along dim."""

    def forward(self, input):
        return F.log_softmax(input, self.dim)


class Softmin(_Along):
    """softmax of -x along dim."""

    def forward(self, input):
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """softmax over the channels of (N, C, H, W) or (C, H, W). ValueError for other numbers of dimensions."""

    def forward(self, input):
        if input.ndim not in (3, 4):
            raise ValueError(f"[Softmax2d] input must have 3 or 4 dimensions, got {tuple(input.shape)}")
        return F.softmax(input, -3)


class GLU(_Along):
    """a sigmoid(b), for the halves a and b of x along dim (Dauphin et al. 2017)."""

    def __init__(self, dim=-1):
        super().__init__(dim)

    def forward(self, input):
        return F.glu(input, self.dim)


class SwiGLU(GLU):
    """silu(a) b, for the halves a and b of x along dim (Shazeer 2020)."""

    def forward(self, input):
        return F.swiglu(input, self.dim)


class GeGLU(GLU):
    """gelu(a) b, for the halves a and b of x along dim (Shazeer 2020)."""

    def forward(self, input):
        return F.geglu(input, self.dim)
