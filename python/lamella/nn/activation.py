# SPDX-License-Identifier: MIT
"""Activation layers: the functions of nn.functional with their arguments kept."""

from __future__ import annotations

from ..ops import activation as A
from ..ops import elementwise as E
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
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


def _layer(name, function, doc, arguments="", inplace=False):
    """A Module class that calls `function(input, *arguments)`; `arguments` is "name=default, ..."."""
    pairs = [a.split("=") for a in arguments.split(", ")] if arguments else []
    names = [n for n, _ in pairs]
    defaults = [eval(v) for _, v in pairs]  # literals written below

    def __init__(self, *args, **kwargs):
        allowed = [*names, "inplace"] if inplace else names
        if len(args) > len(allowed) or not set(kwargs) <= set(allowed):
            raise TypeError(f"[{name}] arguments must be {', '.join(allowed) or 'none'}, got {args} {kwargs}")
        values = dict(zip(names, defaults, strict=True))
        values.update(zip(allowed, args, strict=False))
        values.update(kwargs)
        self.inplace = bool(values.pop("inplace", False))
        self.__dict__.update(values)

    def forward(self, input):
        if self.inplace:
            return function(input, *(self.__dict__[n] for n in names), inplace=True)
        return function(input, *(self.__dict__[n] for n in names))

    def extra_repr(self):
        shown = [f"{n}={self.__dict__[n]}" for n in names]
        return ", ".join(shown + (["inplace=True"] if self.inplace else []))

    body = {"__init__": __init__, "forward": forward, "extra_repr": extra_repr, "__doc__": doc, "__module__": __name__}
    return type(name, (Module,), body)


ReLU = _layer("ReLU", F.relu, "max(x, 0).", inplace=True)
ReLU6 = _layer("ReLU6", A.relu6, "min(max(x, 0), 6).")
LeakyReLU = _layer("LeakyReLU", A.leaky_relu, "x, or negative_slope x below 0.", "negative_slope=0.01", inplace=True)
ELU = _layer("ELU", A.elu, "x, or alpha (e^x - 1) below 0 (Clevert et al. 2016).", "alpha=1.0", inplace=True)
SELU = _layer("SELU", A.selu, "Scaled ELU that keeps mean 0 and variance 1 (Klambauer et al. 2017).")
CELU = _layer("CELU", A.celu, "x, or alpha (e^(x / alpha) - 1) below 0 (Barron 2017).", "alpha=1.0")
GELU = _layer("GELU", A.gelu, "x Phi(x); approximate='tanh' (Hendrycks and Gimpel 2016).", "approximate='none'")
SiLU = _layer("SiLU", A.silu, "x sigmoid(x) (swish).", inplace=True)
Mish = _layer("Mish", A.mish, "x tanh(softplus(x)) (Misra 2020).")
Sigmoid = _layer("Sigmoid", A.sigmoid, "1 / (1 + e^-x).")
LogSigmoid = _layer("LogSigmoid", A.logsigmoid, "log(1 / (1 + e^-x)).")
Tanh = _layer("Tanh", E.tanh, "Hyperbolic tangent.")
Hardtanh = _layer("Hardtanh", A.hardtanh, "x limited to [min_val, max_val].", "min_val=-1.0, max_val=1.0")
Hardsigmoid = _layer("Hardsigmoid", A.hardsigmoid, "relu6(x + 3) / 6.")
Hardswish = _layer("Hardswish", A.hardswish, "x relu6(x + 3) / 6 (Howard et al. 2019).")
Softplus = _layer(
    "Softplus", A.softplus, "log(1 + e^(beta x)) / beta; x above threshold / beta.", "beta=1.0, threshold=20.0"
)
Softsign = _layer("Softsign", A.softsign, "x / (1 + |x|).")
Tanhshrink = _layer("Tanhshrink", A.tanhshrink, "x - tanh(x).")
Softshrink = _layer("Softshrink", A.softshrink, "x moved towards 0 by lambd, 0 within.", "lambd=0.5")
Hardshrink = _layer("Hardshrink", A.hardshrink, "x, or 0 within [-lambd, lambd].", "lambd=0.5")
Threshold = _layer("Threshold", A.threshold, "x above the threshold, else value.", "threshold=0.0, value=0.0")
GLU = _layer("GLU", A.glu, "a sigmoid(b), for the halves a and b of x along dim (Dauphin et al. 2017).", "dim=-1")
Softmax = _layer("Softmax", F.softmax, "e^x / sum of e^x along dim.", "dim=None")
LogSoftmax = _layer("LogSoftmax", F.log_softmax, "log of softmax along dim.", "dim=None")
Softmin = _layer("Softmin", F.softmin, "softmax of -x along dim.", "dim=None")


class PReLU(Module):
    """x, or weight x below 0, with a learned weight: one, or one per channel (He et al. 2015)."""

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        self.num_parameters = num_parameters
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, input):
        return A.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"
