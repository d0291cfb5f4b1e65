# SPDX-License-Identifier: MIT
"""Which ops are methods of Tensor, too, and the rarer in-place methods."""

from __future__ import annotations

import math

from . import _core, ops
from ._numpy import np
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


def polygamma_(self, n):
    """`polygamma(n, self)`, written into this Tensor."""
    return ops.copy_(self, ops.polygamma(n, ops.clone(self)))


def fill_diagonal_(self, fill_value, wrap=False):
    """Writes `fill_value` on the diagonal of a matrix (of equal sizes for more dimensions); `wrap`: of a tall matrix
    again and again."""
    if self.ndim < 2 or (self.ndim > 2 and len(set(self.shape)) > 1):
        raise ValueError(f"[fill_diagonal_] tensor must be a matrix, or of equal sizes, got {tuple(self.shape)}")
    step = self.shape[1] + 1 if self.ndim == 2 else sum(math.prod(self.shape[d + 1 :]) for d in range(self.ndim))
    end = self.numel() if wrap or self.ndim > 2 else min(self.numel(), self.shape[1] ** 2)
    mask = np.zeros(self.numel(), bool)
    mask[:end:step] = True
    return self.masked_fill_(_core.from_numpy(mask).reshape(self.shape), fill_value)


def apply_(self, callable):
    """Replaces every element x by callable(x), one Python call each: slow. Not recorded."""
    if self.requires_grad:
        raise RuntimeError("[apply_] tensor must not require gradient, got one that does")
    return ops.copy_(self, ops.tensor([callable(v) for v in self.reshape(-1).tolist()], dtype=self.dtype).reshape(self.shape))


def map_(self, tensor, callable):
    """Replaces every element x by callable(x, y), y being that of `tensor`, one Python call each: slow. Not recorded."""
    if self.requires_grad:
        raise RuntimeError("[map_] tensor must not require gradient, got one that does")
    x, y = ops.broadcast_tensors(self, tensor)
    values = [callable(a, b) for a, b in zip(x.reshape(-1).tolist(), y.reshape(-1).tolist(), strict=True)]
    return ops.copy_(self, ops.tensor(values, dtype=self.dtype).reshape(self.shape))


def resize_(self, *sizes):
    """This shape, in place: the elements in memory order, new ones uninitialised. Not recorded."""
    if self.requires_grad:
        raise RuntimeError("[resize_] tensor must not require gradient, got one that does")
    sizes = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    n, have = math.prod(sizes), self.numel()
    if n <= have and self._is_row_major():
        return self._become(_core.reshape(_core.slice(_core.reshape(self.detach(), (-1,)), 0, 0, n, 1), sizes))
    y = ops.empty(n, dtype=self.dtype)
    _core.copy_(_core.slice(y, 0, 0, min(n, have), 1), _core.slice(_core.reshape(self.detach(), (-1,)), 0, 0, min(n, have), 1))
    return self._become(_core.reshape(y, sizes))


def resize_as_(self, tensor):
    """The shape of `tensor`, in place: see `resize_`."""
    return self.resize_(tensor.shape)


def set_(self, source):
    """Becomes the same elements as `source`, in place."""
    self._set_array(source)
    return self


_OWN = (fill_diagonal_, apply_, map_, resize_, resize_as_, set_)


def attach_methods(cls: type) -> None:
    """Ops and their in-place forms as methods; what the class has itself stays."""
    for name in _METHODS:
        setattr(cls, name, getattr(ops, name))
    cls.polygamma = _polygamma
    cls.polygamma_ = polygamma_
    for method in _OWN:
        setattr(cls, method.__name__, method)
    for name, method in inplace.methods().items():
        if name not in vars(cls):
            setattr(cls, name, method)
    for name, existing in inplace.aliases().items():
        setattr(cls, name, getattr(cls, existing))
