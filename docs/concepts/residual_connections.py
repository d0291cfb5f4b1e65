# SPDX-License-Identifier: MIT
"""Residual connections

A block that computes x + f(x) has the Jacobian 1 + f': whatever f does, the gradient has a way past it (He et al. 2016). Fifty plain
layers of tanh cannot even start; with the sum they learn at once. Starting each f at zero (its last weight, or a norm's scale)
makes the network the identity at first, of any depth.
"""

import picture

import lamella
from lamella import nn
from lamella.data import digits

images, labels = digits().tensors
images = images.flatten(1)


class Net(nn.Module):
    def __init__(self, depth, residual):
        self.first, self.last, self.residual = nn.Linear(64, 32), nn.Linear(32, 10), residual
        self.blocks = nn.ModuleList(nn.Linear(32, 32) for _ in range(depth))

    def forward(self, x):
        h = self.first(x)
        for block in self.blocks:
            f = lamella.tanh(block(h))
            h = h + f if self.residual else f
        return self.last(h)


fig, axes = picture.axes(1, 2, width=4.5)
ends = {}
for residual, name in ((False, "plain"), (True, "x + f(x)")):
    lamella.manual_seed(0)
    model = Net(50, residual)
    optimizer = lamella.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for step in range(60):
        chosen = lamella.randint(0, len(labels), (64,))
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            axes[1].semilogy([b.weight.grad.norm().item() for b in model.blocks], label=name)
        optimizer.step()
        losses.append(loss.item())
    ends[name] = sum(losses[-10:]) / 10
    axes[0].plot(losses, label=name)
assert ends["x + f(x)"] < 0.6 < 2 < ends["plain"]
axes[0].set(title="loss, 50 layers", xlabel="step")
axes[1].set(title="gradient of each layer at the start", xlabel="layer")
axes[0].legend()
picture.save(fig, __file__)
