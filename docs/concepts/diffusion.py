# SPDX-License-Identifier: MIT
"""Diffusion in two dimensions

Noise is added to data step by step until nothing else is left; a network learns to say which noise was added (a plain squared error).
Going backwards, a little of the predicted noise is taken away at each step, and pure noise becomes data (DDPM, Ho et al. 2020).
"""

import math

import picture

import lamella
from lamella import nn

lamella.manual_seed(0)
T = 50
beta = lamella.linspace(1e-3, 0.15, T)
kept = lamella.cumprod(1 - beta, 0)  # x_t = sqrt(kept) x_0 + sqrt(1 - kept) noise


def ring(n):
    angle = 2 * math.pi * lamella.rand(n)
    return 1.5 * lamella.stack([angle.cos(), angle.sin()], 1) + 0.1 * lamella.randn(n, 2)


net = nn.Sequential(nn.Linear(4, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2))


def predict(x, t):
    angle = t * (math.pi / T)
    return net(lamella.cat([x, lamella.stack([angle.cos(), angle.sin()], 1)], 1))


optimizer = lamella.optim.Adam(net.parameters(), lr=3e-3)
for _ in range(1500):
    x, t, noise = ring(256), lamella.randint(0, T, (256,)), lamella.randn(256, 2)
    a = kept[t].unsqueeze(1)
    loss = nn.functional.mse_loss(predict(a.sqrt() * x + (1 - a).sqrt() * noise, t.float()), noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

fig, axes = picture.axes(1, 4, width=2.6, height=2.7)
shown = dict(zip((T - 1, 15, 5, 0), axes, strict=True))
x = lamella.randn(600, 2)
with lamella.no_grad():
    for t in reversed(range(T)):
        x = (x - beta[t] / (1 - kept[t]).sqrt() * predict(x, lamella.full((600,), float(t)))) / (1 - beta[t]).sqrt()
        x = x + (beta[t].sqrt() * lamella.randn(600, 2) if t else 0)
        if t in shown:
            shown[t].scatter(*x.t().numpy(), s=2, rasterized=True)
            shown[t].set(title=f"t = {t}", xlim=(-3, 3), ylim=(-3, 3))
assert abs(x.norm(2, 1).mean().item() - 1.5) < 0.25 and x.norm(2, 1).std().item() < 0.4
picture.save(fig, __file__)
