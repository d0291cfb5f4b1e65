# SPDX-License-Identifier: MIT
"""Accuracy of the elementary functions: largest errors in ulp as cpp/kernels/vecmath.h states them, on every ISA, over
samples of all bit patterns, of the working range and of the places where C's <math.h> is special."""

import math

import numpy as np
import pytest

import lamella
from harness import ISAS, running

LIMIT = {  # ulp, as documented
    "exp": 1.1, "expm1": 1.8, "log": 0.8, "log1p": 0.8, "tanh": 2.6, "sigmoid": 2.2, "erf": 5, "sin": 1.5, "cos": 1.5,
    "rsqrt": 1.5, "sqrt": 0.51, "floor": 0, "ceil": 0, "round": 0, "trunc": 0,
}
RANGE = {"exp": 100, "expm1": 90, "tanh": 11, "sigmoid": 100, "erf": 5, "sin": 200, "cos": 200}
LONG = np.longdouble


def long_erf(x):
    """Maclaurin series below 2, else 1 - erfc from float64: there erf is within 0.005 of 1."""
    a = np.minimum(np.abs(x), LONG(2))
    term, total = a.copy(), a.copy()
    for k in range(1, 60):
        term = term * -a * a / k
        total += term / (2 * k + 1)
    small = total * 2 / np.sqrt(LONG("3.14159265358979323846264338327950288"))
    large = 1 - np.vectorize(math.erfc, otypes=[np.float64])(np.abs(x).astype(np.float64)).astype(LONG)
    return np.copysign(np.where(np.isnan(x), x, np.where(np.abs(x) < 2, small, large)), x)


REFERENCE = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "rsqrt": lambda x: 1 / np.sqrt(x), "sqrt": np.sqrt, "floor": np.floor,
    "ceil": np.ceil, "round": np.rint, "trunc": np.trunc, "erf": long_erf,
}
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 1e-45, -1e-45, 1e-40, 88.7, 88.73, -87.5, -103.9, -104.1,
           709.7, 709.8, -745.1, -745.2, 1e30, -1e30, 2.5, 3.5, -0.5, 0.5, 5e-324, 1.5e5, 3e6]  # fmt: skip


def samples(name, dtype, n=20000):
    rng = np.random.default_rng(len(name))
    bits = rng.integers(0, 2 ** (8 * dtype().itemsize), n, dtype=np.uint64 if dtype is np.float64 else np.uint32)
    span = RANGE.get(name, 4)
    parts = [np.array(SPECIAL), bits.view(dtype), rng.uniform(-span, span, n), rng.uniform(-1, 1, n)]
    parts.append(10 ** rng.uniform(-8, 5, n) * rng.choice([-1, 1], n))
    with np.errstate(over="ignore", under="ignore"):
        return np.concatenate([p.astype(dtype) for p in parts])


def largest_error(got, want, dtype):
    """In units of the last place of the exact value; where the result is not finite it must be the same."""
    info = np.finfo(dtype)
    rounded = want.astype(dtype)
    finite = np.isfinite(rounded) & np.isfinite(got)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    np.testing.assert_array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))
    exponent = np.floor(np.log2(np.maximum(np.abs(want[finite]), LONG(info.smallest_normal))))
    return float(np.max(np.abs(got[finite].astype(LONG) - want[finite]) / np.exp2(exponent - info.nmant)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", LIMIT)
def test_unary_within_documented_ulp(name, dtype, isa):
    x = samples(name, dtype)
    with np.errstate(all="ignore"):
        want = REFERENCE[name](x.astype(LONG))
        with running(isa):
            got = getattr(lamella, name)(lamella.from_numpy(x)).numpy()
        assert largest_error(got, want, dtype) <= LIMIT[name]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "reference", "limit"), [("pow", np.power, 0.8), ("atan2", np.arctan2, 1.8)], ids=["pow", "atan2"])
def test_binary_within_documented_ulp(name, reference, limit, dtype, isa):
    grid = np.array([0, -0.0, math.inf, -math.inf, math.nan, 1, -1, 2, -2, 3, 0.5, -0.5, -3, 1e10, -1e10, 3e38], dtype)
    gx, gy = (g.ravel() for g in np.meshgrid(grid, grid))
    x, y = samples(name, dtype), np.random.default_rng(1).permutation(samples(name, dtype))
    bases = np.exp(np.random.default_rng(2).normal(0, 1, (4, 20000)) * [[1e-3], [0.02], [1], [10]]).ravel()
    logs = np.random.default_rng(3).uniform(*((-103, 89) if dtype is np.float32 else (-745, 710)), bases.size)  # those of x^y
    x = np.concatenate([gx, x, np.abs(x), bases.astype(dtype)])
    y = np.concatenate([gy, y, y, (logs / np.log(bases)).astype(dtype)])
    with np.errstate(all="ignore"):
        want = reference(x.astype(LONG), y.astype(LONG))
        with running(isa):
            got = getattr(lamella, name)(lamella.from_numpy(x), lamella.from_numpy(y)).numpy()
        assert largest_error(got, want, dtype) <= limit
