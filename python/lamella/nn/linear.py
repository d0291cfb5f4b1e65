# SPDX-License-Identifier: MIT
"""Layers made of matrix products and of shapes."""

from __future__ import annotations

import math

from ..ops import creation, gemm
from . import functional as F
from . import init
from .activation import ReLU
from .container import Sequential
from .dropout import Dropout
from .module import Module
from .parameter import Parameter

__all__ = ["MLP", "Bilinear", "DropConnectLinear", "Flatten", "Identity", "Linear", "Unflatten"]


class Linear(Module):
    """y = x W^T + b: x (..., in_features) -> (..., out_features); weight (out, in), bias (out).

    Both start uniform on [-1 / sqrt(in), 1 / sqrt(in)], PyTorch's default.
    """

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(creation.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = Parameter(creation.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the starting values again."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        return gemm.linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class DropConnectLinear(Linear):
    """Linear whose single weights are dropped with chance p in training, the others scaled by 1 / (1 - p): one draw for all
    rows of the batch (Wan et al. 2013)."""

    def __init__(self, in_features, out_features, p=0.5, bias=True, device=None, dtype=None):
        if not 0 <= p <= 1:
            raise ValueError(f"[DropConnectLinear] p must be in [0, 1], got {p}")
        self.p = p
        super().__init__(in_features, out_features, bias, device, dtype)

    def forward(self, input):
        return gemm.linear(input, F.dropout(self.weight, self.p, self.training), self.bias)

    def extra_repr(self):
        return f"{super().extra_repr()}, p={self.p}"


class Bilinear(Module):
    """y_o = x1^T W_o x2 + b_o: x1 (..., in1), x2 (..., in2) -> (..., out); weight (out, in1, in2), bias (out)."""

    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None):
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(creation.empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.bias = Parameter(creation.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the starting values again."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self):
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """Gives its input back; any arguments are taken and ignored, so that it can stand for any layer."""

    def __init__(self, *args, **kwargs):
        pass

    def forward(self, input):
        return input


class Flatten(Module):
    """Joins dimensions start_dim .. end_dim: (N, C, H, W) -> (N, C H W) as it comes."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class MLP(Sequential):
    """Linear layers of sizes in_channels -> hidden_channels[0] -> ... with norm_layer, activation_layer and dropout after
    each but the last, which has dropout alone. torchvision's name, arguments and keys ("0.weight", "3.weight", ...)."""

    def __init__(
        self, in_channels, hidden_channels, norm_layer=None, activation_layer=ReLU, inplace=None, bias=True, dropout=0.0
    ):
        options = {} if inplace is None else {"inplace": inplace}
        layers, width = [], in_channels
        for size in hidden_channels[:-1]:
            layers.append(Linear(width, size, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(size))
            layers += [activation_layer(**options), Dropout(dropout, **options)]
            width = size
        super().__init__(*layers, Linear(width, hidden_channels[-1], bias=bias), Dropout(dropout, **options))


class Unflatten(Module):
    """Splits dimension dim into the sizes unflattened_size."""

    def __init__(self, dim, unflattened_size):
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input):
        return F.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
