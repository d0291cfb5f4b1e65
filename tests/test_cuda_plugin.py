# SPDX-License-Identifier: MIT
"""The GPU's plug-in where it is absent, broken or of another build: everything else works, and what is missing is said."""

import _ctypes
import os
import subprocess
import sys

import pytest

ASK = """
import lamella
assert "_cuda.so" not in open("/proc/self/maps").read(), "the plug-in was loaded before it was asked for"
assert lamella.ones(3).sum().item() == 3
from lamella import cuda
assert not cuda.is_available() and cuda.device_count() == 0
print(cuda.why_not())
try:
    lamella.zeros(2, device="cuda")
except RuntimeError as error:
    print(error)
try:
    lamella.ones(2).pin_memory()
except RuntimeError as error:
    print(error)
from lamella.data import DataLoader, TensorDataset
assert len(list(DataLoader(TensorDataset(lamella.ones(4, 2)), batch_size=2, pin_memory=True))) == 2
"""


def ask(library) -> list[str]:
    environment = {**os.environ, "LAMELLA_CUDA_LIBRARY": str(library)}
    run = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_none_was_built(tmp_path):
    why, *errors = ask(tmp_path / "_cuda.so")
    assert why.startswith("lamella was built without CUDA")
    assert errors[0] == f"[device] GPU must be there, got cuda: {why}"
    assert errors[1] == f"[cuda] device must be usable, got: {why}"


def test_a_file_that_is_no_library(tmp_path):
    (tmp_path / "_cuda.so").write_bytes(b"not a library")
    assert ask(tmp_path / "_cuda.so")[0].startswith("the CUDA library does not load: ")


@pytest.mark.skipif(not getattr(_ctypes, "__file__", None), reason="_ctypes is built into this Python")
def test_a_library_of_something_else():
    assert ask(_ctypes.__file__)[0] == "the CUDA library is of another build of lamella: reinstall it"


def test_places_that_are_none():
    import lamella

    for wrong in ("tpu", "cuda:x", "cpu:"):
        with pytest.raises(RuntimeError, match="device"):
            lamella.device(wrong) if wrong != "cpu:" else lamella.device("cpux")
    assert str(lamella.device("cuda", 1)) == "cuda:1" and lamella.device(1) == lamella.device("cuda:1")
    with lamella.device("cpu"):
        assert lamella.get_default_device() == lamella.device("cpu")
    with pytest.raises(RuntimeError, match=r"GPU must be there, got cuda:\d+"):
        lamella.set_default_device("cuda:77")
