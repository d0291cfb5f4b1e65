# SPDX-License-Identifier: MIT
"""SGD, momentum, Adam

A narrow valley: curvature 1 along it, 30 across. Plain gradient descent must take steps small enough for the steep side and crawls along
the floor. Momentum adds up what gradients agree on and cancels what swings. Adam divides each coordinate by its own running
size, so both directions advance alike. Each is shown with a rate that suits it.
"""

import numpy as np
import picture

import lamella
from lamella import optim


def valley(p):
    return (p[0] ** 2 + 30 * p[1] ** 2) / 2


ways = {
    "SGD": lambda p: optim.SGD(p, lr=0.03),
    "momentum 0.9": lambda p: optim.SGD(p, lr=0.01, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.4),
}
fig, axes = picture.axes(1, 2, width=5.2, height=3.4)
gx, gy = np.meshgrid(np.linspace(-9, 3, 80), np.linspace(-3, 3, 80))
axes[0].contour(gx, gy, (gx**2 + 30 * gy**2) / 2, levels=np.geomspace(1, 200, 9), colors="0.8")
ends = {}
for name, way in ways.items():
    p = lamella.tensor([-8.0, 2.0], requires_grad=True)
    optimizer = way([p])
    path, losses = [p.tolist()], []
    for _ in range(80):
        optimizer.zero_grad()
        loss = valley(p)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        path.append(p.tolist())
    ends[name] = losses[-1]
    axes[0].plot(*zip(*path, strict=True), ".-", markersize=4, linewidth=1, label=name)
    axes[1].semilogy(losses, label=name)
assert ends["Adam"] < ends["SGD"] and ends["momentum 0.9"] < ends["SGD"]
axes[0].set(xlim=(-9, 3), ylim=(-3, 3))
axes[1].set(xlabel="step", ylabel="loss")
axes[1].legend()
picture.save(fig, __file__)
