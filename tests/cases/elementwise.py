# SPDX-License-Identifier: MIT
"""Arithmetic, comparison, elementary functions, choice, casts."""

import math

import numpy as np

import lamella
from case import ALL_FLOATS, A, B, Bad, Case, I, S

INF, NAN = math.inf, math.nan
EDGES = (0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 1e-30, -3.5, 2.5, 0.5)
SIZES = [(), (0,), (1,), (3,), (4,), (5,), (8,), (16,), (17,), (67,), (3, 5), (2, 3, 41), (600, 3), (33000,)]



def erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def unary(op, ref, *, low=None, high=None, special=EDGES, extra=(), **options):
    fn = options.pop("fn", None) or getattr(lamella, op)
    samples = [S(A(shape, low, high, grad=math.prod(shape) < 1000)) for shape in SIZES] + [S(A((29,), low, high, special=special)), *extra]
    return Case(op, fn, ref, samples, kernels=("unary",), dtypes=ALL_FLOATS, **options)



UNARY = [
    unary("neg", np.negative),
    unary("abs", np.abs),
    unary("sign", np.sign, grad=False),
    unary("square", np.square),
    unary("exp", np.exp),
    unary("expm1", np.expm1),
    unary("log", np.log, low=0.1, high=4),
    unary("log1p", np.log1p, low=-0.9, high=4),
    unary("sqrt", np.sqrt, low=0.1, high=4),
    unary("rsqrt", lambda x: 1 / np.sqrt(x), low=0.1, high=4),
    unary("reciprocal", lambda x: 1 / x, low=0.3, high=4),
    unary("sin", np.sin, extra=[S(A((31,), -3e5, 3e5, grad=False))], tol={"bfloat16": 2e-2}),
    unary("cos", np.cos, extra=[S(A((31,), -3e5, 3e5, grad=False))], tol={"bfloat16": 2e-2}),
    unary("tanh", np.tanh),
    unary("erf", erf),
    unary("floor", np.floor, grad=False),
    unary("ceil", np.ceil, grad=False),
    unary("round", np.rint, grad=False),
    unary("trunc", np.trunc, grad=False),
    unary("isnan", np.isnan, grad=False),
    unary("isinf", np.isinf, grad=False),
    unary("isfinite", np.isfinite, grad=False),
    unary("logical_not", np.logical_not, grad=False),
]

PAIRS = [
    S(A((17,)), A((17,))),
    S(A(()), A((5,))),
    S(A((0,)), A((0,))),
    S(A((1,)), A((1,))),
    S(A((3, 1, 5)), A((4, 1))),
    S(A((2, 67)), A((67,))),
    S(A((67, 2)), A((67, 1))),
    S(A((40, 130)), A((40, 1))),
    S(A((33, 1031)), A((1031,))),
    S(A((70, 33)), A((33,))),  # short rows: one for all, one element of each, rows in turn
    S(A((70, 1)), A((70, 33))),
    S(A((5, 70, 16)), A((5, 1, 16))),
    S(A((3, 70, 1)), A((3, 1, 24))),
    S(A((19,), special=EDGES), A((19,), special=EDGES[::-1])),
    S(A((23,)), 2.5),
    S(A((23,)), 3),
    S(A((40001,), grad=False), 2.5),
]


def binary(op, ref, samples=PAIRS, fn=None, **options):
    return Case(op, fn or getattr(lamella, op), ref, samples, kernels=("binary",), **({"dtypes": ALL_FLOATS} | options))


def positive(shape):
    return A(shape, 0.3, 3)


DIVISORS = [
    S(A((17,)), positive((17,))),
    S(A((3, 1, 5)), positive((4, 1))),
    S(A((41,)), A((41,), -3, -0.3)),
    S(A((5,)), positive(())),
    S(A((23,)), 2.5),
]
DISTINCT = [S(A((17,), 0, 1), A((17,), 2, 3)), S(A((3, 1, 5), 2, 3), A((4, 1), 0, 1)), S(A((9,), 1, 2), 0.5)]
LOGIC = [S(A((37,), special=EDGES), A((37,), special=EDGES[::-1])), S(B((3, 1, 19)), B((7, 1))), S(I((40,), -1, 2), I((40,), -1, 2))]


def ints(dtype, low=-50, high=50):
    return [
        S(I((67,), low, high, dtype), I((67,), 1, 9, dtype)),
        S(I((5, 3, 1), low, high, dtype), I((4,), 1, 9, dtype)),
        S(I((40, 130), low, high, dtype), I((40, 1), 1, 9, dtype)),
        S(I((0,), low, high, dtype), I((0,), 1, 9, dtype)),
    ]


INTEGERS = [s for t in ("int64", "int32", "int16", "int8") for s in ints(t)] + ints("uint8", 0, 200)
SIGNED = [
    S(I((97,), -40, 40, t), x) for t in ("int64", "int32", "int16", "int8") for x in (I((97,), -7, 0, t), I((97,), 1, 7, t))
] + [  # beyond what lanes of double divide, around that, and below
    S(I((97,), -(2**b), 2**b, t), I((97,), 1, 2**d, t)) for t, b, d in (("int64", 62, 40), ("int64", 52, 3), ("int64", 51, 30), ("int32", 31, 20))
]


def integer(op, ref, samples=INTEGERS, fn=None, **options):
    return binary(op, ref, samples, fn, dtypes=("float32",), grad=False, **options)


def wraps(f):
    """NumPy's own wrapping, without its warnings."""

    def ref(a, b):
        with np.errstate(all="ignore"):
            return f(a, b)

    return ref


BINARY = [
    binary("add", np.add),
    binary("sub", np.subtract),
    binary("mul", np.multiply),
    binary("div", np.divide, [*DIVISORS, S(A((19,), special=EDGES, grad=False), A((19,), special=EDGES[::-1], grad=False))]),
    binary("floor_divide", np.floor_divide, DIVISORS, grad=False, dtypes=("float32", "float64")),
    binary("remainder", np.mod, DIVISORS, grad=False, dtypes=("float32", "float64"), tol={"float32": 1e-5}),
    binary("pow", np.power, [S(A((17,), 0.2, 3), A((17,))), S(A((3, 1), 0.2, 3), A((4,), -2, 2)),
                             *(S(A((23,), 0.3, 2), p) for p in (2, 2.0, 0.5, 3, -1, 1, 0, 1.7))]),
    binary("pow-specials", np.power, [S(A((11,), special=EDGES, grad=False), p) for p in (0, 1, 2, 3, -1, 0.3)], lamella.pow),
    binary("maximum", np.maximum, DISTINCT),
    binary("minimum", np.minimum, DISTINCT),
    binary("maximum-nan", np.maximum, PAIRS, lamella.maximum, grad=False),
    binary("minimum-nan", np.minimum, PAIRS, lamella.minimum, grad=False),
    binary("atan2", np.arctan2),
    *(binary(op, ref, [*PAIRS, *INTEGERS[:5]], grad=False) for op, ref in (
        ("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater),
        ("ge", np.greater_equal))),
    *(binary(op, getattr(np, op), LOGIC, grad=False) for op in ("logical_and", "logical_or", "logical_xor")),
    *(integer(op, getattr(np, op)) for op in ("bitwise_and", "bitwise_or", "bitwise_xor")),
    integer("add-int", wraps(np.add), fn=lamella.add),
    integer("sub-int", wraps(np.subtract), fn=lamella.sub),
    integer("mul-int", wraps(np.multiply), fn=lamella.mul),
    integer("maximum-int", np.maximum, fn=lamella.maximum),
    integer("floor_divide-int", np.floor_divide, SIGNED, lamella.floor_divide, bad=[
        Bad(lambda: lamella.tensor([1, 2]) // lamella.tensor([1, 0]), ValueError, "[floor_divide] divisor must not be zero"),
        Bad(lambda: lamella.tensor([1, 2]) % 0, ValueError, "[remainder] divisor must not be zero"),
    ]),
    integer("remainder-int", np.mod, SIGNED, lamella.remainder),
    integer("pow-int", wraps(np.power), [S(I((31,), -5, 6), I((31,), 0, 5)), S(I((31,), -5, 6, "int32"), 3)], lamella.pow),
]

CHOICE = [
    Case("where", lamella.where, np.where,
         [S(B((17,)), A((17,)), A((17,))), S(B((3, 1)), A((4,)), A((3, 4))), S(B((1031,)), A((1031,)), 2.0),
          S(B((40, 130)), 1.5, A((130,)))], kernels=("where",), dtypes=ALL_FLOATS, bad=[
        Bad(lambda: lamella.where(lamella.ones(3), lamella.ones(3), 0.0), TypeError, "[where] condition must be bool"),
        Bad(lambda: lamella.where(lamella.ones(3) > 0, lamella.ones(4), 0.0), ValueError, "[where]")]),
    Case("masked_fill", lamella.masked_fill, lambda x, m, v: np.where(m, v, x),
         [S(A((5, 7)), B((7,)), -1.5), S(A((70, 33)), B((70, 1)), 0.5), S(A((70, 16)), B((16,)), 0.5)],
         kernels=("where",), dtypes=ALL_FLOATS),
    Case("clamp", lamella.clamp, lambda x, low=None, high=None: np.clip(x, low, high),
         [S(A((67,)), -0.5, 0.7), S(A((3, 17)), -0.5), S(A((19,)), None, 0.5), S(I((40,), -9, 9), -3, 4)],
         kernels=("unary", "binary"), dtypes=ALL_FLOATS,
         bad=[Bad(lambda: lamella.clamp(lamella.ones(3)), ValueError, "[clamp] min and max must not both be None")]),
    Case("lerp", lamella.lerp, lambda a, b, w: a + w * (b - a), [S(A((5, 7)), A((7,)), 0.3), S(A((9,)), A((9,)), A((9,))),
          S(A((3, 1)), A((1, 67)), A((3, 67)))], kernels=("ternary",), dtypes=ALL_FLOATS, tol={"float32": 4e-6}),
    Case("addcmul", lamella.addcmul, lambda x, a, b, value=1: x + value * a * b, [S(A((5, 7)), A((7,)), A((5, 1)), value=0.3),
         S(A((1031,)), A((1031,)), A((1031,)))], kernels=("ternary",), dtypes=ALL_FLOATS),
    Case("addcdiv", lamella.addcdiv, lambda x, a, b, value=1: x + value * a / b, [S(A((5, 7)), A((7,)), positive((5, 1)), value=0.3)],
         kernels=("ternary",), dtypes=ALL_FLOATS),
    Case("isclose", lamella.isclose, np.isclose, [S(A((19,), special=EDGES), A((19,), special=EDGES))], grad=False),
]


def cast_samples():
    return [S(A((67,), -100, 100), t) for t in ("int64", "int32", "int16", "int8")] + [
        S(A((19,), special=EDGES), "bool"), S(A((41, 37), 0, 200), "uint8"), S(A((9,), -90, 90), "float64"),
        *(S(I((67,), -100, 100, a), b) for a in ("int64", "int32", "int16", "int8") for b in ("int8", "int64", "int32", "bool")),
    ]


def cast_ref(x, dtype):
    return x.astype(dtype) if dtype != "float64" else x


CASTS = [
    Case("cast", lambda x, t: x.to(getattr(lamella, t)) if t != "float64" else x.to(lamella.float64).to(x.dtype), cast_ref,
         cast_samples(), kernels=("cast",), dtypes=ALL_FLOATS, grad=False),
    Case("transposed-copy", lambda x: x.permute(2, 0, 1).contiguous(), lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)),
         [S(A(shape)) for shape in ((2, 3, 4), (5, 33, 67), (1, 130, 257), (3, 64, 64), (0, 4, 4))], kernels=("cast", "fill"),
         dtypes=ALL_FLOATS),
]

BAD = Case("elementwise-errors", lamella.exp, np.exp, [S(A((3,)))], bad=[
    Bad(lambda: lamella.ones(2, 3) + lamella.ones(4), ValueError, "[add]"),
    Bad(lambda: lamella.ones(2) & lamella.ones(2), TypeError, "[bitwise_and] operands must be integers or bool, got float32"),
    Bad(lambda: (lamella.ones(2) > 0) - (lamella.ones(2) > 0), TypeError, "[sub] operands must not both be bool"),
    Bad(lambda: -(lamella.ones(2) > 0), TypeError, "[neg] input must be a number, got bool"),
    Bad(lambda: lamella.tensor([1, 2]).__iadd__(0.5), TypeError, "[add] in-place result must fit int64, got float32"),
    Bad(lambda: lamella.ones(3).__iadd__(lamella.ones(2, 3)), ValueError, "[add] in-place result must have shape (3,)"),
])

CASES = [*UNARY, *BINARY, *CHOICE, *CASTS, BAD]
