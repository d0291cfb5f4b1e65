# SPDX-License-Identifier: MIT
"""Products of quantised numbers."""

from __future__ import annotations

from .. import _core

__all__ = ["int_mm"]


def int_mm(input, mat2, a_scale=None, b_scale=None, bias=None):
    """int8 (m, k) times int8 (k, n), summed exactly in int32: (m, n), as `torch._int_mm`; no gradient.

    With scales, the product of the numbers that the int8 stand for, in float32: sum(input mat2) a_scale b_scale + bias,
    where a_scale is float32 (m,) or one number's tensor, b_scale (n,) or one, bias (n,). Operands may be transposed views.
    Sums past 2^31 wrap, which takes k > 131,071.

    ValueError for shapes, a scale without the other, bias without scales; TypeError for dtypes.
    """
    return _core.int_mm(input, mat2, a_scale, b_scale, bias)
