# SPDX-License-Identifier: MIT
"""No kernel reads what was never written nor writes past its buffers.

The allocator's guard puts a margin of known bytes before and after every block, fills the block itself with 0xff (NaN
in every float format), and looks at the margins when the block is freed.
"""

import gc

import pytest

from harness import CASES, ISAS, Call, running
from lamella import _core


@pytest.fixture(autouse=True)
def _guard():
    gc.collect()
    _core.set_allocator_guard(True)
    yield
    _core.set_allocator_guard(False)


def points():
    for case in CASES:
        for isa in ISAS:
            yield pytest.param(case, isa, id=f"{case.op}-{isa}-cpu")


@pytest.mark.parametrize(("case", "isa"), list(points()))
def test_margins(case, isa):
    dtypes = sorted({case.dtypes[0], case.dtypes[-1]})
    with running(isa):
        for index in range(len(case.samples)):
            for dtype in dtypes:
                call = Call(case, index, dtype)
                call.forward()
                if case.grad and any(call.differentiable):
                    call.gradients(call.tensors(grad=True))
                _core.check_allocator_guard()  # raises, naming the block


def test_the_guard_sees_a_write_past_the_end():
    with pytest.raises(RuntimeError, match="past the end of a block of 12 bytes"):
        _core.test_overrun(12)
        _core.check_allocator_guard()
    _core.check_allocator_guard()  # told once
