# SPDX-License-Identifier: MIT
"""Further elementwise functions: circular, hyperbolic, logarithms, gamma and error functions, bits; each with its rule."""

from __future__ import annotations

import builtins
import math

from .. import _core
from ..autograd import is_grad_enabled
from ..dtypes import finfo
from .activation import sigmoid
from .elementwise import (
    abs,
    clamp,
    cos,
    div,
    elementwise,
    exp,
    floor_divide,
    isfinite,
    isnan,
    log,
    logical_not,
    pow,
    round,
    rsqrt,
    sign,
    sin,
    square,
    sub,
    trunc,
    where,
    without_gradient,
)

_PI = math.pi


# ---- circular and hyperbolic functions -------------------------------------------------------------------------------
@elementwise("tan", saves="output")
def tan(node, dy):
    """The tangent."""
    return (dy * (1 + square(node.output)),)


@elementwise("asin", saves="inputs")
def asin(node, dy):
    """The angle in [-pi/2, pi/2] whose sine is input."""
    return (dy * rsqrt(1 - square(node.ctx[0])),)


@elementwise("acos", saves="inputs")
def acos(node, dy):
    """The angle in [0, pi] whose cosine is input."""
    return (-dy * rsqrt(1 - square(node.ctx[0])),)


@elementwise("atan", saves="inputs")
def atan(node, dy):
    """The angle in (-pi/2, pi/2) whose tangent is input."""
    return (dy / (1 + square(node.ctx[0])),)


@elementwise("sinh", saves="inputs")
def sinh(node, dy):
    """(e^input - e^-input) / 2."""
    return (dy * cosh(node.ctx[0]),)


@elementwise("cosh", saves="inputs")
def cosh(node, dy):
    """(e^input + e^-input) / 2."""
    return (dy * sinh(node.ctx[0]),)


@elementwise("asinh", saves="inputs")
def asinh(node, dy):
    """The inverse of sinh."""
    return (dy * rsqrt(1 + square(node.ctx[0])),)


@elementwise("acosh", saves="inputs")
def acosh(node, dy):
    """The inverse of cosh, of input >= 1."""
    return (dy * rsqrt(square(node.ctx[0]) - 1),)


@elementwise("atanh", saves="inputs")
def atanh(node, dy):
    """The inverse of tanh, of |input| <= 1."""
    return (dy / (1 - square(node.ctx[0])),)


@elementwise("sinc", saves="inputs")
def sinc(node, dy):
    """sin(pi input) / (pi input), 1 at 0."""
    x = node.ctx[0] if node.ctx[0].dtype.itemsize >= 4 else node.ctx[0].float()
    near = abs(x) < 0.01  # there the difference below cancels
    z = where(near, 1.0, x)
    slope = (cos(_PI * z) - sin(_PI * z) / (_PI * z)) / z
    t = square(_PI * x)
    series = -(_PI * _PI) * x * (1 / 3 - t * (1 / 30 - t * (1 / 840)))
    return (dy * where(near, series, slope),)


# ---- powers and logarithms to other bases ----------------------------------------------------------------------------
@elementwise("exp2", saves="output")
def exp2(node, dy):
    """2^input."""
    return (dy * (math.log(2) * node.output),)


@elementwise("log2", saves="inputs")
def log2(node, dy):
    """The logarithm to base 2."""
    return (dy / (math.log(2) * node.ctx[0]),)


@elementwise("log10", saves="inputs")
def log10(node, dy):
    """The logarithm to base 10."""
    return (dy / (math.log(10) * node.ctx[0]),)


# ---- error and gamma functions ---------------------------------------------------------------------------------------
@elementwise("erfc", saves="inputs")
def erfc(node, dy):
    """1 - erf(input), accurate where that is small."""
    return (dy * (-2 / math.sqrt(_PI) * exp(-square(node.ctx[0]))),)


@elementwise("erfinv", saves="output")
def erfinv(node, dy):
    """The inverse of erf, of input in [-1, 1]."""
    return (dy * (math.sqrt(_PI) / 2 * exp(square(node.output))),)


@elementwise("lgamma", saves="inputs")
def lgamma(node, dy):
    """log |gamma(input)|."""
    return (dy * digamma(node.ctx[0]),)


@elementwise("digamma", saves="inputs")
def digamma(node, dy):
    """The derivative of lgamma."""
    return (dy * polygamma(1, node.ctx[0]),)


@elementwise("polygamma", saves="inputs")
def _polygamma(node, dy):
    x, n = node.ctx
    return (dy * polygamma(n + 1, x),)


def polygamma(n, input):
    """The n-th derivative of digamma: (-1)^(n+1) n! times the sum over k >= 0 of (input + k)^-(n+1).

    n = 0 is digamma itself. ValueError for a negative n. The sum's first terms are taken as they are, the rest by the
    Euler-Maclaurin formula (Abramowitz and Stegun 6.4.11). NaN below -4096 for n > 1, where the terms would be too many.
    """
    if n < 0:
        raise ValueError(f"[polygamma] n must not be negative, got {n}")
    if n == 0:
        return digamma(input)
    return _polygamma(input, n)


def mvlgamma(input, p):
    """The logarithm of the multivariate gamma function of dimension p: p (p-1)/4 log(pi) + sum of lgamma(input - i/2)."""
    y = p * (p - 1) / 4 * math.log(_PI)
    for i in range(p):
        y = y + lgamma(input - i / 2)
    return y


@elementwise("logit", saves="inputs")
def _logit(node, dy):
    x = node.ctx[0]
    return (dy / (x * (1 - x)) if is_grad_enabled() else _core.logit_bwd(x, dy),)


def logit(input, eps=None):
    """log(input / (1 - input)); with eps, input is first limited to [eps, 1 - eps]."""
    return _logit(input if eps is None else clamp(input, eps, 1 - eps))


# ---- two operands ----------------------------------------------------------------------------------------------------
@elementwise("fmod", saves="second")
def fmod(node, dy):
    """The remainder of input / other with the sign of input, as in C. ValueError where an integer divisor is zero."""
    a, b = node.ctx
    return dy, -dy * trunc(a / b) if node.needs[1] else None


@elementwise("hypot", saves="inputs")
def hypot(node, dy):
    """sqrt(input^2 + other^2), without overflow on the way; its derivative at (0, 0) is NaN."""
    a, b = node.ctx
    d = dy / hypot(a, b)
    return d * a if node.needs[0] else None, d * b if node.needs[1] else None


@elementwise("copysign", saves="inputs")
def copysign(node, dy):
    """|input| with the sign of other."""
    a, b = node.ctx
    return dy * where(a == 0, 0.0, sign(a) * copysign(a * 0 + 1, b)), None


@elementwise("logaddexp", saves="inputs")
def logaddexp(node, dy):
    """log(e^input + e^other), without overflow."""
    a, b = node.ctx
    d = where(a == b, 0.0, a - b)  # of two equal infinities the difference is NaN
    return dy * sigmoid(d) if node.needs[0] else None, dy * sigmoid(-d) if node.needs[1] else None


@elementwise("xlogy", saves="inputs")
def xlogy(node, dy):
    """input log(other), 0 where input is 0 (unless other is NaN)."""
    a, b = node.ctx
    da = dy * where((a == 0) & (b <= 0), 0.0, log(b)) if node.needs[0] else None
    return da, dy * (a / b) if node.needs[1] else None


@elementwise("fmax", saves="inputs")
def fmax(node, dy):
    """The greater of input and other; of a number and NaN the number."""
    a, b = node.ctx
    first = (a >= b) | isnan(b)
    return where(first, dy, 0.0), where(first, 0.0, dy)


@elementwise("fmin", saves="inputs")
def fmin(node, dy):
    """The lesser of input and other; of a number and NaN the number."""
    a, b = node.ctx
    first = (a <= b) | isnan(b)
    return where(first, dy, 0.0), where(first, 0.0, dy)


bitwise_left_shift = without_gradient("bitwise_left_shift", "input << other of integers.")
bitwise_right_shift = without_gradient("bitwise_right_shift", "input >> other of integers; the sign moves in.")
gcd = without_gradient("gcd", "The greatest common divisor of integers, not negative; gcd(0, 0) is 0.")
signbit = without_gradient("signbit", "Whether the sign is minus, -0.0's included, bool.")


def lcm(input, other):
    """The least common multiple of integers, 0 where one is 0."""
    common = gcd(input, other)
    return abs(floor_divide(input, where(common == 0, 1, common)) * other)


def logaddexp2(input, other):
    """log2(2^input + 2^other)."""
    two = math.log(2)
    return logaddexp(input * two, other * two) * (1 / two)


def ldexp(input, other):
    """input times 2^other."""
    return input * exp2(other)


def float_power(input, exponent):
    """input ** exponent in float64."""
    double = _core.float64
    as_double = lambda v: v.to(double) if isinstance(v, _core.TensorBase) else float(v)  # noqa: E731
    return pow(as_double(input), as_double(exponent))


def heaviside(input, values):
    """0 below zero, 1 above, `values` at zero."""
    return where(input == 0, values, (input > 0).to(input.dtype)).to(input.dtype)


# ---- parts, signs, angles --------------------------------------------------------------------------------------------
def frac(input):
    """input - trunc(input)."""
    return input - trunc(input)


def deg2rad(input):
    """Degrees as radians."""
    return input * (_PI / 180)


def rad2deg(input):
    """Radians as degrees."""
    return input * (180 / _PI)


def positive(input):
    """input itself. TypeError for bool."""
    if input.dtype is _core.bool:
        raise TypeError("[positive] input must be a number, got bool")
    return input


def bitwise_not(input):
    """~input: logical not of bool. TypeError for floats."""
    return logical_not(input) if input.dtype is _core.bool else input ^ -1


def isposinf(input):
    """Whether elements are positive infinity."""
    return input == math.inf


def isneginf(input):
    """Whether elements are negative infinity."""
    return input == -math.inf


def isreal(input):
    """True everywhere: there are no complex dtypes."""
    return input == input if not input.dtype.is_floating_point else (input == input) | isnan(input)


@elementwise("nan_to_num", saves="inputs")
def _nan_to_num(node, dy):
    return (where(isfinite(node.ctx[0]), dy, 0.0),)


def nan_to_num(input, nan=0.0, posinf=None, neginf=None):
    """input with NaN as `nan`, infinities as `posinf` and `neginf` (default: the dtype's greatest and least numbers)."""
    if not input.dtype.is_floating_point:
        return input.clone()
    y = _nan_to_num(input, float(nan), finfo(input.dtype).max)
    if posinf is not None:
        y = where(input == math.inf, posinf, y)
    if neginf is not None:
        y = where(input == -math.inf, neginf, y)
    return y


def frexp(input):
    """(mantissa, exponent) with input = mantissa 2^exponent and 0.5 <= |mantissa| < 1; exponent int32."""
    from collections import namedtuple

    x = input.detach()
    usual = isfinite(x) & (x != 0)
    e = where(usual, _core.floor(log2(abs(where(usual, x, 1.0)))) + 1, 0.0)
    low = abs(x) < exp2(e - 1)
    e = where(usual & low, e - 1, where(usual & (abs(x) >= exp2(e)), e + 1, e))
    mantissa = input * exp2(-e)
    return namedtuple("frexp", ("mantissa", "exponent"))(mantissa, e.to(_core.int32))


# ---- keywords of the elementwise ops: add(x, y, alpha=2), div(x, y, rounding_mode="floor"), mul(input=x, other=y) ------
def _keyword_call(op, *args, **names):
    name = op.__name__
    args = list(args)
    if "input" in names:
        args.insert(0, names.pop("input"))
    for key in ("other", "exponent"):
        if key in names:
            args.append(names.pop(key))
    if name in ("add", "sub") and "alpha" in names:
        alpha = names.pop("alpha")
        args[1] = args[1] if alpha == 1 else args[1] * alpha
    mode = names.pop("rounding_mode", None) if name == "div" else None
    decimals = names.pop("decimals", 0) if name == "round" else 0
    if names:
        raise TypeError(f"[{name}] got an unexpected keyword argument {next(iter(names))!r}")
    if mode is not None:
        return _rounded_division(*args, mode)
    if decimals:
        scale = 10.0 ** builtins.abs(decimals)
        x = args[0]
        return round(x * scale) / scale if decimals > 0 else round(x / scale) * scale
    return op(*args)


def _rounded_division(input, other, mode):
    if mode == "floor":
        return floor_divide(input, other)
    if mode != "trunc":
        raise ValueError(f"[div] rounding_mode must be None, 'trunc' or 'floor', got {mode!r}")
    if _core.result_type(input, other).is_floating_point:
        return trunc(div(input, other))
    return floor_divide(sub(input, fmod(input, other)), other)


_core.set_keyword_call(_keyword_call)

arccos, arcsin, arctan, arccosh, arcsinh, arctanh = acos, asin, atan, acosh, asinh, atanh
fix, sgn = trunc, sign
less, less_equal, greater, greater_equal, not_equal = _core.lt, _core.le, _core.gt, _core.ge, _core.ne


def rsub(input, other, *, alpha=1):
    """other - alpha input."""
    return other - (input if alpha == 1 else input * alpha)


def clamp_min(input, min):
    """input, at least `min`."""
    return clamp(input, min)


def clamp_max(input, max):
    """input, at most `max`."""
    return clamp(input, None, max)


__all__ = """
acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh bitwise_left_shift bitwise_not
bitwise_right_shift clamp_max clamp_min copysign cosh deg2rad digamma erfc erfinv exp2 fix float_power fmax fmin fmod frac
frexp gcd greater greater_equal heaviside hypot isneginf isposinf isreal lcm ldexp less less_equal lgamma log10 log2
logaddexp logaddexp2 logit mvlgamma nan_to_num not_equal polygamma positive rad2deg rsub sgn signbit sinc sinh tan xlogy
""".split()
