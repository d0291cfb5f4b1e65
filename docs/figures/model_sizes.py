# SPDX-License-Identifier: MIT
"""Parameters of the models of lamella.models that need no argument."""

import inspect

import picture

from lamella import models

sizes = {}
for name, make in models.MODELS.items():
    parameters = inspect.signature(make).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if (not required and "resnet" in name) or name in ("lenet5", "small_lenet", "conv_net"):
        sizes[name] = sum(p.numel() for p in make().parameters())
sizes = dict(sorted(sizes.items(), key=lambda item: item[1]))
fig, ax = picture.axes(width=6, height=0.3 * len(sizes) + 0.6)
bars = ax.barh(list(sizes), list(sizes.values()))
ax.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=8)
ax.set(xscale="log", xlabel="parameters", xlim=(1e3, 1e9))
picture.save(fig, __file__)
