# SPDX-License-Identifier: MIT
"""Parameters of some models of lamella.models."""

import picture

from lamella import models

names = ("small_lenet", "lenet5", "conv_net", "resnet18", "resnet34", "resnet50")
sizes = {name: sum(p.numel() for p in models.build(name).parameters()) for name in names}
sizes = dict(sorted(sizes.items(), key=lambda item: item[1]))
fig, ax = picture.axes(width=6, height=0.3 * len(sizes) + 0.6)
bars = ax.barh(list(sizes), list(sizes.values()))
ax.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=8)
ax.set(xscale="log", xlabel="parameters", xlim=(1e3, 1e9))
picture.save(fig, __file__)
