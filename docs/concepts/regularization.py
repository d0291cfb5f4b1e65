# SPDX-License-Identifier: MIT
"""Overfitting and regularisation

Twenty noisy points and two hundred hidden units: without restraint the network learns the noise. An L2 penalty (weight decay)
shrinks all weights in proportion, an L1 penalty shrinks each by the same amount, so small ones reach zero, and dropout makes
units useful without their neighbours. Each trades some error on the training set for less on what was never seen.
"""

import picture

import lamella
from lamella import nn, optim

lamella.manual_seed(2)
x = lamella.rand(20, 1) * 6 - 3
y = x.sin() + 0.3 * lamella.randn(20, 1)
at = lamella.linspace(-3, 3, 200).unsqueeze(1)
fig, axes = picture.axes(1, 4, width=3, sharey=True)
errors = {}
for ax, (name, penalty, p) in zip(axes, (
    ("none", None, 0.0),
    ("L2", lambda ws: optim.l2_penalty(ws, 1e-3), 0.0),
    ("L1", lambda ws: optim.l1_penalty(ws, 4e-4), 0.0),
    ("dropout 0.2", None, 0.2),
), strict=True):
    lamella.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 200), nn.Tanh(), nn.Dropout(p), nn.Linear(200, 200), nn.Tanh(), nn.Dropout(p), nn.Linear(200, 1))
    weights = [w for w in model.parameters() if w.ndim == 2]
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(600):
        loss = nn.functional.mse_loss(model(x), y)
        if penalty:
            loss = loss + penalty(weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with lamella.no_grad():
        errors[name] = nn.functional.mse_loss(model(at), at.sin()).item()
        fit = nn.functional.mse_loss(model(x), y).item()
        ax.plot(at[:, 0], model(at)[:, 0])
    ax.plot(at[:, 0], at.sin()[:, 0], color="0.6", linestyle="--")
    ax.plot(x[:, 0], y[:, 0], "k.", markersize=5)
    ax.set(title=f"{name}: train {fit:.3f}, true {errors[name]:.3f}", ylim=(-2, 2))
assert min(errors["L2"], errors["L1"], errors["dropout 0.2"]) < errors["none"]
picture.save(fig, __file__)
