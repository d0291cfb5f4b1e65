# SPDX-License-Identifier: MIT
"""Gradient descent and its rate

On f(x) = c x² / 2 a step of gradient descent is x ← (1 - lr c) x. It converges for lr < 2 / c, fastest at lr = 1 / c, swings
from side to side between 1 / c and 2 / c, and grows without end beyond. With many directions, the largest curvature sets
the limit and the smallest sets the time: their ratio, the condition number, is how hard the problem is.
"""

import picture

import lamella

curvature = 2.0
fig, axes = picture.axes(1, 4, width=3)
at = lamella.linspace(-4, 4, 100)
for ax, rate in zip(axes, (0.05, 0.5, 0.9, 1.05), strict=True):
    x = lamella.tensor(3.0, requires_grad=True)
    optimizer = lamella.optim.SGD([x], lr=rate)
    path = [x.item()]
    for _ in range(8):
        optimizer.zero_grad()
        (curvature * x * x / 2).backward()
        optimizer.step()
        path.append(x.item())
    assert abs(path[-1] - 3 * (1 - rate * curvature) ** 8) < 1e-3
    ax.plot(at, curvature * at * at / 2, color="0.7")
    ax.plot(path, [curvature * p * p / 2 for p in path], "o-", markersize=4)
    ax.set(title=f"lr = {rate}  (1 - lr c = {1 - rate * curvature:.1f})", xlim=(-7, 7), ylim=(-1, 35))
picture.save(fig, __file__)
