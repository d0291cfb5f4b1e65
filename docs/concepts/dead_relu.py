# SPDX-License-Identifier: MIT
"""Saturation and dead units

A sigmoid at ±8 has a slope of 0.0003: it has an opinion and no way to change it. A ReLU whose input is negative for every sample
has slope 0 everywhere, and no gradient ever brings it back. One step that is far too large does it. A leaky slope, a smaller
rate or normalisation prevents it; `(h > 0).any(0)` over a batch counts the living.
"""

import picture

import lamella
from lamella import nn

lamella.manual_seed(0)
x = lamella.randn(512, 8)
y = (x[:, :1] * x[:, 1:2]).sin()
fig, axes = picture.axes(1, 2, width=4.2)
z = lamella.linspace(-8, 8, 200).requires_grad_()
for function in (nn.functional.sigmoid, lamella.tanh, nn.functional.relu, nn.functional.leaky_relu):
    (slope,) = lamella.autograd.grad(function(z).sum(), z)
    axes[0].plot(z.detach(), slope, label=function.__name__)
axes[0].set(title="slopes: where gradients die", xlabel="input")
axes[0].legend()
alive = {}
for name, activation in (("ReLU", nn.ReLU()), ("LeakyReLU", nn.LeakyReLU(0.1))):
    for rate in (0.1, 3.0):
        lamella.manual_seed(1)
        hidden, out = nn.Linear(8, 64), nn.Linear(64, 1)
        optimizer = lamella.optim.SGD([*hidden.parameters(), *out.parameters()], lr=rate)
        shares = []
        for _ in range(30):
            z = hidden(x)
            shares.append((z > 0).any(0).float().mean().item() if name == "ReLU" else 1.0)  # a leaky slope is never 0
            loss = nn.functional.mse_loss(out(activation(z)), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(hidden.parameters(), 10.0)
            optimizer.step()
        alive[name, rate] = shares[-1]
        axes[1].plot(shares, "--" if name != "ReLU" else "-", label=f"{name}, lr {rate}")
assert alive["ReLU", 0.1] == 1 and alive["ReLU", 3.0] < 0.6
axes[1].set(title="share of units with a gradient", xlabel="step", ylim=(-0.05, 1.1))
axes[1].legend()
picture.save(fig, __file__)
