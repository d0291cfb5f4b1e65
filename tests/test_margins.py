# SPDX-License-Identifier: MIT
"""No kernel reads what was never written nor writes past its buffers.

The allocator's guard puts a margin of known bytes before and after every block, fills the block itself with 0xff (NaN
in every float format), and looks at the margins when the block is freed. Results under it have the bits they have
without it.
"""

import contextlib
import gc

import pytest

import lamella
from harness import CASES, Call, bits, isas_of, running
from lamella import _core


@contextlib.contextmanager
def guard():
    gc.collect(1)  # the graphs of the calls before; a whole collection walks what every test has left
    _core.set_allocator_guard(True)
    try:
        yield
    finally:
        _core.set_allocator_guard(False)


def everything(call):
    lamella.manual_seed(0)
    found = [bits(y) for y in call.forward() if isinstance(y, lamella.Tensor)]
    if call.case.grad and any(call.differentiable):
        found += [g if g is None else bits(g) for g in call.gradients(call.tensors(grad=True))]
    return found


def points():
    for case in CASES:
        for isa in isas_of(case):
            yield pytest.param(case, isa, id=f"{case.op}-{isa}-cpu")


@pytest.mark.parametrize(("case", "isa"), list(points()))
def test_margins(case, isa):
    dtypes = sorted({case.dtypes[0], case.dtypes[-1]})
    calls = [(index, dtype) for index in range(len(case.samples)) for dtype in dtypes]
    with running(isa):
        plain = [everything(Call(case, *c)) for c in calls]
        with guard():
            for c, expected in zip(calls, plain, strict=True):
                found = everything(Call(case, *c))
                _core.check_allocator_guard()  # raises, naming the block
                unwritten = [i for i, (a, b) in enumerate(zip(expected, found, strict=True)) if a != b]
                assert not unwritten, f"sample {c}: results, then gradients, {unwritten} hold what was never written"


def test_the_guard_sees_a_write_past_the_end():
    with guard():
        with pytest.raises(RuntimeError, match="past the end of a block of 12 bytes"):
            _core.test_overrun(12)
            _core.check_allocator_guard()
        _core.check_allocator_guard()  # told once


def test_the_guard_shows_unwritten_memory():
    with guard():
        assert lamella.empty(3).isnan().all()
