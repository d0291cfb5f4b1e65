# SPDX-License-Identifier: MIT
"""Initialisation

Var(y) = fan_in · Var(w) · E[x²] for one layer. To keep the signal's variance through depth, weights need variance 1 / fan_in
for a linear or tanh-like unit (Glorot: 2 / (fan_in + fan_out), between what forward and backward want) and 2 / fan_in
for ReLU, which throws half away (He). Equal weights would keep all units equal for ever: the draw breaks the symmetry.
"""

import picture

import lamella
from lamella import nn

depth, width = 12, 256
ways = {
    "normal, std 0.01": lambda w: nn.init.normal_(w, std=0.01),
    "Xavier": nn.init.xavier_normal_,
    "He": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "normal, std 0.15": lambda w: nn.init.normal_(w, std=0.15),
}
fig, axes = picture.axes(1, 2, width=4.5)
for ax, activation in zip(axes, (nn.ReLU(), nn.Tanh()), strict=True):
    for name, way in ways.items():
        lamella.manual_seed(0)
        h, deviations = lamella.randn(256, width), []
        for _ in range(depth):
            h = activation(h @ way(lamella.empty(width, width)).t())
            deviations.append(max(h.std().item(), 1e-12))
        ax.semilogy(range(1, depth + 1), deviations, "o-", markersize=3, label=name)
        if name == "He" and isinstance(activation, nn.ReLU):
            assert 0.3 < deviations[-1] < 2
    ax.set(title=type(activation).__name__, xlabel="layer", ylabel="deviation of activations", ylim=(1e-10, 1e4))
axes[0].legend()
picture.save(fig, __file__)
