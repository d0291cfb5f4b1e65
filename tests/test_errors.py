# SPDX-License-Identifier: MIT
"""Every bad call of every record: the right exception, with the text a user can act on."""

import re

import pytest

from harness import CASES


def points():
    for case in CASES:
        for index, bad in enumerate(case.bad):
            yield pytest.param(bad, id=f"{case.op}-{index}-{bad.error.__name__}")


@pytest.mark.parametrize("bad", list(points()))
def test_error(bad):
    with pytest.raises(bad.error, match=re.escape(bad.text)):
        bad.call()
