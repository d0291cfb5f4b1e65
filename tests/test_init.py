# SPDX-License-Identifier: MIT
"""Starting values: their deviations and bounds, special shapes, defaults of layers, the same values from the same seed."""

import math

import numpy as np
import pytest

import lamella
from lamella import nn
from lamella.nn import init

SHAPE, FAN_IN, FAN_OUT = (60, 40, 3, 3), 360, 540
DRAWN = {  # (function, deviation, largest magnitude or None)
    "uniform_": (lambda t: init.uniform_(t, -2.0, 1.0), 3 / 12**0.5, 2.0),
    "normal_": (lambda t: init.normal_(t, 0.0, 3.0), 3.0, None),
    "trunc_normal_": (lambda t: init.trunc_normal_(t, 0.0, 1.0, -1.0, 1.0), 0.5396, 1.0),
    "xavier_uniform_": (lambda t: init.xavier_uniform_(t, 2.0), 2 * (2 / 900) ** 0.5, 2 * (6 / 900) ** 0.5),
    "xavier_normal_": (init.xavier_normal_, (2 / 900) ** 0.5, None),
    "kaiming_uniform_": (lambda t: init.kaiming_uniform_(t, nonlinearity="relu"), (2 / FAN_IN) ** 0.5, (6 / FAN_IN) ** 0.5),
    "kaiming_normal_": (lambda t: init.kaiming_normal_(t, 0.5, "fan_out"), (2 / 1.25 / FAN_OUT) ** 0.5, None),
}


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_values(name):
    draw, deviation, bound = DRAWN[name]
    lamella.manual_seed(1)
    t = nn.Parameter(lamella.empty(SHAPE))
    assert draw(t) is t
    x = t.detach().numpy().astype(float)
    assert abs(x.std() / deviation - 1) < 0.02 and (bound is None or 0.98 * bound < abs(x).max() <= bound * (1 + 1e-6))
    lamella.manual_seed(1)
    assert (draw(lamella.empty(SHAPE)) == t).all()
    generator = lamella.Generator().manual_seed(3)
    assert (init.normal_(lamella.empty(5), generator=generator) != init.normal_(lamella.empty(5), generator=generator)).any()


def test_exact_values():
    assert (init.constant_(lamella.empty(2, 3), 2.5) == 2.5).all() and (init.ones_(lamella.empty(3)) == 1).all()
    assert (init.zeros_(lamella.empty(3)) == 0).all()
    assert init.eye_(lamella.empty(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    w = init.dirac_(lamella.empty(4, 2, 3, 3), groups=2)
    x = lamella.randn(1, 4, 5, 5)
    assert (nn.functional.conv2d(x, w, padding=1, groups=2) == x).all()
    s = init.sparse_(lamella.empty(10, 7), 0.25, 0.5).numpy()
    assert ((s == 0).sum(0) == 3).all()
    for shape in ((5, 8), (8, 5), (4, 3, 2)):
        q = init.orthogonal_(lamella.empty(shape), gain=2.0).numpy().reshape(shape[0], -1)
        q = q if q.shape[0] <= q.shape[1] else q.T
        np.testing.assert_allclose(q @ q.T, 4 * np.eye(len(q)), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameter", "gain"),
    [
        ("linear", None, 1),
        ("conv2d", None, 1),
        ("conv_transpose3d", None, 1),
        ("sigmoid", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 2, math.sqrt(2 / 5)),
        ("selu", None, 0.75),
    ],
)
def test_gains(name, parameter, gain):
    assert abs(init.calculate_gain(name, parameter) - gain) < 1e-12


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: init.calculate_gain("gelu"), "[calculate_gain] nonlinearity must be a known name"),
        (lambda: init.xavier_normal_(lamella.empty(3)), "[xavier_normal_] tensor must have at least 2 dimensions, got (3,)"),
        (lambda: init.kaiming_normal_(lamella.empty(3, 3), mode="fan"), "mode must be 'fan_in' or 'fan_out', got 'fan'"),
        (lambda: init.eye_(lamella.empty(3)), "[eye_] tensor must have 2 dimensions, got (3,)"),
        (lambda: init.dirac_(lamella.empty(3, 3)), "[dirac_] tensor must be a kernel of 3 to 5 dimensions"),
        (lambda: init.sparse_(lamella.empty(3), 0.1), "[sparse_] tensor must have 2 dimensions, got (3,)"),
        (lambda: init.orthogonal_(lamella.empty(3)), "[orthogonal_] tensor must have at least 2 dimensions, got (3,)"),
    ],
)
def test_bad_calls(call, text):
    with pytest.raises(ValueError) as caught:
        call()
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "bounds"),
    [  # PyTorch's defaults: the largest magnitude of each parameter, or "normal"
        (nn.Linear(100, 200), {"weight": 0.1, "bias": 0.1}),
        (nn.Conv2d(16, 80, 5, groups=4), {"weight": 0.1, "bias": 0.1}),
        (nn.ConvTranspose2d(40, 100, 2), {"weight": 0.05, "bias": 0.05}),
        (nn.Bilinear(25, 30, 40), {"weight": 0.2, "bias": 0.2}),
        (nn.LSTM(30, 25), dict.fromkeys(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), 0.2)),
        (nn.MultiheadAttention(32, 4), {"in_proj_weight": (6 / 128) ** 0.5, "in_proj_bias": 0, "out_proj.bias": 0}),
        (nn.Embedding(300, 40), {"weight": "normal"}),
        (nn.EmbeddingBag(300, 40), {"weight": "normal"}),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_defaults_of_layers(layer, bounds):
    lamella.manual_seed(0)
    layer.reset_parameters()
    for name, bound in bounds.items():
        x = layer.get_parameter(name).detach().numpy()
        if bound == "normal":
            assert abs(x.std() - 1) < 0.02 and abs(x.mean()) < 0.02
        else:
            assert abs(x).max() <= bound * (1 + 1e-6) and (abs(x).max() > 0.9 * bound or bound == 0)
