# SPDX-License-Identifier: MIT
"""Diagonals, turns, splits and joins by NumPy's names, grids of indices; further products."""

import itertools

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, I, S


def diag_embed(x, offset=0):
    n = x.shape[-1] + abs(offset)
    y = np.zeros((*x.shape[:-1], n, n))
    i = np.arange(x.shape[-1])
    y[..., i + max(0, -offset), i + max(0, offset)] = x
    return y


def block_diag(*blocks):
    blocks = [np.atleast_2d(b) for b in blocks]
    y = np.zeros([sum(b.shape[d] for b in blocks) for d in (0, 1)])
    r = c = 0
    for b in blocks:
        y[r : r + b.shape[0], c : c + b.shape[1]] = b
        r, c = r + b.shape[0], c + b.shape[1]
    return y


def atleast_3d(x):
    return x.reshape(1, -1, 1) if x.ndim == 1 else np.atleast_3d(x)


RECTANGLES = [S(A((3, 5))), S(A((4, 2)), 1), S(A((4, 2)), -2)]

CASES = [
    Case("diag", lamella.diag, np.diag, [*RECTANGLES, S(A((4,))), S(A((4,)), 1), S(A((4,)), -2)],
         bad=[Bad(lambda: lamella.ones(2, 2, 2).diag(), ValueError, "[diag] input must have 1 or 2 dimensions")]),
    Case("diag_embed", lamella.diag_embed, diag_embed, [S(A((3, 4))), S(A((3, 4)), 2), S(A((4,)), -1)]),
    Case("diagflat", lamella.diagflat, np.diagflat, [S(A((2, 3))), S(A((3,)), 1)]),
    Case("block_diag", lamella.block_diag, block_diag, [S(A((2, 3)), A((1, 4)), A((2,)), A(()))]),
    Case("rot90", lamella.rot90, lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims),
         [S(A((3, 5)), k) for k in range(4)] + [S(A((2, 3, 4)), 1, (2, 0))], dtypes=ALL_FLOATS,
         bad=[Bad(lambda: lamella.ones(2, 2).rot90(1, (0, 0)), ValueError, "[rot90] dims must be two different dimensions")]),
    Case("fliplr-flipud", lambda x: (lamella.fliplr(x), lamella.flipud(x)), lambda x: (np.fliplr(x), np.flipud(x)), [S(A((3, 5)))],
         bad=[Bad(lambda: lamella.ones(2).fliplr(), ValueError, "[fliplr] input must have at least 2 dimensions")]),
    Case("tensor_split", lamella.tensor_split, lambda x, n, dim=0: np.array_split(x, n, dim),
         [S(A((7,)), 3), S(A((3, 5)), 2, 1), S(A((7,)), (2, 4)), S(A((7,)), (1, 9))],
         bad=[Bad(lambda: lamella.ones(2).tensor_split(0), ValueError, "[tensor_split] sections must be positive, got 0")]),
    Case("hsplit", lamella.hsplit, np.hsplit, [S(A((4,)), 2), S(A((3, 6)), 3), S(A((3, 6)), (1, 4))],
         bad=[Bad(lambda: lamella.ones(3).hsplit(2), ValueError, "[hsplit] sections must divide 3, got 2")]),
    Case("vsplit-dsplit", lambda x: (*lamella.vsplit(x, 2), *lamella.dsplit(x, 2)), lambda x: (*np.vsplit(x, 2), *np.dsplit(x, 2)),
         [S(A((4, 2, 6)))]),
    Case("dstack", lambda *t: lamella.dstack(t), lambda *t: np.dstack(t),
         [S(A((3,)), A((3,))), S(A((2, 3)), A((2, 3))), S(A((2, 3, 4)), A((2, 3, 1)))]),
    Case("column_stack", lambda *t: lamella.column_stack(t), lambda *t: np.column_stack(t), [S(A((3,)), A((3, 2)))]),
    Case("row_stack", lambda *t: lamella.row_stack(t), lambda *t: np.vstack(t), [S(A((3,)), A((2, 3)))]),
    Case("atleast", lambda x: (lamella.atleast_1d(x), lamella.atleast_2d(x), lamella.atleast_3d(x)),
         lambda x: (np.atleast_1d(x), np.atleast_2d(x), atleast_3d(x)), [S(A(())), S(A((3,))), S(A((2, 3)))]),
    Case("cartesian_prod", lamella.cartesian_prod, lambda *t: np.array(list(itertools.product(*t))), [S(A((2,)), A((3,)), A((2,)))]),
    Case("combinations", lamella.combinations, lambda x, r=2: np.array(list(itertools.combinations(x, r))), [S(A((5,))), S(A((5,)), 3)],
         bad=[Bad(lambda: lamella.combinations(lamella.ones(2, 2)), ValueError,
                  "[combinations] input must be 1-D, got (2, 2)")]),
    Case("triangle-indices", lambda r, c, k: (lamella.tril_indices(r, c, k), lamella.triu_indices(r, c, k)),
         lambda r, c, k: (np.stack(np.tril_indices(r, k, c)), np.stack(np.triu_indices(r, k, c))), [S(3, 5, 0), S(4, 2, 1), S(3, 3, -1)]),
    Case("vander", lamella.vander, np.vander, [S(A((5,))), S(A((5,)), 3, True)], tol={"float32": 1e-5}),
    Case("trace", lamella.trace, np.trace, [S(A((4, 5)))],
         bad=[Bad(lambda: lamella.ones(2).trace(), ValueError, "[trace] input must have 2 dimensions")]),
    Case("inner", lamella.inner, np.inner, [S(A((5,)), A((5,))), S(A((2, 3, 5)), A((4, 5))), S(A(()), A((3,)))], tol={"float32": 1e-5},
         bad=[Bad(lambda: lamella.inner(lamella.ones(2), lamella.ones(3)), ValueError, "[inner] last sizes must match")]),
    Case("vecdot", lamella.linalg.vecdot, lambda x, y, dim=-1: (x * y).sum(dim),
         [S(A((3, 5)), A((5,))), S(A((3, 5)), A((3, 5)), dim=0), S(A((2, 3, 40)), A((2, 3, 40)))],
         tol={"float32": 1e-5}),
    Case("kron", lamella.kron, np.kron, [S(A((2, 3)), A((4, 1))), S(A((3,)), A((2, 2)))]),
    Case("cross", lamella.cross, lambda a, b, dim=-1: np.cross(a, b, axis=dim),
         [S(A((4, 3)), A((4, 3))), S(A((3, 4)), A((3, 4)), 0), S(A((5, 3, 7)), A((1, 3, 7)), 1), S(A((350, 3)), A((350, 3))),
          S(A((3, 40_000), grad=False), A((3, 40_000), grad=False), 0), S(A((0, 3)), A((0, 3)))],
         kernels=("cross",), dtypes=ALL_FLOATS, tol={"float32": 1e-5, "bfloat16": 4e-2, "float16": 4e-3},
         bad=[Bad(lambda: lamella.cross(lamella.ones(2), lamella.ones(2)), ValueError, "[cross] input must have a dimension of size 3")]),
    Case("addmv", lamella.addmv, lambda x, m, v, beta=1, alpha=1: beta * x + alpha * (m @ v), [S(A((3,)), A((3, 5)), A((5,)), beta=0.5, alpha=2)],
         tol={"float32": 1e-5}),
    Case("addr", lamella.addr, lambda x, a, b: x + np.outer(a, b), [S(A((3, 5)), A((3,)), A((5,)))]),
    Case("addbmm", lamella.addbmm, lambda x, a, b: x + (a @ b).sum(0), [S(A((3, 2)), A((4, 3, 5)), A((4, 5, 2)))], tol={"float32": 1e-5}),
    Case("matrix_power", lamella.matrix_power, np.linalg.matrix_power, [S(A((3, 3)), 0), S(A((3, 3)), 5), S(A((2, 3, 3)), 2)], tol={"float32": 2e-5},
         bad=[Bad(lambda: lamella.matrix_power(lamella.ones(2, 2), -1), ValueError, "[matrix_power] n must not be negative, got -1")]),
    Case("chain_matmul", lamella.chain_matmul, lambda *m: np.linalg.multi_dot(m),
         [S(A((3, 50)), A((50, 4)), A((4, 9)), A((9, 2)))], tol={"float32": 2e-5}),
    Case("einsum-sublists", lambda a, b: lamella.einsum(a, [0, 1], b, [1, 2], [2, 0]), lambda a, b: np.einsum("ij,jk->ki", a, b),
         [S(A((3, 5)), A((5, 2)))], tol={"float32": 1e-5}),
    Case("repeat_interleave-counts", lamella.repeat_interleave, lambda n: np.repeat(np.arange(len(n)), n), [S(I((5,), 0, 4))]),
]
