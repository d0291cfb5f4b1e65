# SPDX-License-Identifier: MIT
"""Arithmetic, comparisons, elementary functions: one op of the extension each, its gradient rule as the body.

A decorated function is the rule of the op of its name; the name itself becomes the op, a callable of the extension:
`op(input)` or `op(input, other)`, broadcasting, with PyTorch's promotion of types (integers give float32 where the
function has no integer values). Operands are Tensors, numbers or what `tensor` takes. TypeError for dtypes that the op
does not take, ValueError where shapes do not broadcast. In a rule node.ctx holds the saved inputs, then the constants.
"""

from __future__ import annotations

import math

from .. import _core
from ..autograd import is_grad_enabled, record

elementwise = _core.elementwise

# ---- arithmetic ------------------------------------------------------------------------------------------------------


@elementwise("add")
def add(node, dy):
    """input + other."""
    return dy, dy


@elementwise("sub")
def sub(node, dy):
    """input - other. TypeError for two bools."""
    return dy, -dy if node.needs[1] else None


@elementwise("mul", saves="other")
def mul(node, dy):
    """input * other."""
    a, b = node.ctx
    return dy * b if node.needs[0] else None, dy * a if node.needs[1] else None


@elementwise("div", saves="second")
def div(node, dy):
    """input / other; integers divide as float32."""
    a, b = node.ctx
    da = dy / b
    return da, -da * (a / b) if node.needs[1] else None


@elementwise("floor_divide")
def floor_divide(node, dy):
    """input // other, rounded towards minus infinity as in Python. ValueError where an integer divisor is zero."""
    return None, None


@elementwise("remainder", saves="second")
def remainder(node, dy):
    """input % other, with the sign of other as in Python. ValueError where an integer divisor is zero."""
    a, b = node.ctx
    return dy, -dy * floor_divide(a, b) if node.needs[1] else None


@elementwise("pow", saves="inputs")
def pow(node, dy):
    """input ** other. Integers stay integers and wrap; TypeError for two bools, ValueError for a negative integer number."""
    a, b = node.ctx
    da = db = None
    if node.needs[0]:
        if not isinstance(b, _core.TensorBase):
            da = dy * 0 if b == 0 else dy * (b * a ** (b - 1))
        else:
            da = where(b == 0, 0.0, dy * (b * pow(a, b - 1)))
    if node.needs[1]:
        positive = where(a == 0, 1.0, a) if isinstance(a, _core.TensorBase) else (a or 1.0)
        slope = pow(a, b) * (log(positive) if isinstance(a, _core.TensorBase) else math.log(positive) if a > 0 else math.nan)
        db = dy * slope
    return da, db


@elementwise("neg")
def neg(node, dy):
    """-input."""
    return (-dy,)


@elementwise("abs", saves="inputs")
def abs(node, dy):
    """|input|; its derivative at 0 is 0."""
    return (dy * sign(node.ctx[0]),)


@elementwise("sign")
def sign(node, dy):
    """-1, 0 or 1."""
    return (zero_of(dy),)


@elementwise("square", saves="inputs")
def square(node, dy):
    """input * input."""
    return (dy * (2 * node.ctx[0]),)


def _share(dy, a, b, wins):
    """dy where a wins, half of it where a equals b: the extremes are shared evenly."""
    return where(a == b, dy * 0.5, where(wins, dy, 0.0))


@elementwise("maximum", saves="inputs")
def maximum(node, dy):
    """The greater of input and other; NaN if either is. Ties share the gradient."""
    a, b = node.ctx
    return _share(dy, a, b, a > b), _share(dy, a, b, b > a)


@elementwise("minimum", saves="inputs")
def minimum(node, dy):
    """The lesser of input and other; NaN if either is. Ties share the gradient."""
    a, b = node.ctx
    return _share(dy, a, b, a < b), _share(dy, a, b, b < a)


@elementwise("atan2", saves="inputs")
def atan2(node, dy):
    """The angle of the point (other, input), in (-pi, pi]."""
    a, b = node.ctx
    d = dy / (a * a + b * b)
    return d * b if node.needs[0] else None, -d * a if node.needs[1] else None


# ---- comparison and logic: without gradient ---------------------------------------------------------------------------
def without_gradient(name, doc):
    """The op of that name with a docstring; its gradient is zero (which counts where it is written into its input)."""

    def rule(node, dy):
        return (None,) * len(node.needs)

    rule.__doc__ = doc
    return elementwise(name)(rule)


eq = without_gradient("eq", "input == other, bool. NaN equals nothing.")
ne = without_gradient("ne", "input != other, bool. NaN differs from all, itself included.")
lt = without_gradient("lt", "input < other, bool; false where one is NaN.")
le = without_gradient("le", "input <= other, bool; false where one is NaN.")
gt = without_gradient("gt", "input > other, bool; false where one is NaN.")
ge = without_gradient("ge", "input >= other, bool; false where one is NaN.")
logical_and = without_gradient("logical_and", "Whether both are not zero, bool.")
logical_or = without_gradient("logical_or", "Whether one or both are not zero, bool.")
logical_xor = without_gradient("logical_xor", "Whether exactly one is not zero, bool.")
logical_not = without_gradient("logical_not", "Whether input is zero, bool.")
bitwise_and = without_gradient("bitwise_and", "input & other of integers or bools.")
bitwise_or = without_gradient("bitwise_or", "input | other of integers or bools.")
bitwise_xor = without_gradient("bitwise_xor", "input ^ other of integers or bools.")
isnan = without_gradient("isnan", "Whether it is NaN, bool.")
isinf = without_gradient("isinf", "Whether it is an infinity of either sign, bool.")
isfinite = without_gradient("isfinite", "Whether it is neither NaN nor infinite, bool.")

# ---- elementary functions --------------------------------------------------------------------------------------------


def zero_of(dy):
    """A gradient of zeros."""
    return _core.full(dy.shape, 0.0, dy.dtype, dy)


@elementwise("exp", saves="output")
def exp(node, dy):
    """e^input."""
    return (dy * node.output,)


@elementwise("expm1", saves="output")
def expm1(node, dy):
    """e^input - 1, accurate near 0."""
    return (dy * (node.output + 1),)


@elementwise("log", saves="inputs")
def log(node, dy):
    """The natural logarithm."""
    return (dy / node.ctx[0],)


@elementwise("log1p", saves="inputs")
def log1p(node, dy):
    """log(1 + input), accurate near 0."""
    return (dy / (node.ctx[0] + 1),)


@elementwise("sqrt", saves="output")
def sqrt(node, dy):
    """The square root."""
    return (dy / (2 * node.output),)


@elementwise("rsqrt", saves="output")
def rsqrt(node, dy):
    """1 / sqrt(input)."""
    y = node.output
    return (dy * (-0.5 * y * y * y),)


@elementwise("reciprocal", saves="output")
def reciprocal(node, dy):
    """1 / input."""
    y = node.output
    return (-dy * (y * y),)


@elementwise("sin", saves="inputs")
def sin(node, dy):
    """The sine."""
    return (dy * cos(node.ctx[0]),)


@elementwise("cos", saves="inputs")
def cos(node, dy):
    """The cosine."""
    return (-dy * sin(node.ctx[0]),)


@elementwise("tanh", saves="output")
def tanh(node, dy):
    """The hyperbolic tangent."""
    y = node.output
    return (dy * (1 - y * y) if is_grad_enabled() else _core.tanh_bwd(y, dy),)


@elementwise("erf", saves="inputs")
def erf(node, dy):
    """The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0."""
    x = node.ctx[0]
    return (dy * (2 / math.sqrt(math.pi) * exp(-(x * x))),)


@elementwise("floor")
def floor(node, dy):
    """The next integer below."""
    return (zero_of(dy),)


@elementwise("ceil")
def ceil(node, dy):
    """The next integer above."""
    return (zero_of(dy),)


@elementwise("round")
def round(node, dy):
    """The nearest integer, halves to even."""
    return (zero_of(dy),)


@elementwise("trunc")
def trunc(node, dy):
    """The integer towards 0."""
    return (zero_of(dy),)


# ---- choice ----------------------------------------------------------------------------------------------------------


def where(condition, input=None, other=None):
    """input where condition (bool), else other; the three broadcast. TypeError if condition is not bool.

    Of condition alone: `nonzero(condition, as_tuple=True)`.
    """
    if input is None and other is None:
        from .index import nonzero

        return nonzero(condition, as_tuple=True)
    return record(_core.where(condition, input, other), where_vjp, (input, other), (condition,))


def where_vjp(node, dy):
    (condition,) = node.ctx
    return where(condition, dy, 0.0) if node.needs[0] else None, where(condition, 0.0, dy) if node.needs[1] else None


def masked_fill(input, mask, value):
    """input, with `value` (a number or 0-d tensor) where mask is True."""
    if isinstance(value, _core.TensorBase) and value.ndim:
        raise ValueError(f"[masked_fill] value must be a number or 0-d, got shape {tuple(value.shape)}")
    dtype = input.dtype
    y = where(mask, value, input)
    return y if y.dtype is dtype else y.to(dtype)


@elementwise("clamp", saves="inputs")
def _clamp(node, dy):
    x, low, high = node.ctx
    if is_grad_enabled():
        return (where((x >= low) & (x <= high), dy, 0.0),)
    return (_core.clamp_bwd(x, dy, low, high),)


def clamp(input, min=None, max=None):
    """input limited to [min, max]; numbers, Tensors or None (no limit). ValueError if both are None.

    Of limits that cross, max counts. The gradient goes to input where it lies within, else to the limit taken.
    """
    if min is None and max is None:
        raise ValueError("[clamp] min and max must not both be None, got None and None")
    if isinstance(min, _core.TensorBase) or isinstance(max, _core.TensorBase):
        y = input.detach()
        y = y if min is None else maximum(y, _plain(min))
        y = y if max is None else minimum(y, _plain(max))
        return record(y, clamp_vjp, (input, min, max), (input, min, max))
    if not input.dtype.is_floating_point and (isinstance(min, float) or isinstance(max, float)):
        input = input + 0.0
    return _clamp(input, -math.inf if min is None else min, math.inf if max is None else max)


def _plain(x):
    return x.detach() if isinstance(x, _core.TensorBase) else x


def clamp_vjp(node, dy):
    x, low, high = node.ctx
    need_x, need_low, need_high = node.needs
    low = -math.inf if low is None else low
    high = math.inf if high is None else high
    return (
        where((x >= low) & (x <= high), dy, 0.0) if need_x else None,
        where((x < low) & (low < high), dy, 0.0) if need_low else None,
        where((x > high) | (high < low), dy, 0.0) if need_high else None,
    )


def _alike(a, b, c):
    """Whether all are Tensors of one floating dtype, which `ternary` takes."""
    if not (isinstance(b, _core.TensorBase) and isinstance(c, _core.TensorBase)):
        return False
    dtype = a.dtype
    return b.dtype is dtype and c.dtype is dtype and dtype.is_floating_point


def lerp(input, end, weight):
    """input + weight (end - input)."""
    if not _alike(input, end, weight if isinstance(weight, _core.TensorBase) else end):
        return input + weight * (end - input)
    return record(_core.ternary("lerp", input, end, weight, 0.0), lerp_vjp, (input, end, weight), (input, end, weight))


def lerp_vjp(node, dy):
    a, b, w = node.ctx
    need_a, need_b, need_w = node.needs
    return dy * (1 - w) if need_a else None, dy * w if need_b else None, dy * (b - a) if need_w else None


def addcmul(input, tensor1, tensor2, *, value=1):
    """input + value tensor1 tensor2."""
    if not _alike(input, tensor1, tensor2):
        product = tensor1 * tensor2
        return input + (product if value == 1 else value * product)
    y = _core.ternary("addcmul", input, tensor1, tensor2, value)
    return record(y, addcmul_vjp, (input, tensor1, tensor2), (tensor1, tensor2, value))


def addcmul_vjp(node, dy):
    b, c, value = node.ctx
    need_a, need_b, need_c = node.needs
    d = dy if value == 1 else dy * value
    return dy if need_a else None, d * c if need_b else None, d * b if need_c else None


def addcdiv(input, tensor1, tensor2, *, value=1):
    """input + value tensor1 / tensor2."""
    if not _alike(input, tensor1, tensor2):
        quotient = tensor1 / tensor2
        return input + (quotient if value == 1 else value * quotient)
    y = _core.ternary("addcdiv", input, tensor1, tensor2, value)
    return record(y, addcdiv_vjp, (input, tensor1, tensor2), (tensor1, tensor2, value))


def addcdiv_vjp(node, dy):
    b, c, value = node.ctx
    need_a, need_b, need_c = node.needs
    db = (dy if value == 1 else dy * value) / c
    return dy if need_a else None, db if need_b else None, -db * (b / c) if need_c else None


def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """|input - other| <= atol + rtol |other|, or equal; with `equal_nan` two NaN are close."""
    close = (input == other) | ((abs(input - other) <= atol + rtol * abs(other)) & isfinite(other))
    return close | (isnan(input) & isnan(other)) if equal_nan else close


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close (isclose), as a Python bool."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


subtract, multiply, divide, true_divide, negative, absolute, clip, arctan2 = sub, mul, div, div, neg, abs, clamp, atan2

__all__ = [
    "abs",
    "absolute",
    "add",
    "addcdiv",
    "addcmul",
    "allclose",
    "arctan2",
    "atan2",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clip",
    "cos",
    "div",
    "divide",
    "eq",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "ge",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "lerp",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "masked_fill",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "ne",
    "neg",
    "negative",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tanh",
    "true_divide",
    "trunc",
    "where",
]
