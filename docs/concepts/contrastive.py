# SPDX-License-Identifier: MIT
"""Contrastive embeddings

No labels for classes, only which pairs belong together: InfoNCE takes each sample's partner as the right answer among all samples
of the batch, and is cross-entropy over cosines divided by a temperature. Two views of a picture (here: with noise and a
shift) come together, all others move apart, and classes form by themselves.
"""

import picture

import lamella
import lamella.nn.functional as F
from lamella import nn
from lamella.data import digits

lamella.manual_seed(0)
images, labels = digits().tensors
chosen = labels < 5
images, labels = images[chosen], labels[chosen]


def view(x):
    """A random other view: one pixel's shift and noise."""
    shift = int(lamella.randint(-1, 2, (1,)))
    return (lamella.roll(x, shift, 3) + 0.15 * lamella.randn_like(x)).flatten(1)


net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 3))
optimizer = lamella.optim.Adam(net.parameters(), lr=3e-3)


def within():
    """Mean cosine within classes less that across."""
    with lamella.no_grad():
        z = F.normalize(net(images.flatten(1)))
        same = labels.unsqueeze(1) == labels
        cosines = z @ z.t()
        return z, (cosines[same].mean() - cosines[~same].mean()).item()


fig, axes = picture.axes(1, 2, width=4, height=3.4)
before, at_start = within()
for _ in range(300):
    x = images[lamella.randint(0, len(labels), (128,))]
    loss = F.nt_xent_loss(net(view(x)), net(view(x)), temperature=0.2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
after, at_end = within()
for ax, z, title in ((axes[0], before, "before"), (axes[1], after, "after, trained without labels")):
    ax.scatter(z[:, 0], z[:, 1], c=labels, cmap="tab10", vmax=9, s=5, rasterized=True)
    ax.set(title=title, xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
assert at_end > 2 * at_start
picture.save(fig, __file__)
