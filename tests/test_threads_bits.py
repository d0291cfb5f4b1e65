# SPDX-License-Identifier: MIT
"""The number of threads changes no bit, of results or of gradients."""

import pytest

import lamella
from harness import CASES, THREADS, Call, bits, running


def points():
    for case in CASES:
        for index in range(len(case.samples)):
            yield pytest.param(case, index, id=f"{case.op}-{index}-{case.dtypes[0]}-cpu")


def everything(case, index, threads):
    call = Call(case, index, case.dtypes[0])
    with running(threads=threads):
        found = [bits(y) if isinstance(y, lamella.Tensor) else y for y in call.forward()]
        if case.grad and any(call.differentiable):
            found += [g if g is None else bits(g) for g in call.gradients(call.tensors(grad=True))]
    return found


@pytest.mark.parametrize(("case", "index"), list(points()))
def test_same_bits(case, index):
    one, *others = [everything(case, index, n) for n in THREADS]
    for n, other in zip(THREADS[1:], others, strict=True):
        different = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        assert not different, f"{n} threads give other bits than one (results, then gradients: {different})"
