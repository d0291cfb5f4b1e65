# SPDX-License-Identifier: MIT
"""The list of kernels against the records: nothing listed goes untested, nothing tested is unlisted."""

import pytest

import lamella
from harness import CASES

ELSEWHERE = {"measure_fma", "measure_triad"}  # no op: tests/test_process.py


def test_every_kernel_has_a_case():
    covered = {name for case in CASES for name in case.kernels} | ELSEWHERE
    assert not sorted(set(lamella.kernels()) - covered), "kernels that no case names"


def test_every_name_is_a_kernel():
    assert not sorted({name for case in CASES for name in case.kernels} - set(lamella.kernels()))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.op)
def test_record(case):
    assert case.samples, "a case without samples tests nothing"
    assert set(case.tol) <= set(case.dtypes)
