# SPDX-License-Identifier: MIT
"""Convolution as matching

A filter is a small picture; each output is the dot product of the filter with one patch, so it is largest where the patch looks
like the filter. The same few weights serve every place: a shifted image gives a shifted answer (equivariance), and a layer's
parameters do not grow with the image. (What deep learning calls convolution is cross-correlation: the filter is not flipped.)
"""

import picture

import lamella
import lamella.nn.functional as F
from lamella.data import digits

image = digits()[5][0].unsqueeze(0)
image = F.interpolate(image, scale_factor=4, mode="bilinear")
filters = {
    "vertical edge": [[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "horizontal edge": [[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]],
    "blur": [[1 / 9] * 3] * 3,
}
fig, axes = picture.axes(1, 4, width=2.3, height=2.5)
axes[0].imshow(image[0, 0], cmap="gray_r")
axes[0].set_title("image")
for ax, (name, weights) in zip(axes[1:], filters.items(), strict=True):
    answer = F.conv2d(image, lamella.tensor(weights)[None, None], padding=1)
    ax.imshow(answer[0, 0], cmap="gray_r" if name == "blur" else "coolwarm")
    ax.set_title(name)
for ax in axes:
    picture.bare(ax)

weight = lamella.tensor(filters["vertical edge"])[None, None]
moved = lamella.roll(image, (3, 2), (2, 3))
inside = (..., slice(6, -6), slice(6, -6))  # away from the borders
assert lamella.allclose(F.conv2d(moved, weight, padding=1)[inside], lamella.roll(F.conv2d(image, weight, padding=1), (3, 2), (2, 3))[inside])
picture.save(fig, __file__)
