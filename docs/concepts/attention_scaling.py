# SPDX-License-Identifier: MIT
"""Attention's scaling

The dot product of two random vectors of E features has deviation sqrt(E). Without dividing by it, softmax of such scores puts nearly
everything on one key, where its gradient vanishes: attention is stuck before it has learned where to look. Divided,
the entropy of the weights is the same for every E (Vaswani et al. 2017, 3.2.1).
"""

import math

import picture

import lamella
import lamella.nn.functional as F

lamella.manual_seed(0)
sizes = [4, 16, 64, 256, 1024]
fig, axes = picture.axes(1, 2, width=4.3)
entropies = {}
for name, power in (("not scaled", 0.0), ("divided by sqrt(E)", 0.5)):
    entropy, slopes = [], []
    for e in sizes:
        q, k = lamella.randn(64, e), lamella.randn(64, e)
        scores = (q @ k.t() / e**power).requires_grad_()
        p = F.softmax(scores, 1)
        entropy.append(-(p * F.log_softmax(scores, 1)).sum(1).mean().item() / math.log(64))
        slopes.append((p * (1 - p)).mean().item())  # the diagonal of softmax's Jacobian
    entropies[name] = entropy
    axes[0].semilogx(sizes, entropy, "o-", label=name)
    axes[1].loglog(sizes, slopes, "o-", label=name)
assert entropies["not scaled"][-1] < 0.1 < 0.8 < entropies["divided by sqrt(E)"][-1]
axes[0].set(title="entropy of the weights, of log 64", xlabel="features E", ylim=(0, 1))
axes[1].set(title="slope of softmax", xlabel="features E")
axes[0].legend()
picture.save(fig, __file__)
