# SPDX-License-Identifier: MIT
"""Digits of which three classes were made rare, in plain random order and drawn by WeightedRandomSampler."""

import picture

import lamella
from lamella.data import DataLoader, Subset, WeightedRandomSampler, digits

lamella.manual_seed(0)
full = digits()
labels = full.tensors[1]
kept = [i for i, y in enumerate(labels.tolist()) if y not in (1, 4, 8) or i % 10 == 0]
data, labels = Subset(full, kept), labels[kept]
counts = lamella.bincount(labels, minlength=10)
weights = (1 / counts.float())[labels]
loaders = {
    "shuffle=True": DataLoader(data, batch_size=64, shuffle=True),
    "WeightedRandomSampler": DataLoader(data, batch_size=64, sampler=WeightedRandomSampler(weights, len(kept))),
}
fig, axes = picture.axes(1, 2, width=4, height=2.3, sharey=True)
for ax, (name, loader) in zip(axes, loaders.items(), strict=True):
    seen = lamella.bincount(lamella.cat([y for _, y in loader]), minlength=10)
    ax.bar(range(10), seen)
    ax.set(title=f"{name}: samples of one epoch", xticks=range(10))
picture.save(fig, __file__)
