# SPDX-License-Identifier: MIT
"""Random fills and dropout against Philox 4x32-10 in NumPy; known answers and statistics are in tests/test_random.py."""

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, S
from lamella import _core, ops


def philox(seed, stream, blocks):
    """Words (blocks, 4) of counters 0 .. blocks - 1."""
    c = [np.arange(blocks, dtype=np.uint64), np.zeros(blocks, np.uint64)]
    c += [np.full(blocks, stream & 0xFFFFFFFF, np.uint64), np.full(blocks, stream >> 32, np.uint64)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & low, (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, 1)


def unit(n, seed, stream):
    """The first n numbers of a stream on [0, 1), 24 bits each."""
    return (philox(seed, stream, n // 4 + 1).reshape(-1)[:n] >> np.uint64(8)).astype(np.float64) * 2.0**-24


def dropout(x, p, block):
    return ops.random._dropout(x, p, block, 12345, 7)


def dropout_reference(x, p, block):
    draws = unit(-(-x.size // block), 12345, 7)
    keep = np.repeat(draws >= np.float32(p), block)[: x.size].reshape(x.shape)
    return np.where(keep, x / (1 - p) if p < 1 else 0.0, 0.0)


def uniform(x):
    """Fills like x with uniform numbers on [-1, 3) from a fixed stream."""
    y, g = lamella.empty(x.shape, dtype=lamella.float32, device=x), _core.Generator()
    g._seed, g._stream = 99, 5
    _core.uniform_(y, -1.0, 3.0, g)
    return y


CASES = [
    Case(
        "dropout",
        dropout,
        dropout_reference,
        [S(A((5, 7)), 0.3, 1), S(A((4, 3, 6)), 0.5, 6), S(A((70001,)), 0.1, 1), S(A((9,)), 1.0, 1), S(A((0,)), 0.5, 1)],
        kernels=("dropout",),
        dtypes=ALL_FLOATS,
        bad=[Bad(lambda: ops.dropout(lamella.zeros(3), 1.5), ValueError, "[dropout] p must be in [0, 1], got 1.5")],
    ),
    Case(
        "uniform",
        uniform,
        lambda x: np.float32(-1) + np.float32(4) * unit(x.size, 99, 5).astype(np.float32).reshape(x.shape),
        [S(A(s)) for s in ((1,), (3, 5), (40000,))],
        kernels=("random",),
        dtypes=("float32",),
        grad=False,
        layouts=False,
        bad=[
            Bad(lambda: lamella.randint(5, 5, (2,)), ValueError, "[randint] low must lie below high, got 5 and 5"),
            Bad(lambda: lamella.zeros(3).normal_(0.0, -1.0), ValueError, "[normal] std must not be negative, got -1"),
        ],
    ),
]
