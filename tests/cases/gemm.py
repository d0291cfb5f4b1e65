# SPDX-License-Identifier: MIT
"""Matrix products."""

import math

import numpy as np

import lamella
import lamella.ops as ops
from case import ALL_FLOATS, A, Bad, Case, S
from lamella.nn import functional as F
from lamella.ops.gemm import linear_activation

# Edges of the register tiles (2 to 12 rows, 8 to 32 columns), of a block of k (256) and of the paths.
SIZES = [(1, 1, 1), (2, 3, 4), (4, 8, 5), (6, 16, 7), (7, 17, 9), (12, 32, 16), (13, 33, 17), (5, 10, 64), (25, 31, 3)]
BIG = [(97, 101, 103), (50, 70, 300), (3, 2, 5000), (300, 40, 259)]
THIN = [(1, 40, 300), (300, 1, 40), (1, 1, 700), (1, 700, 8), (2, 700, 8)]
# Dot products: parts of a tile (4 rows, 2 or 4 columns), more than a task's 64 rows, than 1024 terms; few rows as few columns.
DOTS = [(5, 2, 64), (70, 3, 80), (5, 2, 1100), (9, 13, 600), (66, 8, 2050), (33, 20, 1024), (4, 150, 72), (2, 130, 700), (14, 31, 512)]
EMPTY = [(0, 3, 4), (3, 0, 4), (3, 4, 0)]


def mat(m, n, k):
    return S(A((m, k)), A((k, n)))


MATMUL = [mat(*s) for s in SIZES + BIG + THIN + EMPTY + [(40, 20, 1024), (8, 130, 512)]] + [
    S(A((7,)), A((7,))),
    S(A((7,)), A((7, 5))),
    S(A((4, 7)), A((7,))),
    S(A((3, 4, 7)), A((7,))),
    S(A((7,)), A((3, 7, 5))),
    S(A((3, 4, 7)), A((7, 5))),
    S(A((2, 3, 4, 7)), A((7, 5))),
    S(A((3, 4, 7)), A((3, 7, 5))),
    S(A((2, 1, 4, 7)), A((3, 7, 5))),
    S(A((1, 4, 7)), A((5, 7, 3))),
    S(A((4, 7)), A((5, 7, 3))),
    S(A((17, 33, 20)), A((17, 20, 35))),
    S(A((2, 0, 3)), A((2, 3, 4))),
    S(A((0, 2, 3)), A((0, 3, 4))),
]
LINEAR = [S(A((m, k)), A((n, k)), A((n,))) for m, n, k in SIZES[1:] + BIG + THIN + DOTS + EMPTY + [(32, 128, 64), (32, 10, 128)]] + [
    S(A((4, 7)), A((5, 7))),
    S(A((7,)), A((5, 7)), A((5,))),
    S(A((2, 3, 7)), A((5, 7)), A((5,))),
]
MODERATE = [  # results of about 1
    S(A((m, k), -1, 1), A((n, k), -0.3, 0.3), A((n,), -1, 1))
    for m, n, k in [(4, 8, 5), (13, 33, 17), (50, 70, 300), (1, 700, 8), (3, 4, 0), (21, 6, 300), (3, 70, 90)]
]
EINSUM = [
    S("ij,jk->ik", A((3, 4)), A((4, 5))),
    S("ij,jk", A((3, 4)), A((4, 5))),
    S("bij,bjk->bik", A((2, 3, 4)), A((2, 4, 5))),
    S("bhqd,bhkd->bhqk", A((2, 3, 4, 5)), A((2, 3, 6, 5))),
    S("...ij,...jk->...ik", A((2, 1, 3, 4)), A((5, 4, 3))),
    S("ii->i", A((4, 4))),
    S("ii", A((4, 4))),
    S("ij->ji", A((3, 4))),
    S("ij->", A((3, 4))),
    S("i,j->ij", A((3,)), A((4,))),
    S("i,i->", A((5,)), A((5,))),
    S("ij,ij->ij", A((3, 4)), A((3, 4))),
    S("ij,jk,kl->il", A((3, 4)), A((4, 5)), A((5, 2))),
    S("abc,cd,ae->bde", A((2, 3, 4)), A((4, 5)), A((2, 6))),
    S("ijk,k->ij", A((2, 3, 4)), A((4,))),
    S("...ij,...jk->...ik", A((1, 3, 4)), A((1, 4, 3))),  # leading sizes of 1 stay
    S("...i,oij,...j->...o", A((1, 3)), A((5, 3, 4)), A((1, 4))),
    S("...i,...i->...", A((1, 1, 3)), A((1, 4, 3))),
    S("...i->...", A((1, 3))),
    S("ij,jk->ik", A((2, 1)), A((4, 3))),  # a size of 1 for another
    S("ij,ij->ij", A((1, 3)), A((2, 3))),
    S("ij,jk,ik->k", A((2, 3)), A((3, 1)), A((2, 4))),
]


def addmm(c, a, b, beta=1, alpha=1):
    return beta * c + alpha * (a @ b)


def gelu(z):
    return z * 0.5 * np.vectorize(math.erfc, otypes=[np.float64])(-z / math.sqrt(2))


x = lamella.zeros(3, 4)
v = lamella.zeros(4)

CASES = [
    Case("matmul", ops.matmul, np.matmul, MATMUL, kernels=("gemm",), dtypes=ALL_FLOATS, bad=[
        Bad(lambda: ops.matmul(x, x), ValueError, "[matmul] inner sizes must match, got (3, 4) and (3, 4)"),
        Bad(lambda: ops.matmul(lamella.zeros(()), x), ValueError, "[matmul] operands must have at least 1 dimension"),
        Bad(lambda: ops.matmul(x, x.double()), TypeError, "[matmul] operands must have one dtype"),
        Bad(lambda: ops.matmul(v.long(), v.long()), TypeError, "[matmul] operands must be floating"),
        Bad(lambda: ops.matmul(lamella.zeros(2, 3, 4), lamella.zeros(3, 4, 5)), ValueError, "[matmul]"),
        Bad(lambda: ops.mm(x, v), ValueError, "[mm] mat2 must have 2 dimensions, got (4,)"),
        Bad(lambda: ops.mv(x, x), ValueError, "[mv] vec must have 1 dimension, got (3, 4)"),
        Bad(lambda: ops.dot(x, v), ValueError, "[dot] input must have 1 dimension, got (3, 4)"),
        Bad(lambda: ops.bmm(x, x), ValueError, "[bmm] input must have 3 dimensions, got (3, 4)"),
        Bad(lambda: ops.bmm(lamella.zeros(2, 3, 4), lamella.zeros(1, 4, 3)), ValueError, "[bmm] batch sizes must match"),
    ]),
    # the longest sums here have hundreds of terms: their float32 rounding is a few parts in a million of the scale
    Case("linear", ops.linear, lambda x, w, b=0: x @ w.T + b, LINEAR, kernels=("gemm",), dtypes=ALL_FLOATS, tol={"float32": 4e-6}, bad=[
        Bad(lambda: ops.linear(x, x.reshape(4, 3)), ValueError, "[linear] input must have 3 features in its last dimension, got (3, 4)"),
        Bad(lambda: ops.linear(x, v), ValueError, "[linear] weight must have 2 dimensions, got (4,)"),
        Bad(lambda: ops.linear(x, x, v), ValueError, "[linear] bias must have shape (3,), got (4,)"),
        Bad(lambda: ops.linear(x, x.double()), TypeError, "[linear] input and weight must have one dtype"),
    ]),
    Case("dot", ops.dot, np.dot, [S(A((n,)), A((n,))) for n in (0, 7, 4096, 9001)], kernels=("gemm",), dtypes=ALL_FLOATS,
         tol={"float32": 1e-5}),
    Case("linear relu", lambda x, w, b=None: linear_activation(x, w, b, "relu"), lambda x, w, b=0: np.maximum(x @ w.T + b, 0),
         LINEAR[1::3], kernels=("gemm",), dtypes=ALL_FLOATS, tol={"float32": 4e-6}),
    Case("linear gelu", lambda x, w, b=None: linear_activation(x, w, b, "gelu"), lambda x, w, b=0: gelu(x @ w.T + b),
         MODERATE, kernels=("gemm",), dtypes=ALL_FLOATS, tol={"float32": 4e-6}),
    Case("addmm", ops.addmm, addmm, [
        S(A((3, 5)), A((3, 4)), A((4, 5))),
        S(A((5,)), A((3, 4)), A((4, 5)), beta=0.5, alpha=2),
        S(A((3, 5)), A((3, 4)), A((4, 5)), beta=0),
    ], bad=[
        Bad(lambda: ops.addmm(lamella.zeros(2, 3, 3), x, x.T), ValueError, "[addmm] input must broadcast to (3, 3), got (2, 3, 3)"),
    ]),
    Case("baddbmm", ops.baddbmm, addmm, [S(A((2, 3, 5)), A((2, 3, 4)), A((2, 4, 5)), alpha=0.5)]),
    Case("outer", ops.outer, np.outer, [S(A((3,)), A((17,))), S(A((0,)), A((3,)))]),
    Case(
        "bilinear",
        F.bilinear,
        lambda a, b, w, z=0.0: np.einsum("...i,oij,...j->...o", a, w, b) + z,
        [S(A((1, 3)), A((1, 4)), A((5, 3, 4)), A((5,))), S(A((2, 3, 3)), A((2, 3, 4)), A((5, 3, 4)))],
        bad=[Bad(lambda: F.bilinear(x[:, :1], x, lamella.ones(2, 3, 4)), ValueError, "[bilinear] input1 and input2 must have the weight's")],
    ),
    Case("einsum", ops.einsum, np.einsum, EINSUM, bad=[
        Bad(lambda: ops.einsum("ij,jk->ik", x), ValueError, "[einsum] equation must name 1 operands"),
        Bad(lambda: ops.einsum("ij,jk->ik", x, x), ValueError, "[einsum] sizes of 'j' must match, got 4 and 3"),
        Bad(lambda: ops.einsum("ii->i", x[:1]), ValueError, "[einsum] sizes of 'i' must match, got 4 and 1"),
        Bad(lambda: ops.einsum("ijk->ik", x), ValueError, "[einsum] term 'ijk' must have one letter per dimension"),
        Bad(lambda: ops.einsum("ij->iz", x), ValueError, "[einsum] output letters must be distinct and occur"),
        Bad(lambda: ops.einsum("i1->i", x), ValueError, "[einsum] equation must hold letters"),
    ]),
    Case("tensordot", ops.tensordot, lambda a, b, dims=2: np.tensordot(a, b, dims), [
        S(A((2, 3, 4)), A((3, 4, 5))),
        S(A((2, 3)), A((4,)), 0),
        S(A((2, 3, 4)), A((4, 5, 3)), ([1, 2], [2, 0])),
    ], bad=[
        Bad(lambda: ops.tensordot(x, x, 1), ValueError, "[tensordot] contracted sizes must match"),
        Bad(lambda: ops.tensordot(x, x, 3), ValueError, "[tensordot] dims must be 0 to 2, got 3"),
        Bad(lambda: ops.tensordot(x, x, ([5], [0])), IndexError, "[tensordot] dims must be within 2 dimensions"),
    ]),
]
