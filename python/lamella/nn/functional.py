# SPDX-License-Identifier: MIT
"""lamella.nn.functional: the ops that layers are made of, under PyTorch's names."""

from ..ops.activation import *
from ..ops.attention import *
from ..ops.batch_norm import *
from ..ops.conv import *
from ..ops.ctc import *
from ..ops.elementwise import *
from ..ops.fold import *
from ..ops.gate import *
from ..ops.gemm import *
from ..ops.index import *
from ..ops.index_bag import *
from ..ops.join import *
from ..ops.layer_norm import *
from ..ops.loss import *
from ..ops.padding import *
from ..ops.pool import *
from ..ops.random import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
    stochastic_depth,
)
from ..ops.reduce import norm as _norm
from ..ops.resize import *
from ..ops.rotary import *
from ..ops.softmax import *
from ..ops.statistics import cosine_similarity, pairwise_distance, pdist
from ..ops.view import flatten, unflatten

_relu = relu


def normalize(input, p=2.0, dim=1, eps=1e-12):
    """input / max(norm_p(input along dim), eps)."""
    return input / _norm(input, p, dim, keepdim=True).clamp(min=eps)


def relu(input, inplace=False):
    """max(input, 0); written into `input` if `inplace`."""
    return _relu.inplace(input) if inplace else _relu(input)


def bilinear(input1, input2, weight, bias=None):
    """y_o = input1^T W_o input2 + b_o: (..., in1), (..., in2), weight (out, in1, in2), bias (out) -> (..., out)."""
    sizes = tuple(input1.shape[-1:]) + tuple(input2.shape[-1:])
    if weight.ndim != 3 or sizes != tuple(weight.shape[1:]) or input1.shape[:-1] != input2.shape[:-1]:
        raise ValueError(
            f"[bilinear] input1 and input2 must have the weight's sizes last and the same before, got {tuple(input1.shape)} "
            f"and {tuple(input2.shape)} with weight {tuple(weight.shape)}"
        )
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """input / (k + alpha / size * the sum of squares of `size` channels around)^beta, of (N, C, ...) (Krizhevsky et al.
    2012, 3.3); channels beyond the ends count as zero."""
    if input.ndim < 3:
        raise ValueError(f"[local_response_norm] input must have at least 3 dimensions, got {tuple(input.shape)}")
    n, c = input.shape[:2]
    squares = pad((input * input).reshape(n, 1, c, -1), (0, 0, size // 2, (size - 1) // 2))
    mean = avg_pool2d(squares, (size, 1), stride=1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta
