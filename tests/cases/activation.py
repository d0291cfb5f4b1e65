# SPDX-License-Identifier: MIT
"""Activation functions against their formulas."""

import math

import numpy as np

import lamella
import lamella.ops as ops
from case import ALL_FLOATS, FLOATS, A, Bad, Case, S

from .elementwise import SIZES

TOL = {"float32": 4e-6, "bfloat16": 2e-2}
SPECIAL = (0.0, -0.0, math.nan, 1e-30, 30.0, -30.0, 100.0, -100.0)


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta)


def cdf(x):
    return np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)), otypes=[np.float64])(x)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def act(name, ref, *options, kernels=("unary", "binary"), dtypes=ALL_FLOATS, bad=(), **kwargs):
    fn = getattr(ops, name)
    samples = [S(A(shape, grad=math.prod(shape) < 1000), *options, **kwargs) for shape in SIZES] + [S(A((29,), special=SPECIAL), *options, **kwargs)]
    return Case("-".join([name, *map(str, options), *map(str, kwargs.values())]), fn, ref, samples, kernels=kernels,
                dtypes=dtypes, tol={t: v for t, v in TOL.items() if t in dtypes}, bad=bad)


def gumbel(x, tau, dim):
    lamella.manual_seed(5)
    u = lamella.rand(x.shape, dtype=lamella.float64).numpy()
    e = np.exp((x - np.log(-np.log(u))) / tau)
    return e / e.sum(dim, keepdims=True)


def seeded_gumbel(x, tau, dim):
    lamella.manual_seed(5)
    return ops.gumbel_softmax(x, tau, dim=dim)


CASES = [
    act("relu", lambda x: np.maximum(x, 0)),
    act("sigmoid", sigmoid),
    act("logsigmoid", lambda x: -np.logaddexp(0, -x)),
    act("silu", lambda x: x * sigmoid(x)),
    act("gelu", lambda x: x * cdf(x), bad=[
        Bad(lambda: ops.gelu(ops.ones(3), "exact"), ValueError, "[gelu] approximate must be 'none' or 'tanh', got 'exact'"),
    ]),
    act("gelu", lambda x, approximate: gelu_tanh(x), approximate="tanh"),
    act("softplus", softplus),
    act("softplus", softplus, 2.0, 3.0),
    act("leaky_relu", lambda x, s=0.01: np.where(x > 0, x, s * x)),
    act("leaky_relu", lambda x, s=0.01: np.where(x > 0, x, s * x), 0.2),
    act("elu", elu),
    act("elu", elu, 0.7),
    act("selu", lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    act("celu", lambda x, a: np.maximum(x, 0) + np.minimum(0, a * np.expm1(np.minimum(x, 0) / a)), 1.5, bad=[
        Bad(lambda: ops.celu(ops.ones(3), 0), ValueError, "[celu] alpha must not be 0, got 0")]),
    act("relu6", lambda x: np.clip(x, 0, 6)),
    act("hardtanh", lambda x: np.clip(x, -1, 1)),
    act("hardsigmoid", lambda x: np.clip(x + 3, 0, 6) / 6),
    act("hardswish", lambda x: x * np.clip(x + 3, 0, 6) / 6),
    act("mish", lambda x: x * np.tanh(np.logaddexp(0, x))),
    act("softsign", lambda x: x / (1 + np.abs(x))),
    act("tanhshrink", lambda x: x - np.tanh(x), dtypes=FLOATS),
    act("softshrink", lambda x: x - np.clip(x, -0.5, 0.5)),
    act("softshrink", lambda x, w: x - np.clip(x, -w, w), 0.25, bad=[
        Bad(lambda: ops.softshrink(ops.ones(3), -1.0), ValueError, "[softshrink] lambd must not be negative, got -1.0")]),
    act("hardshrink", lambda x: np.where(np.abs(x) <= 0.5, 0, x)),
    act("threshold", lambda x, t, v: np.where(x <= t, v, x), 0.125, -2.0),
    act("hardtanh", lambda x, low, high: np.clip(x, low, high), -0.5, 2.0, bad=[
        Bad(lambda: ops.hardtanh(ops.ones(3), 1.0, -1.0), ValueError, "[hardtanh] min_val must not lie above max_val, got 1.0 and -1.0")]),
    act("rrelu", lambda x, lower, upper: np.where(x > 0, x, x * (lower + upper) / 2), 0.1, 0.5, bad=[
        Bad(lambda: ops.rrelu(ops.ones(3), 0.5, 0.1), ValueError, "[rrelu] lower must not lie above upper, got 0.5 and 0.1")]),
    Case("step", ops.step, lambda x: np.where(np.isnan(x), x, x >= 0), [S(A((9,), special=(0.0, -0.0, math.nan, math.inf)))],
         dtypes=ALL_FLOATS, grad=False),
    Case("prelu", ops.prelu, lambda x, w: np.where(x > 0, x, w.reshape(-1, 1) * x), [S(A((2, 3, 7)), A((3,)))], bad=[
        Bad(lambda: ops.prelu(ops.ones(2, 3), ops.ones(4)), ValueError, "[prelu] weight must have 1 element or one per channel")]),
    Case("gumbel_softmax", seeded_gumbel, gumbel, [S(A((3, 5)), 0.7, -1), S(A((4, 3)), 2.0, 0)], dtypes=("float64",), layouts=False,
         bad=[Bad(lambda: ops.gumbel_softmax(ops.ones(3), 0), ValueError, "[gumbel_softmax] tau must be positive, got 0")]),
]
