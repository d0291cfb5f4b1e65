# SPDX-License-Identifier: MIT
"""Gradients and their gradients in float64 against finite differences along a random direction; then every other dtype
and ISA against float64, for a fused backward has its own code in each."""

import functools

import pytest

import lamella
from harness import CASES, DEFAULT_ISA, Call, check_close, isas_of, leaves_of, name_of, running, to_numpy, tolerance
from lamella.testing import gradcheck, gradgradcheck

STRICT = {"atol": 1e-6, "rtol": 1e-6, "fast_mode": True}


def samples(second: bool = False):
    for case in CASES:
        if case.grad and (case.grad2 or not second):
            for index in range(len(case.samples)):
                leaves = leaves_of(case, index)
                if any(x.differentiable for x in leaves) and not any(0 in x.shape for x in leaves):
                    yield case, index


def ids(second: bool):
    return [
        pytest.param(case, index, id=f"{case.op}-{index}-float64-{DEFAULT_ISA}-cpu")
        for case, index in samples(second)
    ]


def function_of_differentiable(call: Call):
    """The call as a function of its differentiable leaves alone, giving its floating results."""
    leaves = call.tensors()

    def fn(*inputs: lamella.Tensor):
        rest = iter(inputs)
        filled = [next(rest) if d else x for x, d in zip(leaves, call.differentiable, strict=True)]
        outputs = call.forward(filled)
        return tuple(y for y in outputs if isinstance(y, lamella.Tensor) and y.dtype.is_floating_point)

    return fn, [x for x, d in zip(call.tensors(grad=True), call.differentiable, strict=True) if d]


@pytest.mark.parametrize(("case", "index"), ids(second=False))
def test_gradient(case, index):
    fn, inputs = function_of_differentiable(Call(case, index, "float64", special=False))
    gradcheck(fn, inputs, **STRICT)


@pytest.mark.parametrize(("case", "index"), ids(second=True))
def test_second_gradient(case, index):
    fn, inputs = function_of_differentiable(Call(case, index, "float64", special=False))
    gradgradcheck(fn, inputs, **STRICT)


def other_points():
    for case, index in samples():
        for dtype in case.dtypes:
            for isa in isas_of(case):  # innermost, so that the reference is computed once
                best = isa == isas_of(case)[-1]
                if (dtype, isa) != ("float64", DEFAULT_ISA) and (best or dtype in ("float32", "float64")):
                    yield pytest.param(case, index, dtype, isa, id=f"{case.op}-{index}-{dtype}-{isa}-cpu")


@functools.lru_cache(maxsize=1)
def reference(number: int, index: int, dtype: str):
    """The call, and its gradients in float64 at the same values, which are those of `dtype`."""
    call = Call(CASES[number], index, dtype, special=False)
    gradients = call.gradients(call.tensors("float64", grad=True))
    return call, [g if g is None else to_numpy(g) for g in gradients]


@pytest.mark.parametrize(("case", "index", "dtype", "isa"), list(other_points()))
def test_gradient_parity(case, index, dtype, isa):
    call, wanted = reference(CASES.index(case), index, dtype)
    with running(isa):
        got = call.gradients(call.tensors(grad=True))
    leaves = [x for x, d in zip(call.leaves, call.differentiable, strict=True) if d]
    for i, (g, w, x) in enumerate(zip(got, wanted, leaves, strict=True)):
        assert (g is None) == (w is None), f"gradient {i}"
        if g is not None:
            assert name_of(g.dtype) == dtype
            assert tuple(g.shape) == x.shape
            check_close(to_numpy(g), w, dtype, 4 * tolerance(case, dtype), f"gradient {i}")
