# SPDX-License-Identifier: MIT
"""Every test starts from the same random state; what it changes of ISA and threads it changes in `harness.running`."""

import pytest

import lamella


@pytest.fixture(autouse=True)
def _seed():
    lamella.manual_seed(0)
