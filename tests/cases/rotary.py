# SPDX-License-Identifier: MIT
"""Rotary positions against complex multiplication."""


import lamella
from case import ALL_FLOATS, A, Bad, Case, S
from lamella.nn import functional as F
from lamella.ops.rotary import rotary_unfused


def rotary(x, cos, sin, interleaved=False):
    r = 2 * cos.shape[-1]
    y = x.copy()
    first, second = (slice(0, r, 2), slice(1, r, 2)) if interleaved else (slice(0, r // 2), slice(r // 2, r))
    z = (x[..., first] + 1j * x[..., second]) * (cos + 1j * sin)
    y[..., first], y[..., second] = z.real, z.imag
    return y


def sample(shape, pairs, **options):
    return S(A(shape), A((shape[-2], pairs), -1, 1, grad=False), A((shape[-2], pairs), -1, 1, grad=False), **options)


x, half = lamella.zeros(2, 3, 8), lamella.zeros(3, 4)
SAMPLES = [
    sample((2, 3, 5, 64), 32),
    sample((7, 35), 17),
    sample((2, 2, 3, 40), 9),
    sample((2, 5, 6), 3, interleaved=True),
    sample((3, 4, 70), 33, interleaved=True),
    sample((2, 0, 4), 2),
]

CASES = [
    Case(
        "rotary_embedding",
        F.rotary_embedding,
        rotary,
        SAMPLES,
        kernels=("rotary",),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.rotary_embedding(x, half[:2], half), ValueError, "cos must have shape (3, at most 4) for input (2, 3, 8), got (2, 4)"),
            Bad(lambda: F.rotary_embedding(x, half, half[:2]), ValueError, "[rotary_embedding] sin must have shape (3, 4), got (2, 4)"),
            Bad(lambda: F.rotary_embedding(x.long(), half, half), TypeError, "[rotary_embedding] input must have a floating dtype"),
            Bad(lambda: F.rotary_embedding(x[0, 0], half, half), ValueError, "[rotary_embedding] input must have 2 to 9 dimensions"),
        ],
    ),
    Case("rotary_embedding unfused", rotary_unfused, rotary, SAMPLES[2:4]),
]
