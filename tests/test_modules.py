# SPDX-License-Identifier: MIT
"""What holds of every layer of modules.py: its text, its state and its round trip, copies, modes, dtypes, gradients, and that an
error names its path."""

import copy
import pickle
import re

import numpy as np
import pytest

import lamella
from lamella import nn
from modules import ROWS


def make(row):
    return eval(f"nn.{row.code}", {"nn": nn})


def call(layer, row):
    """The outputs as NumPy arrays, of the layer on the row's inputs."""

    def flat(result):
        return [x for part in result for x in flat(part)] if isinstance(result, tuple) else [] if result is None else [result]

    return [y.detach().numpy() for y in flat(layer(*map(lamella.from_numpy, row.inputs())))]


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


every = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)


@every
def test_text_and_state(row):
    layer = make(row)
    if row.text is not None:
        assert repr(layer) == f"{type(layer).__name__}({row.text})"
    outputs = call(layer, row)
    assert outputs and all(np.isfinite(y).all() for y in outputs)
    if row.state is not None:
        sizes = {name: "x".join(map(str, value.shape)) or "-" for name, value in layer.state_dict().items()}
        assert " ".join(f"{name}:{size}" for name, size in sizes.items()) == row.state
    assert layer.eval().training is False and not any(m.training for m in layer.modules())
    assert all(p.dtype is lamella.float64 for p in layer.double().parameters())


@every
def test_state_round_trip_and_copies(row, tmp_path):
    a = make(row)
    call(a, row)  # running statistics move
    a.eval()
    want = call(a, row)
    b = make(row)
    lamella.save(a.state_dict(), tmp_path / "state.safetensors")
    assert repr(b.load_state_dict(lamella.load(tmp_path / "state.safetensors"))) == "<All keys matched successfully>"
    assert same(call(b.eval(), row), want)
    for clone in (copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
        assert same(call(clone, row), want) and repr(clone) == repr(a)
        for p in clone.parameters():
            p.data.fill_(3.0)
    assert same(call(a, row), want)


@every
def test_every_parameter_gets_a_gradient(row):
    layer = make(row)
    call(layer, row)  # lazy layers get their sizes
    inputs = [lamella.from_numpy(x) for x in row.inputs()]
    for x in inputs:
        if x.is_floating_point():
            x.requires_grad_()
    result = layer(*inputs)
    while isinstance(result, tuple):
        result = result[0]
    if not result.requires_grad:
        assert row.code.startswith("Perceptron")
        return
    (result * lamella.randn(result.shape)).sum().backward()
    used = {name for name, p in layer.named_parameters() if p.grad is not None}
    assert used == {name for name, _ in layer.named_parameters()}
    layer.zero_grad()
    assert all(p.grad is None for p in layer.parameters())


@every
def test_an_error_names_the_path(row):
    layer = make(row)
    call(layer, row)
    owner = nn.Sequential(nn.Module())
    owner[0].inner = layer
    owner[0].forward = lambda *args: layer(*args)
    wrong = [lamella.ones((1,) * 7) for _ in row.inputs()]
    try:
        owner[0](*wrong)
    except (ValueError, TypeError, IndexError) as error:
        assert re.match(r"inner[\w.]* \(\w+[()]", str(error)), str(error)
    else:
        assert not list(layer.parameters()), "a layer with parameters takes no input of seven dimensions of one"
