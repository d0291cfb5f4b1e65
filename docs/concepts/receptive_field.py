# SPDX-License-Identifier: MIT
"""Receptive field

What one output can see grows by (kernel - 1) times the product of the strides before it: three 3 x 3 layers see 7 x 7 pixels, with
fewer weights than one 7 x 7 layer. Stride and dilation make it grow geometrically. The gradient of one output shows it; with
random weights its middle weighs most (the *effective* field, Luo et al. 2016).
"""

import picture

import lamella
from lamella import nn

stacks = {
    "3 layers of 3 x 3": ([dict(padding=1)] * 3, 7),
    "6 layers of 3 x 3": ([dict(padding=1)] * 6, 13),
    "3 layers, stride 2": ([dict(padding=1, stride=2)] * 3, 15),
    "dilation 1, 2, 4": ([dict(padding=d, dilation=d) for d in (1, 2, 4)], 15),
}
fig, axes = picture.axes(1, 4, width=2.4, height=2.7)
for ax, (name, (options, field)) in zip(axes, stacks.items(), strict=True):
    lamella.manual_seed(0)
    net = nn.Sequential(*(nn.Conv2d(8 if i else 1, 8, 3, bias=False, **o) for i, o in enumerate(options)))
    seen = lamella.zeros(33, 33)
    for _ in range(8):
        image = lamella.randn(1, 1, 33, 33, requires_grad=True)
        y = net(image)
        y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
        seen += image.grad[0, 0].abs()
    rows = int((seen.sum(1) > 0).sum().item())
    assert rows == field
    ax.imshow(seen.sqrt(), cmap="viridis")
    ax.set_title(f"{name}:\n{rows} x {rows}")
    picture.bare(ax)
picture.save(fig, __file__)
