# SPDX-License-Identifier: MIT
"""The perceptron, and what it cannot do

A perceptron cuts its input space by one line. It learns AND and OR in a few passes (Novikoff: at most (R / g)² mistakes,
R the radius of the points and g the margin). XOR's ones lie on one diagonal and its zeros on the other: no line parts
them, so the mistakes never end. One hidden layer of two units is enough: it moves the points to where a line does.
"""

import numpy as np
import picture

import lamella
from lamella import nn

lamella.manual_seed(3)
points = lamella.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
labels = {"AND": [0.0, 0, 0, 1], "XOR": [0.0, 1, 1, 0]}
grid = np.stack(np.meshgrid(np.linspace(-0.5, 1.5, 80), np.linspace(-0.5, 1.5, 80)), -1).astype(np.float32)
fig, axes = picture.axes(1, 3)


def draw(ax, model, target, title):
    with lamella.no_grad():
        ax.contourf(grid[..., 0], grid[..., 1], model(lamella.from_numpy(grid))[..., 0].numpy(), levels=20, cmap="coolwarm", alpha=0.5)
    ax.scatter(*points.numpy().T, c=target, cmap="coolwarm", edgecolor="k", s=80, zorder=2)
    ax.set_title(title)


for ax, (name, target) in zip(axes[:2], labels.items(), strict=True):
    gate = nn.Perceptron(2)
    mistakes = gate.fit(points, lamella.tensor(target).reshape(4, 1))
    draw(ax, gate, target, f"perceptron, {name}: {mistakes[-1]} mistakes\nafter {len(mistakes)} passes")
    assert (mistakes[-1] == 0) == (name == "AND")

mlp = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
optimizer = lamella.optim.Adam(mlp.parameters(), lr=0.1)
wanted = lamella.tensor(labels["XOR"]).reshape(4, 1)
for _ in range(200):
    loss = nn.functional.binary_cross_entropy(mlp(points), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
assert loss.item() < 0.1
draw(axes[2], mlp, labels["XOR"], "one hidden layer, XOR")
picture.save(fig, __file__)
