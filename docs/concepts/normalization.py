# SPDX-License-Identifier: MIT
"""Batch norm against layer norm

Both subtract a mean and divide by a deviation. Batch norm takes them per feature over the batch: a sample's output depends on
its companions, small batches are noisy, and evaluation uses running averages instead. Layer norm takes them per sample over
the features: batch size means nothing to it, train and eval are the same, and it suits sequences.
"""

import picture

import lamella
from lamella import nn

lamella.manual_seed(0)
x = lamella.randn(4096, 16) * lamella.linspace(0.2, 3, 16) + lamella.linspace(-3, 3, 16)
batch, layer = nn.BatchNorm1d(16), nn.LayerNorm(16)
fig, axes = picture.axes(1, 3)
for ax, (name, y) in zip(axes, (("input", x), ("batch norm: each column", batch(x)), ("layer norm: each row", layer(x))), strict=True):
    ax.imshow(y[:24].detach(), cmap="coolwarm", vmin=-3, vmax=3, aspect="auto")
    ax.set(title=name, xlabel="feature", ylabel="sample")
    picture.bare(ax)
assert layer(x[:1]).sub(layer(x)[:1]).abs().max().item() < 1e-5  # alone or in company: the same
batch.track_running_stats = False
spread = [
    lamella.stack([batch(x[i * n : (i + 1) * n])[0] - batch(x)[i * n] for i in range(16)]).std().item() for n in (4, 32, 256)
]
assert spread[0] > spread[1] > spread[2]  # how much a sample's output depends on its companions, by batch size
picture.save(fig, __file__)
