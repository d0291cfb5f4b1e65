# SPDX-License-Identifier: MIT
"""One step of each optimiser kernel; trajectories are in tests/test_optim.py."""

import math

import numpy as np

import lamella
from case import ALL_FLOATS, A, Bad, Case, S
from lamella import _core, ops


# The formula of each rule (kernels/optim_formulas.h) on p, d and states: numbers, ranges of the states, and what it does.
def momentum(p, d, n, v):
    v = n[0] * v + n[1] * d
    return p - n[2] * d - n[3] * v, v


def moments(d, n, m, v):
    return n[0] * m + n[1] * d, n[2] * v + n[3] * d * d


def adam(p, d, n, m, v):
    m, v = moments(d, n, m, v)
    return p - n[4] * m / (np.sqrt(v) * n[5] + n[6]), m, v


def amsgrad(p, d, n, m, v, top):
    m, v = moments(d, n, m, v)
    top = np.maximum(top, v)
    return p - n[4] * m / (np.sqrt(top) * n[5] + n[6]), m, v, top


def nadam(p, d, n, m, v):
    m, v = moments(d, n, m, v)
    return p - (n[4] * d + n[5] * m) / (np.sqrt(v) * n[6] + n[7]), m, v


def adamax(p, d, n, m, u):
    m, u = n[0] * m + n[1] * d, np.maximum(n[2] * u, np.abs(d) + n[3])
    return p - n[4] * m / u, m, u


def adagrad(p, d, n, v):
    v = v + d * d
    return p - n[0] * d / (np.sqrt(v) + n[1]), v


def adadelta(p, d, n, v, u):
    v = n[0] * v + n[1] * d * d
    step = np.sqrt((u + n[2]) / (v + n[2])) * d
    return p - n[3] * step, v, n[0] * u + n[1] * step * step


def rmsprop(centered, momentum):
    def formula(p, d, n, v, *rest):
        v = n[0] * v + n[1] * d * d
        mean = (n[0] * rest[0] + n[1] * d,) if centered else ()
        step = d / (np.sqrt(v - mean[0] ** 2 if centered else v) + n[2])
        buffer = (n[4] * rest[-1] + step,) if momentum else ()
        return (p - n[3] * (buffer[0] if momentum else step), v, *mean, *buffer)

    return formula


def rprop(p, d, n, before, size):
    turn = np.sign(d * before)
    size = np.clip(size * np.where(turn > 0, n[1], np.where(turn < 0, n[0], 1)), n[2], n[3])
    d = np.where(turn < 0, 0, d)
    return p - np.sign(d) * size, d, size


def asgd(p, d, n, mean):
    p = p - n[0] * d
    return p, mean + n[1] * (p - mean)


def lion(p, d, n, m):
    return p - n[4] * np.sign(n[0] * m + n[1] * d), n[2] * m + n[3] * d


def trust(p, u, n):
    a, b = np.linalg.norm(p), np.linalg.norm(u)
    return min(n[3], n[0] * a / (b + n[1] * a + n[2]) if a > 0 and b > 0 else 1)


def lars(p, d, n, v):
    return momentum(p, trust(p, d, n) * (d + n[4] * p), n[5:], v)


def lamb(p, d, n, m, v):
    m, v = moments(d, n[4:], m, v)
    u = n[8] * m / (np.sqrt(v) * n[9] + n[10]) + n[11] * p
    return p - n[12] * trust(p, u, n) * u, m, v


WIDE, MIDDLE = (0.1, 2.0), (0.1, 0.2)
BETAS = (0.9, 0.1, 0.99, 0.01)
RULES = {
    "sgd": ((0.1,), [], lambda p, d, n: (p - n[0] * d,)),
    "momentum": ((0.9, 0.8, 0.1, 0.09), [WIDE], momentum),
    "adam": ((*BETAS, 0.1, 1.5, 1e-3), [WIDE] * 2, adam),
    "amsgrad": ((*BETAS, 0.1, 1.5, 1e-3), [WIDE] * 3, amsgrad),
    "nadam": ((*BETAS, 0.02, 0.1, 1.5, 1e-3), [WIDE] * 2, nadam),
    "radam": ((*BETAS, 0.1, 0.0, 1.0), [WIDE] * 2, adam),
    "adamax": ((*BETAS[:3], 1e-3, 0.1), [WIDE] * 2, adamax),
    "adagrad": ((0.1, 1e-3), [WIDE], adagrad),
    "adadelta": ((0.9, 0.1, 1e-3, 0.5), [WIDE] * 2, adadelta),
    "rmsprop": ((0.9, 0.1, 1e-3, 0.1), [WIDE], rmsprop(False, False)),
    "rmsprop_momentum": ((0.9, 0.1, 1e-3, 0.1, 0.8), [WIDE] * 2, rmsprop(False, True)),
    "rmsprop_centered": ((0.9, 0.1, 1e-3, 0.1), [(1, 2), MIDDLE], rmsprop(True, False)),
    "rmsprop_centered_momentum": ((0.9, 0.1, 1e-3, 0.1, 0.8), [(1, 2), MIDDLE, WIDE], rmsprop(True, True)),
    "rprop": ((0.5, 1.25, 0.25, 1.5), [(-1, 1), WIDE], rprop),
    "asgd": ((0.1, 0.25), [WIDE], asgd),
    "lion": ((*BETAS, 0.1), [(-1, 1)], lion),
    "lars": ((0.5, 0.01, 1e-3, math.inf, 0.02, 0.9, 0.8, 0.1, 0.09), [WIDE], lars),
    "lamb": ((1.0, 0.0, 0.0, 1.0, *BETAS, 1.25, 1.5, 1e-3, 0.02, 0.1), [WIDE] * 2, lamb),
    "lerp": ((0.25,), [], lambda p, d, n: (p + n[0] * (d - p),)),
    "soft_threshold": ((0.5,), [], lambda p, d, n: (np.sign(p) * np.maximum(np.abs(p) - n[0], 0),)),
}


def stepped(rule, decay=0.01, shrink=0.75, maximize=False):
    """(call, reference) of one step."""
    numbers, ranges, formula = RULES[rule]
    names = tuple(f"s{k}" for k in range(len(ranges)))

    def call(p, g, *states):
        p = p.detach().clone()
        s = {name: x.detach().clone() for name, x in zip(names, states, strict=True)}
        _core.optim_step("Test", rule, [p], [g.detach()], [s], names, numbers, decay, shrink, maximize)
        return (p, *s.values())

    def reference(p, g, *states):
        return formula(p * shrink, (-g if maximize else g) + decay * p, numbers, *states)

    return call, reference


def rule_case(rule):
    ranges = RULES[rule][1]
    # lars and lamb: several tasks add to a norm; the others: every edge once, in the rule with most of everything
    sizes = ((0,), (1,), (130, 131), (70_000,)) if rule in ("amsgrad", "lamb", "lars") else ((37,),)
    samples = [S(A(s), A(s), *(A(s, *r) for r in ranges)) for s in sizes]
    return Case(f"optim_{rule}", *stepped(rule, maximize=rule == "lion"), samples, ("optim_step",), ALL_FLOATS, **ONCE)


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


def _step(rule="adagrad", p=None, g=None, numbers=(0.1, 0.0), **state):
    p = lamella.ones(2) if p is None else p
    g = lamella.ones(2) if g is None else g
    state = state or {"sum": lamella.ones(2)}
    _core.optim_step("Test", rule, [p], [g], [state], ("sum",), numbers, 0.0, 1.0, False)


NAN, INF = float("nan"), float("inf")
SIZES = ((0,), (1,), (37,), (130, 131), (70000,))
ONCE = dict(grad=False, layouts=False)
CASES = [
    *map(rule_case, RULES),
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
    Case(
        "elastic_net_penalty",
        lambda a, b, l1, l2: ops.elastic_net_penalty([a, b], l1, l2),
        lambda a, b, l1, l2: sum(l1 * np.abs(x).sum() + 0.5 * l2 * (x * x).sum() for x in (a, b)),
        [S(A((37,)), A((5, 3)), l1, l2) for l1, l2 in ((0.5, 0.0), (0.0, 0.5), (0.5, 0.25), (0.0, 0.0))],
        ("grad_norm",),
        bad=[
            Bad(lambda: ops.elastic_net_penalty([], 1.0, 1.0), ValueError, "parameters must hold at least one tensor, got none"),
            Bad(lambda: ops.l1_penalty(lamella.ones(2), -1.0), ValueError, "l1 and l2 must not be negative, got -1.0 and 0.0"),
            Bad(lambda: ops.soft_threshold_(lamella.ones(2), -1.0), ValueError, "amount must not be negative, got -1.0"),
            Bad(lambda: _step(rule="sdg"), ValueError, "[Test] rule must be one of kernels/optim_rules.h, got 'sdg'"),
            Bad(lambda: _step(numbers=()), ValueError, "[Test] rule adagrad must have 1 states and 2 numbers, got 1 and 0"),
            Bad(lambda: _step(g=lamella.ones(3)), ValueError, "[Test] a gradient must be like its parameter, float32 (2,), got float32 (3,)"),
            Bad(lambda: _step(sum=None), ValueError, "[Test] the state of a parameter must have a Tensor sum"),
            Bad(lambda: _step(sum=lamella.ones(3)), ValueError, "[Test] sum must be like its parameter, float32 (2,), got float32 (3,)"),
            Bad(lambda: _step(p=lamella.ones(2).int()), TypeError, "[Test] tensors must have floating dtypes, got int32"),
        ],
    ),
]
