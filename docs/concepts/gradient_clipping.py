# SPDX-License-Identifier: MIT
"""Gradient clipping

Near a cliff (recurrent networks have them: Pascanu et al. 2013) one gradient is a thousand times the usual, and a single step throws
the weights far away. Scaling the gradient down to a largest norm keeps its direction and bounds the step. Clipping values
one by one bounds it, too, but turns it.
"""

import picture

import lamella
from lamella import nn


def cliff(p):
    """A gentle slope that ends at a wall."""
    return 0.1 * p.square() + 40 * nn.functional.sigmoid(30 * (p - 1))


fig, axes = picture.axes(1, 2, width=4.8)
at = lamella.linspace(-6, 2, 400)
axes[0].plot(at, cliff(at), color="0.6")
far = {}
for name, limit in (("as it is", None), ("clipped to norm 1", 1.0)):
    p = lamella.tensor([1.1], requires_grad=True)
    optimizer = lamella.optim.SGD([p], lr=0.3)
    path, norms = [p.item()], []
    for _ in range(25):
        optimizer.zero_grad()
        cliff(p).sum().backward()
        norms.append(p.grad.norm().item())
        if limit:
            nn.utils.clip_grad_norm_([p], limit)
        optimizer.step()
        path.append(p.item())
    far[name] = max(abs(v) for v in path)
    axes[1].plot(path, ".-", label=name)
    axes[0].plot(path, [cliff(lamella.tensor(v)).item() for v in path], ".", label=name)
assert far["as it is"] > 4 and far["clipped to norm 1"] < 1.2
axes[0].set(title="the cliff and the steps", xlim=(-6, 2))
axes[1].set(title="parameter", xlabel="step")
axes[1].legend()
picture.save(fig, __file__)
