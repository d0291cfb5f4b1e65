# SPDX-License-Identifier: MIT
"""Every promised name is there and described."""

import importlib
import inspect

import pytest

import lamella
from catalogue import CATALOGUE


@pytest.mark.parametrize("family", CATALOGUE)
def test_promised_names_are_there(family):
    missing, bare = [], []
    for namespace, names in CATALOGUE[family].items():
        owner = lamella.Tensor if namespace == "lamella.Tensor" else importlib.import_module(namespace)
        for name in names.split():
            value = getattr(owner, name, None)
            if value is None:
                missing.append(f"{namespace}.{name}")
            elif callable(value) and not isinstance(value, lamella.dtype) and name[0] != "_" and not inspect.getdoc(value):
                bare.append(f"{namespace}.{name}")
    assert not missing, f"missing: {', '.join(missing)}"
    assert not bare, f"without a docstring: {', '.join(bare)}"
