# SPDX-License-Identifier: MIT
"""Every op against its float64 reference: every dtype on the default ISA, float32 and float64 on the others."""

import functools
import os
from pathlib import Path

import pytest

import lamella
from harness import (
    CASES,
    DEFAULT_ISA,
    ISAS,
    Call,
    check_close,
    dtypes_of,
    isas_of,
    name_of,
    running,
    to_numpy,
    tolerance,
)
from lamella import _core


def points():
    for case in CASES:
        for index in range(len(case.samples)):
            for dtype in dtypes_of(case, index):
                for isa in isas_of(case):  # innermost, so that the reference is computed once
                    if isa == DEFAULT_ISA or dtype in ("float32", "float64"):
                        yield pytest.param(case, index, dtype, isa, id=f"{case.op}-{index}-{dtype}-{isa}-cpu")


@functools.lru_cache(maxsize=1)
def reference(number: int, index: int, dtype: str):
    call = Call(CASES[number], index, dtype)
    return call, call.reference()


@pytest.mark.parametrize(("case", "index", "dtype", "isa"), list(points()))
def test_parity(case, index, dtype, isa):
    call, wants = reference(CASES.index(case), index, dtype)
    with running(isa):
        outputs = call.forward()
    assert len(outputs) == len(wants), f"{len(outputs)} results, expected {len(wants)}"
    for i, (got, want) in enumerate(zip(outputs, wants, strict=True)):
        if not isinstance(got, lamella.Tensor):  # a plain number or bool
            assert got == want
            continue
        expected = call.out_dtype(want)
        assert name_of(got.dtype) == expected, f"result {i}: dtype {name_of(got.dtype)}, expected {expected}"
        tol = tolerance(case, expected) if want.dtype.kind == "f" else 0.0
        check_close(to_numpy(got), want, expected, tol, f"result {i}")


FEATURES = {  # of /proc/cpuinfo, beyond those of the level before
    "v2": {"sse4_2", "ssse3", "popcnt", "cx16"},
    "v3": {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"},
    "v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "v4vnni": {"avx512_vnni"},
    "v4dot": {"avx512_bf16"},
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="levels of x86-64")
def test_default_isa_is_the_best_of_this_machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).split())
    expected = []
    for isa, needed in FEATURES.items():
        if not needed <= flags:
            break
        expected.append(isa)
    assert list(ISAS) == expected
    assert _core.active_isa() == (os.environ.get("LAMELLA_ISA") or expected[-1])


def test_an_isa_this_machine_lacks_is_an_error():
    with pytest.raises(ValueError, match="v9"):
        _core.set_isa("v9")
    assert _core.active_isa() == DEFAULT_ISA
