# SPDX-License-Identifier: MIT
"""lamella.nn.functional: the ops that layers are made of, under PyTorch's names."""

from ..ops.activation import *
from ..ops.attention import *
from ..ops.batch_norm import *
from ..ops.conv import *
from ..ops.ctc import *
from ..ops.elementwise import *
from ..ops.gate import *
from ..ops.gemm import *
from ..ops.index import *
from ..ops.join import *
from ..ops.layer_norm import *
from ..ops.loss import *
from ..ops.pool import *
from ..ops.random import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
)
from ..ops.softmax import *
from ..ops.view import flatten, unflatten

_relu = relu


def normalize(input, p=2.0, dim=1, eps=1e-12):
    """input / max(norm_p(input along dim), eps)."""
    from ..ops.reduce import norm

    return input / norm(input, p, dim, keepdim=True).clamp(min=eps)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along dim."""
    from ..ops.reduce import norm

    a, b = norm(x1, 2.0, dim).clamp(min=eps), norm(x2, 2.0, dim).clamp(min=eps)
    return (x1 * x2).sum(dim) / (a * b)


def relu(input, inplace=False):
    """max(input, 0); written into `input` if `inplace`."""
    return _relu.inplace(input) if inplace else _relu(input)
