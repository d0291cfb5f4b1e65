# SPDX-License-Identifier: MIT
"""Activation layers and functions: what their cases do not say."""

import inspect
import math

import numpy as np
import pytest

import lamella
from lamella import nn
from lamella.nn import functional as F

LAYERS = {  # PyTorch's text, and the function that the layer calls
    "ReLU(inplace=True)": F.relu,
    "ReLU6()": F.relu6,
    "LeakyReLU(negative_slope=0.2)": lambda x: F.leaky_relu(x, 0.2),
    "RReLU(lower=0.125, upper=0.3333333333333333)": lambda x: F.rrelu(x),
    "ELU(alpha=0.5)": lambda x: F.elu(x, 0.5),
    "CELU(alpha=0.5, inplace=True)": lambda x: F.celu(x, 0.5),
    "SELU()": F.selu,
    "GELU(approximate='tanh')": lambda x: F.gelu(x, "tanh"),
    "SiLU(inplace=True)": F.silu,
    "Mish(inplace=True)": F.mish,
    "Sigmoid()": F.sigmoid,
    "LogSigmoid()": F.logsigmoid,
    "Tanh()": F.tanh,
    "Hardtanh(min_val=-2.0, max_val=0.5)": lambda x: F.hardtanh(x, -2.0, 0.5),
    "Hardsigmoid()": F.hardsigmoid,
    "Hardswish()": F.hardswish,
    "Softplus(beta=2.0, threshold=3.0)": lambda x: F.softplus(x, 2.0, 3.0),
    "Softsign()": F.softsign,
    "Tanhshrink()": F.tanhshrink,
    "Threshold(threshold=0.1, value=20, inplace=True)": lambda x: F.threshold(x, 0.1, 20),
    "GLU(dim=1)": lambda x: F.glu(x, 1),
    "SwiGLU(dim=-1)": F.swiglu,
    "GeGLU(dim=-1)": F.geglu,
    "Softmax(dim=1)": lambda x: F.softmax(x, 1),
    "LogSoftmax(dim=1)": lambda x: F.log_softmax(x, 1),
    "Softmin(dim=1)": lambda x: F.softmin(x, 1),
    "Step()": F.step,
}


@pytest.mark.parametrize("text", list(LAYERS))
def test_layers(text):
    layer = eval(f"nn.{text}").eval()
    assert repr(layer) == text
    x = lamella.randn(3, 4)
    expected = LAYERS[text](x.clone())
    assert (layer(x) == expected).all()
    if "inplace=True" in text:
        assert (x == expected).all()


def test_layers_written_otherwise():
    assert repr(nn.Softshrink(0.3)) == "Softshrink(0.3)" and repr(nn.Hardshrink()) == "Hardshrink(0.5)"
    assert repr(nn.PReLU(3)) == "PReLU(num_parameters=3)" and list(nn.PReLU(3).state_dict()) == ["weight"]
    x = lamella.randn(2, 3, 4, 5)
    assert (nn.Softmax2d()(x) == F.softmax(x, 1)).all()
    with pytest.raises(ValueError, match=r"\[Softmax2d\] input must have 3 or 4 dimensions, got \(2, 3\)"):
        nn.Softmax2d()(x[..., 0, 0])
    with pytest.raises(ValueError, match=r"\[Hardtanh\] min_val must lie below max_val, got 1.0 and 1.0"):
        nn.Hardtanh(1.0)
    assert list(inspect.signature(nn.Threshold).parameters) == ["threshold", "value", "inplace"]


@pytest.mark.parametrize("name", ["relu_", "elu_", "celu_", "selu_", "leaky_relu_", "hardtanh_", "rrelu_"])
def test_in_place_forms(name):
    x = lamella.randn(7, requires_grad=True)
    y = x * 1
    assert getattr(F, name)(y) is y
    outside = getattr(F, name[:-1])(x)
    assert (y == outside).all()
    assert (lamella.grad(y.sum(), x)[0] == lamella.grad(outside.sum(), x)[0]).all()


def test_rrelu_draws_while_training():
    lamella.manual_seed(0)
    x = -lamella.ones(4000, requires_grad=True)
    y = nn.RReLU(0.1, 0.3)(x)
    slope = lamella.grad(y.sum(), x)[0]
    assert (y == -slope).all()
    assert 0.1 <= slope.min().item() < 0.11 and 0.29 < slope.max().item() < 0.3
    assert (F.rrelu(-x, training=True) == 1).all()


def test_gumbel_softmax_samples_the_classes():
    lamella.manual_seed(0)
    p = np.array([0.1, 0.2, 0.7])
    logits = lamella.tensor(np.log(p), dtype=lamella.float32).expand(6000, 3).clone().requires_grad_()
    y = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert ((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all()
    np.testing.assert_allclose(y.mean(0).detach().numpy(), p, atol=0.02)
    lamella.manual_seed(0)
    soft = F.gumbel_softmax(logits, tau=0.5)
    weight = lamella.randn(6000, 3)
    for got, want in zip(*(lamella.grad((v * weight).sum(), logits) for v in (y, soft)), strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-6)
    state = lamella.get_rng_state()
    F.gumbel_softmax(logits)
    after = lamella.get_rng_state()
    lamella.set_rng_state(state)
    lamella.rand(1)
    assert lamella.equal(lamella.get_rng_state(), after)  # one stream, as any other draw


def test_gelu_at_its_limits():
    x = lamella.tensor([math.inf, -math.inf, math.nan, 1e30, -1e30, -13.5, -0.0])
    for dtype in (lamella.float32, lamella.float64, lamella.bfloat16):
        y = lamella.nn.functional.gelu(x.to(dtype)).float()
        assert y[:2].tolist() == [math.inf, 0] and y[2].isnan() and y[3] > 9e29 and (y[4:].abs() < 1e-36).all()
