# SPDX-License-Identifier: MIT
"""Circular, hyperbolic, gamma and error functions, bits, further binary functions."""

import math

import numpy as np

import lamella
from case import ALL_FLOATS, A, B, Bad, Case, I, S

INF, NAN = math.inf, math.nan
EDGES = (0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 2.5, -3.5, 0.5, -0.5)
SIZES = [(), (0,), (3, 5), (17,), (67,)]
NARROW = {"float32": 4e-6, "float64": 1e-12, "bfloat16": 1.2e-2, "float16": 2e-3}


def each(f):
    """A function of math on arrays, its errors as infinity or NaN."""

    def one(v):
        try:
            return f(v)
        except (OverflowError, ValueError):
            return NAN

    return np.vectorize(one, otypes=[np.float64])


def _with_defaults(options):
    options = {"dtypes": ALL_FLOATS, "tol": NARROW} | options
    return options | {"tol": {t: v for t, v in options["tol"].items() if t in options["dtypes"]}}


def unary(op, ref, low=None, high=None, special=EDGES, **options):
    samples = [S(A(shape, low, high)) for shape in SIZES]
    if special:
        samples.append(S(A((29,), low, high, special=special)))
    return Case(op, getattr(lamella, op), ref, samples, kernels=("unary",), **_with_defaults(options))


def lgamma(x):
    with np.errstate(all="ignore"):
        return np.where(np.isinf(x), INF, np.where((x <= 0) & (x == np.floor(x)), INF, each(math.lgamma)(x)))


def digamma(x):
    """The central difference would not do: recurrence up to 30, then the asymptotic series; reflection below 0."""

    def of(v):
        if v == 0:
            return math.copysign(INF, -v)
        if v < 0:
            return NAN if v == math.floor(v) else of(1 - v) - math.pi / math.tan(math.pi * v)
        if math.isinf(v):
            return INF
        total = 0.0
        while v < 30:
            total -= 1 / v
            v += 1
        t = 1 / (v * v)
        return total + math.log(v) - 0.5 / v - t * (1 / 12 - t * (1 / 120 - t * (1 / 252 - t / 240)))

    return np.vectorize(lambda v: v if math.isnan(v) else of(v), otypes=[np.float64])(np.where(x == -INF, NAN, x))


def erfinv(x):
    def of(v):
        if abs(v) >= 1:
            return math.copysign(INF, v) if abs(v) == 1 else NAN
        low, high = 0.0, 7.0
        for _ in range(200):
            middle = (low + high) / 2
            value = math.erf(middle) < abs(v) if abs(v) < 0.5 else math.erfc(middle) > 1 - abs(v)
            low, high = (middle, high) if value else (low, middle)
        return math.copysign(low, v)

    return np.vectorize(lambda v: v if math.isnan(v) else of(v), otypes=[np.float64])(x)


UNARY = [
    unary("tan", np.tan, -1.4, 1.4),
    unary("asin", np.arcsin, -0.9, 0.9, special=(*EDGES, 1.0, -1.0, 0.5, -0.5, 0.4999, 0.5001, 0.9999999, -1.5)),
    unary("acos", np.arccos, -0.9, 0.9, special=(*EDGES, 1.0, -1.0, 0.5, -0.5, 0.4999, 0.5001, 0.9999999, -1.5)),
    unary("atan", np.arctan),
    unary("sinh", np.sinh, special=(*EDGES, 88.9, -89.2)),
    unary("cosh", np.cosh, special=(*EDGES, 88.9, -89.2)),
    unary("asinh", np.arcsinh, special=(*EDGES, 1e10, -1e30)),
    unary("acosh", np.arccosh, 1.2, 4, special=(*EDGES, 1e10)),
    unary("atanh", np.arctanh, -0.9, 0.9),
    unary("sinc", np.sinc, special=EDGES[:2] + EDGES[4:], tol={"float32": 4e-6, "float64": 1e-12, "bfloat16": 2e-2}),
    unary("exp2", np.exp2, special=(*EDGES, 127.5, -149.0, 300.0, -300.0)),
    unary("log2", np.log2, 0.1, 4, special=(*EDGES, 8.0, 0.125)),
    unary("log10", np.log10, 0.1, 4, special=(*EDGES, 1000.0)),
    unary("erfc", each(math.erfc), special=(*EDGES, 4.0, 9.0, -3.0, 10.1, 30.0),
          tol={"float32": 8e-7, "float64": 1e-12, "bfloat16": 2e-2, "float16": 4e-3}),
    unary("erfinv", erfinv, -0.95, 0.95, special=(*EDGES, 0.999, -0.99999)),
    unary("lgamma", lgamma, 0.2, 9, special=(*EDGES[:4], NAN, 1.0, 2.0, 40.5, -0.5, -7.3)),
    unary("digamma", digamma, 0.2, 9, special=(*EDGES[:3], NAN, 1.0, 40.5, -0.5, -7.3), tol={"float32": 8e-6, "float64": 1e-11}),
    unary("signbit", np.signbit, grad=False),
    unary("frac", lambda x: x - np.trunc(x), special=(), grad=False),
    unary("logit", lambda x: np.log(x / (1 - x)), 0.05, 0.95, special=(), tol={"float32": 1e-5, "bfloat16": 1e-1, "float16": 1e-2}),
    unary("deg2rad", np.deg2rad, special=()),
    unary("rad2deg", np.rad2deg, special=()),
    Case("nan_to_num", lamella.nan_to_num,
         lambda x, nan=0.0, posinf=None, neginf=None: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
         [S(A((33,), special=(math.nan, math.inf, -math.inf)), **k) for k in ({}, {"nan": 2.0}, {"posinf": 7.0}, {"neginf": -1.5},
                                                                                 {"posinf": math.inf, "neginf": math.nan})],
         kernels=("unary",), dtypes=("float64",), grad=False),
    Case("nan_to_num-grad", lamella.nan_to_num, np.nan_to_num, [S(A((7,)))]),
    unary("isposinf", np.isposinf, grad=False),
    unary("isneginf", np.isneginf, grad=False),
    Case("polygamma", lamella.polygamma, lambda n, x: (-1.0) ** (n + 1) * math.factorial(n)
         * sum(1 / (x + k) ** (n + 1) for k in range(4000)) + (-1.0) ** (n + 1) * math.factorial(n) / n / (x + 3999.5) ** n,
         [S(1, A((19,), 0.3, 12)), S(3, A((7,), 0.3, 6)), S(1, A((5,), -3.8, -3.2)), S(2, A((5,), -3.8, -3.2))],
         dtypes=("float64", "float32"), tol={"float64": 1e-7, "float32": 2e-6},
         bad=[Bad(lambda: lamella.polygamma(-1, lamella.ones(2)), ValueError, "[polygamma] n must not be negative, got -1")]),
    Case("frexp", lamella.frexp, lambda x: (np.frexp(x)[0], np.frexp(x)[1].astype(np.int32)),
         [S(A((19,), special=(0.0, INF, -INF, 1.0, 2.0, 0.5, 3.9999))), S(A((5,), 1e-8, 1e-7))], grad=False),
]

PAIRS = [S(A((17,)), A((17,))), S(A((3, 1, 5)), A((4, 1))), S(A((19,), special=EDGES, grad=False), A((19,), special=EDGES[::-1], grad=False))]
APART = [S(A((17,), 0, 1), A((17,), 2, 3)), S(A((3, 1, 5), 2, 3), A((4, 1), 0, 1)), PAIRS[2]]


def binary(op, ref, samples=PAIRS, **options):
    return Case(op, getattr(lamella, op), ref, samples, kernels=("binary",), **_with_defaults(options))


def xlogy(x, y):
    with np.errstate(all="ignore"):
        return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log(y))


SMALL = [S(I((67,), -40, 40, t), I((67,), 1, 9, t)) for t in ("int64", "int32", "int16", "int8")] + [S(I((9,), 0, 99, "uint8"), 7)]

BINARY = [
    binary("fmod", np.fmod, [S(A((17,)), A((17,), 0.3, 3)), S(A((3, 1, 5)), A((4, 1), -3, -0.3)), S(A((23,)), 2.5), *SMALL[:4]],
           dtypes=("float32", "float64"), tol={"float32": 1e-5},
           bad=[Bad(lambda: lamella.tensor([1]).fmod(0), ValueError, "[fmod] divisor must not be zero for integers")]),
    binary("hypot", np.hypot),
    binary("copysign", np.copysign, [*PAIRS[:2], S(A((5,)), -2.0)]),
    binary("logaddexp", np.logaddexp, [*PAIRS, S(A((4,), special=(-INF, INF), grad=False), A((4,), special=(-INF, INF), grad=False))]),
    binary("xlogy", xlogy, [S(A((17,), special=(0.0,)), A((17,), 0.2, 3)), PAIRS[2]]),
    binary("fmax", np.fmax, APART),
    binary("fmin", np.fmin, APART),
    binary("gcd", np.gcd, SMALL, dtypes=("float32",), grad=False),
    binary("lcm", np.lcm, SMALL[:2], dtypes=("float32",), grad=False),
    binary("bitwise_left_shift", np.left_shift, [S(I((67,), -40, 40, "int64"), I((67,), 0, 9)), S(I((9,), -40, 40, "int32"), 3)],
           dtypes=("float32",), grad=False),
    binary("bitwise_right_shift", np.right_shift, [S(I((67,), -40, 40, "int64"), I((67,), 0, 9)), S(I((9,), -40, 40, "int8"), 3)],
           dtypes=("float32",), grad=False),
    Case("logaddexp2", lamella.logaddexp2, np.logaddexp2, PAIRS[:2], tol={"float32": 1e-5}),
    Case("ldexp", lamella.ldexp, lambda x, n: x * 2.0**n, [S(A((7,)), I((7,), -3, 4))]),
    Case("heaviside", lamella.heaviside, np.heaviside, [S(A((9,), special=(0.0,), grad=False), A((9,), grad=False))], grad=False),
    Case("bitwise_not", lamella.bitwise_not, np.invert, [S(I((9,), -9, 9)), S(B((9,))), S(I((9,), 0, 99, "uint8"))], grad=False,
         bad=[Bad(lambda: lamella.bitwise_not(lamella.ones(2)), TypeError, "[bitwise_xor] operands must be integers")]),
]

KEYWORDS = [
    Case("add-alpha", lambda x, y: lamella.add(x, y, alpha=2) - x.sub(other=y, alpha=0.5), lambda x, y: 2.5 * y + 0 * x, [S(A((5, 7)), A((7,)))],
         tol={"float32": 1e-5}),
    Case("div-rounding", lambda x, y, mode: lamella.div(x, y, rounding_mode=mode),
         lambda x, y, mode: np.floor(x / y) if mode == "floor" else np.trunc(x / y),
         [S(A((17,)), A((17,), 0.3, 1), mode) for mode in ("floor", "trunc")], grad=False,
         bad=[Bad(lambda: lamella.div(lamella.ones(1), 2, rounding_mode="up"), ValueError, "[div] rounding_mode must be None, 'trunc'")]),
    Case("div-trunc-int", lambda x, y: lamella.div(x, y, rounding_mode="trunc"),
         lambda x, y: np.trunc(x / y).astype(x.dtype), [S(I((67,), -40, 40), I((67,), 1, 9)), S(I((9,), -40, 40, "int8"), I((9,), 1, 9, "int8"))],
         grad=False),
    Case("round-decimals", lambda x, d: lamella.round(x, decimals=d), np.round, [S(A((17,), -90, 90), 1), S(A((17,), -900, 900), -2)],
         dtypes=("float64",), grad=False,
         bad=[Bad(lambda: lamella.round(lamella.ones(1), places=1), TypeError, "[round] got an unexpected keyword argument 'places'")]),
    Case("clamp-tensors", lamella.clamp, lambda x, low, high: np.minimum(np.maximum(x, low), high),
         [S(A((5, 7)), A((7,), -1, 0), A((5, 1), 0.1, 1)), S(A((5, 7)), A((7,), 0.3, 1), A((5, 1), -1, 0))], kernels=("binary",)),
]

CASES = [*UNARY, *BINARY, *KEYWORDS]
