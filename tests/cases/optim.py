# SPDX-License-Identifier: MIT
"""One step of each optimiser kernel; trajectories are in tests/test_optim.py."""

import numpy as np

import lamella
from case import ALL_FLOATS, A, Case, S
from lamella import _core


def _with(p, g):
    p = p.detach().clone()
    p.grad = g.detach()
    return p


def sgd(p, g, v):
    p, v = _with(p, g), v.detach().clone()
    _core.sgd_step([p], [v], 0.1, 0.9, 0.2, 0.01, True, False, False)
    return p, v


def sgd_reference(p, g, v):
    g = g + 0.01 * p
    v = 0.9 * v + 0.8 * g
    return p - 0.1 * (g + 0.9 * v), v


def adamw(p, g, m, v):
    p, m, v = _with(p, g), m.detach().clone(), v.detach().clone()
    _core.adam_step([p], [m], [v], [], 0.1, 0.9, 0.99, 1e-3, 0.2, 3, True, False)
    return p, m, v


def adamw_reference(p, g, m, v):
    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
    step = 0.1 * (m / (1 - 0.9**3)) / (np.sqrt(v / (1 - 0.99**3)) + 1e-3)
    return p * (1 - 0.1 * 0.2) - step, m, v


def norm(a, b, p):
    return lamella.tensor(_core.grad_norm([a, b], p), dtype=a.dtype)


def clamped(a, b):
    a, b = a.detach().clone(), b.detach().clone()
    _core.clamp_all([a, b], -0.5, 1.25)
    return a, b


def scaled(a, b):
    a, b = a.detach().clone(), b.detach().clone()
    _core.scale_all([a, b], 0.25)
    return a, b


NAN, INF = float("nan"), float("inf")
SIZES = ((0,), (1,), (37,), (130, 131), (70000,))
ONCE = dict(grad=False, layouts=False)
CASES = [
    Case("sgd_step", sgd, sgd_reference, [S(A(s), A(s), A(s)) for s in SIZES], ("sgd_step",), ALL_FLOATS, **ONCE),
    Case("adam_step", adamw, adamw_reference, [S(A(s), A(s), A(s), A(s, 0.1, 2)) for s in SIZES], ("adam_step",), ALL_FLOATS, **ONCE),
    Case(
        "grad_norm",
        norm,
        lambda a, b, p: np.linalg.norm(np.r_[a.reshape(-1), b.reshape(-1)], p),
        [S(A(s), A((5, 3)), p) for s in SIZES for p in (2.0, 1.0, INF)]
        + [S(A((9,)), A((5,), special=(NAN,)), p) for p in (2.0, 1.0, INF)]
        + [S(A((9,), special=(NAN,)), A((70_000,)), INF)],
        ("grad_norm",),
        ALL_FLOATS,
        **ONCE,
    ),
    Case(
        "clamp_all",
        clamped,
        lambda a, b: (np.clip(a, -0.5, 1.25), np.clip(b, -0.5, 1.25)),
        [S(A(s), A((5, 3), special=(NAN,))) for s in SIZES],
        ("clamp_all",),
        ALL_FLOATS,
        **ONCE,
    ),
    Case("scale_all", scaled, lambda a, b: (a * 0.25, b * 0.25), [S(A(s), A((5, 3))) for s in SIZES], ("scale_all",), ALL_FLOATS, **ONCE),
]
