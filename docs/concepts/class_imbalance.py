# SPDX-License-Identifier: MIT
"""Class imbalance

With 2 % positives, "never" is right 98 % of the time. Weights (`pos_weight`) or a `WeightedRandomSampler` make the few count
for more; focal loss (Lin et al. 2017) scales each sample by (1 - p)^gamma, so that the many easy ones stop drowning the hard.
Accuracy hides all this: look at recall and precision.
"""

import picture

import lamella
import lamella.nn.functional as F
from lamella import nn

lamella.manual_seed(0)
n, rare = 3000, 60
x = lamella.cat([lamella.randn(n - rare, 2), 0.7 * lamella.randn(rare, 2) + 1.7])
y = lamella.cat([lamella.zeros(n - rare), lamella.ones(rare)])
losses = {
    "plain": F.binary_cross_entropy_with_logits,
    "pos_weight 49": lambda s, t: F.binary_cross_entropy_with_logits(s, t, pos_weight=lamella.tensor(49.0)),
    "focal": lambda s, t: F.sigmoid_focal_loss(s, t, alpha=0.9, gamma=2, reduction="mean"),
}
fig, axes = picture.axes(1, 4, width=2.8, height=2.8)
recalls = {}
line = lamella.linspace(-3, 4, 80)
grid = lamella.stack([line.expand(80, 80), line.unsqueeze(1).expand(80, 80)], 2)
for ax, (name, loss) in zip(axes[:3], losses.items(), strict=True):
    lamella.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = lamella.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(250):
        optimizer.zero_grad()
        loss(model(x)[:, 0], y).backward()
        optimizer.step()
    with lamella.no_grad():
        found = model(x)[:, 0] > 0
        ax.contourf(line, line, (model(grid)[..., 0] > 0).float(), levels=1, colors=["#ffffff", "#f6e7b4"])
    recalls[name] = found[y == 1].float().mean().item()
    precision = (y[found].sum() / max(int(found.sum().item()), 1)).item()
    for label, colour in ((0, "#56b4e9"), (1, "#b2182b")):
        ax.scatter(*x[y == label].t().numpy(), color=colour, s=1 + 5 * label, rasterized=True)
    ax.set(title=f"{name}\nrecall {recalls[name]:.2f}, precision {precision:.2f}", xlim=(-3, 4), ylim=(-3, 4))
assert recalls["plain"] < 0.6 < 0.8 < recalls["pos_weight 49"]
p = lamella.linspace(0.01, 0.999, 200)
for gamma in (0, 1, 2, 5):
    axes[3].plot(p, -((1 - p) ** gamma) * p.log(), label=f"gamma = {gamma}")
axes[3].set(title="focal loss", xlabel="probability of what is true", ylim=(0, 4))
axes[3].legend()
picture.save(fig, __file__)
