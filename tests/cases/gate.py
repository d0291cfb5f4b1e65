# SPDX-License-Identifier: MIT
"""Gated linear units."""

import numpy as np

import lamella.ops as ops
from case import ALL_FLOATS, A, Bad, Case, S

from .activation import cdf, sigmoid


def halves(gate):
    return lambda x, dim=-1: gate(*np.split(x, 2, dim))


def case(op, gate):
    fn = getattr(ops, op)
    return Case(
        op,
        fn,
        halves(gate),
        [S(A((3, 10))), S(A((4, 3)), 0), S(A((2, 34, 5)), 1), S(A((2,))), S(A((3, 0))), S(A((2, 70_000), grad=False))],
        kernels=("gate_fwd", "gate_bwd"),
        dtypes=ALL_FLOATS,
        tol={"float32": 4e-6, "bfloat16": 2e-2},
        bad=[
            Bad(lambda: fn(ops.ones(3)), ValueError, f"[{op}] input must have an even size along dim -1, got (3,)"),
            Bad(lambda: fn(ops.ones(())), ValueError, f"[{op}] input must have a dimension to halve, got a scalar"),
            Bad(lambda: fn(ops.ones(4), 1), IndexError, op),
            Bad(lambda: fn(ops.arange(4)), TypeError, f"[{op}] input must have a floating dtype, got int64"),
        ],
    )


CASES = [
    case("glu", lambda a, b: a * sigmoid(b)),
    case("swiglu", lambda a, b: a * sigmoid(a) * b),
    case("geglu", lambda a, b: a * cdf(a) * b),
]
