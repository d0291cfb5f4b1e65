# SPDX-License-Identifier: MIT
"""Gradient accumulation and batch size

Gradients add up in `.grad`, so four backward passes over quarters of a batch, each loss divided by four, give the gradient
of the whole batch at a quarter of the memory (batch norm excepted: its statistics are those of a quarter). A gradient's
noise falls like 1 / sqrt(batch size): past the point where noise no longer matters, more samples buy nothing.
"""

import picture

import lamella
from lamella import nn
from lamella.data import digits

lamella.manual_seed(0)
images, labels = digits().tensors
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def gradient(*batches):
    """The first weight's gradient, accumulated over equal batches of sample numbers."""
    model.zero_grad()
    for chosen in batches:
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen]) / len(batches)
        loss.backward()
    return model[1].weight.grad.clone()


order = lamella.randperm(len(labels))
assert lamella.allclose(gradient(order[:256]), gradient(*order[:256].chunk(4)), atol=1e-6)

whole = gradient(order)
sizes, noise = [4, 8, 16, 32, 64, 128, 256], []
for size in sizes:
    off = [(gradient(lamella.randint(0, len(labels), (size,))) - whole).norm().item() for _ in range(20)]
    noise.append(sum(off) / len(off))
fig, ax = picture.axes(width=6, height=3)
ax.loglog(sizes, noise, "o-", label="distance from the whole gradient")
ax.loglog(sizes, [noise[0] * (sizes[0] / s) ** 0.5 for s in sizes], "--", label="1 / sqrt(batch size)")
ax.axhline(whole.norm().item(), color="0.6", label="size of the gradient itself")
ax.set(xlabel="batch size", xticks=sizes, xticklabels=sizes)
ax.minorticks_off()
ax.legend()
assert 5 < noise[0] / noise[-1] < 13  # 8 were exact
picture.save(fig, __file__)
