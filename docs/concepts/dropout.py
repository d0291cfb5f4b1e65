# SPDX-License-Identifier: MIT
"""Dropout's scaling

Dropout sets each value to 0 with probability p and multiplies the others by 1 / (1 - p), so that the mean stays what it was and
evaluation needs no correction ("inverted" dropout). The variance does not stay: it grows by p / (1 - p) times the mean square,
which is why dropout just before a batch norm shifts the statistics that evaluation will use.
"""

import picture

import lamella
import lamella.nn.functional as F

lamella.manual_seed(0)
x = lamella.rand(20000) + 0.5
rates = [i / 10 for i in range(10)]
means, deviations = [], []
for p in rates:
    y = F.dropout(x, p, training=True)
    means.append(y.mean().item())
    deviations.append(y.std().item())
    assert abs(means[-1] - 1) < 0.07
    assert abs(y.var().item() - (x.var().item() + p / (1 - p) * x.square().mean().item())) < 0.7
assert lamella.equal(F.dropout(x, 0.5, training=False), x)
fig, axes = picture.axes(1, 2, width=4)
axes[0].plot(rates, means, "o-", label="mean")
axes[0].plot(rates, deviations, "o-", label="deviation")
axes[0].set(xlabel="p", ylim=(0, 3.5), title="of the output; the input has mean 1")
axes[0].legend()
masks = F.dropout(lamella.ones(16, 40), 0.5, training=True)
axes[1].imshow(masks, cmap="Blues", aspect="auto")
axes[1].set(title="16 draws of one layer of 40 units, p = 0.5")
picture.bare(axes[1])
picture.save(fig, __file__)
