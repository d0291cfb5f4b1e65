# SPDX-License-Identifier: MIT
"""Pooling and invariance

Taking the largest of a window forgets where in the window it was, so a small shift changes little: some invariance, for
some resolution. It is not exact: a shift by less than the stride may cross a window's border. Averaging keeps everybody's share
and its gradient goes to all; a maximum's goes to the winner alone. A global pool forgets the place altogether.
"""

import picture

import lamella
import lamella.nn.functional as F
from lamella.data import digits

images = digits().tensors[0][:200]
images = F.pad(F.interpolate(images, scale_factor=2), (8, 8, 8, 8))
fig, axes = picture.axes(1, 4, width=2.6, height=2.6)
layers = {
    "max, 4 x 4": lambda x: F.max_pool2d(x, 4),
    "average, 4 x 4": lambda x: F.avg_pool2d(x, 4),
    "none": lambda x: x,
    "global maximum": lambda x: F.adaptive_max_pool2d(x, 1),
}
shown = {"image": images[0], **{name: layers[name](images[0]) for name in ("max, 4 x 4", "average, 4 x 4")}}
for ax, (name, x) in zip(axes[:3], shown.items(), strict=True):
    ax.imshow(x[0], cmap="gray_r")
    ax.set_title(name)
    picture.bare(ax)
change = {}
for name, layer in layers.items():
    y = layer(images)
    change[name] = [((layer(lamella.roll(images, s, 3)) - y).norm() / y.norm()).item() for s in range(6)]
    axes[3].plot(change[name], "o-", markersize=3, label=name)
axes[3].set(title="relative change after a shift", xlabel="pixels")
axes[3].legend(fontsize=7, loc=(0.42, 0.1))
assert change["average, 4 x 4"][1] < change["none"][1] and max(change["global maximum"]) == 0
picture.save(fig, __file__)
