# SPDX-License-Identifier: MIT
"""Label smoothing

Cross-entropy with hard labels is never satisfied: scores grow without end. With a share s of the label spread over all classes the
best probability is 1 - s + s / C and the best margin between scores is finite, log(1 + C (1 - s) / s). Predictions are less
certain and often better calibrated (Szegedy et al. 2016; Müller et al. 2019).
"""

import math

import picture

import lamella
import lamella.nn.functional as F

classes = 10
margin = lamella.linspace(-2, 14, 200, dtype=lamella.float64)  # the target's score less the others'
scores = lamella.cat([margin.unsqueeze(1), lamella.zeros(200, classes - 1, dtype=lamella.float64)], 1)
target = lamella.zeros(200, dtype=lamella.int64)
fig, axes = picture.axes(1, 2, width=4.4)
for s in (0.0, 0.05, 0.1, 0.3):
    loss = F.cross_entropy(scores, target, label_smoothing=s, reduction="none")
    axes[0].plot(margin, loss, label=f"s = {s}")
    if s:
        best = math.log(1 + classes * (1 - s) / s)
        assert abs(margin[loss.argmin()].item() - best) < 0.1
        axes[0].axvline(best, color="0.7", linewidth=0.8)
axes[0].set(title="loss", xlabel="margin", ylim=(0, 4))
axes[0].legend()
for s in (0.0, 0.1):
    x = lamella.zeros(1, classes, requires_grad=True)
    optimizer, path = lamella.optim.SGD([x], lr=1.0), []
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(x, target[:1], label_smoothing=s).backward()
        optimizer.step()
        path.append(F.softmax(x, 1)[0, 0].item())
    axes[1].plot(path, label=f"s = {s}")
assert abs(path[-1] - (0.9 + 0.1 / classes)) < 1e-3
axes[1].set(title="probability of the target while training", xlabel="step", ylim=(0.5, 1.01))
axes[1].legend(loc="lower right")
picture.save(fig, __file__)
