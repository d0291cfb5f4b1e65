# SPDX-License-Identifier: MIT
"""Which ops are methods of Tensor, too."""

from __future__ import annotations

from . import ops
from .ops import inplace

__all__ = ["attach_methods"]

_METHODS = """
abs absolute neg negative positive sign sgn signbit square exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos
tan asin acos atan sinh cosh tanh asinh acosh atanh arcsin arccos arctan arcsinh arccosh arctanh sinc erf erfc erfinv lgamma
digamma mvlgamma logit floor ceil round trunc fix frac deg2rad rad2deg sigmoid relu nan_to_num frexp
isnan isinf isfinite isposinf isneginf isreal logical_not bitwise_not
add sub subtract mul multiply div divide true_divide floor_divide remainder fmod pow float_power maximum minimum fmax fmin
atan2 arctan2 hypot copysign logaddexp logaddexp2 xlogy ldexp heaviside gcd lcm
eq ne lt le gt ge not_equal less less_equal greater greater_equal equal isclose allclose isin
logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift
clamp clamp_min clamp_max clip lerp addcmul addcdiv where masked_fill softmax log_softmax prelu hardshrink
sum nansum mean nanmean prod max min amax amin aminmax argmax argmin any all var std norm logsumexp count_nonzero quantile
nanquantile median nanmedian mode cov corrcoef dist histc histogram bincount renorm
cumsum cumprod cummax cummin logcumsumexp diff
matmul mm bmm mv dot vdot inner outer ger kron cross trace addmm addmv addr addbmm baddbmm matrix_power
reshape view view_as reshape_as flatten ravel unflatten transpose swapaxes swapdims adjoint t permute movedim moveaxis expand
expand_as broadcast_to sum_to_size unsqueeze squeeze diagonal diag diag_embed diagflat as_strided unfold select clone
contiguous is_contiguous copy_ fill_ zero_
gather scatter scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ index_select index_add index_add_ index_copy
index_copy_ index_fill index_fill_ index_reduce index_put index_put_ take put put_ take_along_dim masked_select
masked_scatter masked_scatter_ select_scatter slice_scatter diagonal_scatter nonzero argwhere
sort argsort msort topk kthvalue unique unique_consecutive tril triu flip fliplr flipud roll rot90 repeat_interleave
split split_with_sizes tensor_split hsplit vsplit dsplit chunk unbind narrow repeat tile
uniform_ normal_ bernoulli bernoulli_ multinomial random_ exponential_ geometric_ cauchy_ log_normal_
""".split()


def _polygamma(self, n):
    """`polygamma(n, self)`."""
    return ops.polygamma(n, self)


def attach_methods(cls: type) -> None:
    """Ops and their in-place forms as methods; what the class has itself stays."""
    for name in _METHODS:
        setattr(cls, name, getattr(ops, name))
    cls.polygamma = _polygamma
    cls.polygamma_ = lambda self, n: ops.copy_(self, ops.polygamma(n, ops.clone(self)))
    for name, method in inplace.methods().items():
        if name not in vars(cls):
            setattr(cls, name, method)
    for name, existing in inplace.aliases().items():
        setattr(cls, name, getattr(cls, existing))
