# SPDX-License-Identifier: MIT
"""Each optimiser's way down a curved valley (Rosenbrock's, less steep) in 100 steps."""

import numpy as np
import picture

import lamella
from lamella import optim

ways = {
    "SGD": lambda p: optim.SGD(p, lr=0.015),
    "SGD, momentum": lambda p: optim.SGD(p, lr=4e-3, momentum=0.9),
    "SGD, Nesterov": lambda p: optim.SGD(p, lr=4e-3, momentum=0.9, nesterov=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.4),
    "Adadelta": lambda p: optim.Adadelta(p, lr=20.0),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.05, alpha=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.15),
    "NAdam": lambda p: optim.NAdam(p, lr=0.15),
    "RAdam": lambda p: optim.RAdam(p, lr=0.05),
    "Adamax": lambda p: optim.Adamax(p, lr=0.2),
    "Lion": lambda p: optim.Lion(p, lr=0.06),
    "Rprop": lambda p: optim.Rprop(p, lr=0.05),
}
gx, gy = np.meshgrid(np.linspace(-2, 2, 90), np.linspace(-1, 3, 90))
valley = np.log10((1 - gx) ** 2 + 5 * (gy - gx**2) ** 2 + 0.1)
fig, axes = picture.axes(2, 6, width=2, height=2.1, sharex=True, sharey=True)
for ax, (name, way) in zip(axes.flat, ways.items(), strict=True):
    p = lamella.tensor([-1.5, 2.5], requires_grad=True)
    optimizer, path = way([p]), [p.tolist()]
    for _ in range(100):
        optimizer.zero_grad()
        ((1 - p[0]) ** 2 + 5 * (p[1] - p[0] ** 2) ** 2).backward()
        optimizer.step()
        path.append(p.tolist())
    ax.contour(gx, gy, valley, levels=8, colors="0.8", linewidths=0.7)
    ax.plot(*zip(*path, strict=True), ".-", markersize=2.5, linewidth=0.8)
    ax.plot(1, 1, "k*")
    ax.set(xlim=(-2, 2), ylim=(-1, 3))
    ax.set_title(name, fontsize="small")
picture.save(fig, __file__)
