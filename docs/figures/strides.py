# SPDX-License-Identifier: MIT
"""Views of twelve numbers: shape and strides say which place in memory each element is read from."""

import picture

import lamella

x = lamella.arange(12).reshape(3, 4)
views = {"x": x, "x.t()": x.t(), "x[:, 1::2]": x[:, 1::2], "x[1].expand(3, 4)": x[1].expand(3, 4)}
fig, axes = picture.axes(1, 4, width=2.6, height=2.3)
for ax, (name, view) in zip(axes, views.items(), strict=True):
    assert view.data_ptr() - x.data_ptr() == 8 * view.storage_offset()  # the same memory
    ax.imshow(view, cmap="viridis", vmin=0, vmax=11, alpha=0.7)
    for (i, j), place in [((i, j), view[i, j].item()) for i in range(view.shape[0]) for j in range(view.shape[1])]:
        ax.text(j, i, place, ha="center", va="center")
    ax.set_title(f"{name}\nstrides {view.stride()}, offset {view.storage_offset()}", fontsize="small")
    picture.bare(ax)
picture.save(fig, __file__)
