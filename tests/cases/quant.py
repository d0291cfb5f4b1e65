# SPDX-License-Identifier: MIT
"""int8 products."""

import lamella
import lamella.ops as ops
from case import A, Bad, Case, I, S
from lamella import int8

# Edges of words (2, 4), of tiles (4 to 12 rows, 8 to 32 columns), of a block of k (1024, 2048), of a task.
SIZES = [(1, 1, 1), (2, 3, 4), (7, 17, 9), (12, 32, 16), (13, 33, 67), (25, 31, 3), (1, 70, 130), (70, 1, 130), (0, 3, 4), (3, 4, 0)]
BIG = [(50, 70, 2055), (130, 140, 150), (5, 300, 4100)]


def mat(m, n, k, low=-128, high=128):
    return I((m, k), low, high, "int8"), I((k, n), low, high, "int8")


def scaled(x, y, a, b, bias=None):
    return (x.astype("int64") @ y.astype("int64")) * a.reshape(-1, 1) * b + (0 if bias is None else bias)


x, y = lamella.ones(3, 4, dtype=int8), lamella.ones(4, 2, dtype=int8)
one = lamella.ones(1)

CASES = [
    Case(
        "int_mm",
        ops.int_mm,
        lambda x, y: (x.astype("int64") @ y.astype("int64")).astype("int32"),
        [S(*mat(*s)) for s in SIZES + BIG] + [S(*mat(9, 40, 300, low, low + 1)) for low in (-128, 127)],
        kernels=("gemm_int8",),
        grad=False,
        bad=[
            Bad(lambda: ops.int_mm(x, x), ValueError, "[int_mm] inner sizes must match, got (3, 4) and (3, 4)"),
            Bad(lambda: ops.int_mm(x[0], y), ValueError, "[int_mm] input must have 2 dimensions, got (4,)"),
            Bad(lambda: ops.int_mm(x, y.float()), TypeError, "[int_mm] mat2 must have dtype int8, got float32"),
            Bad(lambda: ops.int_mm(x, y, one), ValueError, "a_scale and b_scale must come together"),
            Bad(lambda: ops.int_mm(x, y, bias=one), ValueError, "bias must come with scales"),
            Bad(lambda: ops.int_mm(x, y, lamella.ones(2), one), ValueError, "a_scale must have shape (3,) or 1 element, got (2,)"),
            Bad(lambda: ops.int_mm(x, y, one, one.double()), TypeError, "b_scale must have dtype float32, got float64"),
            Bad(lambda: ops.int_mm(x, y, one, one, lamella.ones(3)), ValueError, "bias must have shape (2,), got (3,)"),
        ],
    ),
    Case(
        "int_mm-scaled",
        ops.int_mm,
        scaled,
        [S(*mat(m, n, k), A((m,)), A((n,)), A((n,))) for m, n, k in SIZES + BIG]
        + [S(*mat(7, 9, 20), A((1,)), A((9,))), S(*mat(7, 9, 20), A(()), A(()), A((9,)))],
        kernels=("gemm_int8",),
        dtypes=("float32",),
        tol={"float32": 4e-6},
        grad=False,
    ),
]
