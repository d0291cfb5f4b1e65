# SPDX-License-Identifier: MIT
"""Vanishing and exploding gradients

Backward multiplies one Jacobian per layer, so through L layers a gradient's size goes like (a typical factor)^L. The sigmoid's
slope is at most 1/4, so its factor is below 1; ReLU halves the variance, which weights of deviation sqrt(2 / fan in)
make good; a little more, and gradients explode. Cures: ReLU's kin, initialisation, normalisation, residual connections.
"""

import math

import picture

import lamella
from lamella import nn

depth, width = 30, 128
fig, ax = picture.axes(width=6.5, height=3.5)
first = {}
for name, activation, gain in (
    ("sigmoid, gain 1", nn.Sigmoid, 1.0),
    ("tanh, gain 1", nn.Tanh, 1.0),
    ("ReLU, gain 1", nn.ReLU, 1.0),
    ("ReLU, gain √2 (He)", nn.ReLU, math.sqrt(2)),
    ("ReLU, gain 2", nn.ReLU, 2.0),
):
    lamella.manual_seed(0)
    layers = [nn.Linear(width, width, bias=False) for _ in range(depth)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=gain / math.sqrt(width))
    signals = [lamella.randn(64, width)]
    for layer in layers:
        signals.append(activation()(layer(signals[-1])))
    slopes = lamella.autograd.grad(signals[-1], signals[1:], lamella.randn(64, width))
    sizes = [slope.norm().item() for slope in slopes]
    first[name] = sizes[0] / sizes[-1]
    ax.semilogy(range(1, depth + 1), sizes, label=name)
assert first["sigmoid, gain 1"] < 1e-6 < 0.05 < first["ReLU, gain √2 (He)"] < 20 < 1e2 < first["ReLU, gain 2"]
ax.set(xlabel="layer (1 is next to the input)", ylabel="norm of the gradient at its output")
ax.legend(ncols=2)
picture.save(fig, __file__)
