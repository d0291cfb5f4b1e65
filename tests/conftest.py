# SPDX-License-Identifier: MIT
"""Every test starts from the same random state; what it changes of ISA and threads it changes in `harness.running`."""

import gc

import pytest

import lamella


def pytest_collection_finish():
    gc.collect()
    gc.freeze()  # tens of thousands of collected tests, which every later collection would walk (0.4 s each)


@pytest.fixture(autouse=True)
def _seed():
    lamella.manual_seed(0)
