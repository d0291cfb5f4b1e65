# SPDX-License-Identifier: MIT
"""Which elements of (N, C, positions) share a mean and a deviation: one colour each."""

import numpy as np
import picture

n, c = 4, 6
row, column = np.indices((n, c))
groups = {
    "BatchNorm: one for each channel": column,
    "LayerNorm: one for each sample": row,
    "InstanceNorm: each sample and channel": row * c + column,
    "GroupNorm(3): each sample and group": row * 3 + column // 2,
}
fig, axes = picture.axes(1, 4, width=2.9, height=2.2)
for ax, (name, group) in zip(axes, groups.items(), strict=True):
    order = np.random.default_rng(3).permutation(group.max() + 1)  # neighbours get colours that differ
    ax.imshow(order[group], cmap="turbo", alpha=0.85)
    ax.set_title(name, fontsize="small")
    ax.set(xlabel="channel", ylabel="sample")
    picture.bare(ax)
    for line in range(1, max(n, c)):
        ax.axvline(line - 0.5, color="w") if line < c else None
        ax.axhline(line - 0.5, color="w") if line < n else None
picture.save(fig, __file__)
