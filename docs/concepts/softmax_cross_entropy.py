# SPDX-License-Identifier: MIT
"""Softmax and cross-entropy

Softmax makes positive numbers of sum 1 from scores; only differences matter, so the largest is subtracted first and nothing
overflows. Cross-entropy -log p[target] has the simplest gradient there is: p - one_hot(target), bounded and large when
the answer is wrong. Squared error on the same probabilities has a gradient that vanishes when the answer is *very* wrong.
"""

import picture

import lamella
import lamella.nn.functional as F

fig, axes = picture.axes(1, 3)
scores = lamella.tensor([2.0, 1.0, 0.0, -1.0])
for i, temperature in enumerate((0.5, 1.0, 3.0)):
    axes[0].bar([k + 0.25 * (i - 1) for k in range(4)], F.softmax(scores / temperature, 0).tolist(), 0.25, label=f"T = {temperature}")
axes[0].set(title="softmax([2, 1, 0, -1] / T)", xticks=range(4))
axes[0].legend()

margin = lamella.linspace(-8, 8, 161)  # the target's score less the other's
logits = lamella.stack([margin, lamella.zeros_like(margin)], 1).requires_grad_()
target = lamella.zeros(161, dtype=lamella.int64)
losses = {
    "cross-entropy": F.cross_entropy(logits, target, reduction="none"),
    "squared error": (F.softmax(logits, 1) - F.one_hot(target, 2)).square().sum(1),
}
for name, loss in losses.items():
    (gradient,) = lamella.autograd.grad(loss.sum(), logits, retain_graph=True)
    axes[1].plot(margin, loss.detach(), label=name)
    axes[2].plot(margin, gradient[:, 0], label=name)
    if name == "cross-entropy":
        assert lamella.allclose(gradient, F.softmax(logits, 1).detach() - F.one_hot(target, 2), atol=1e-6)
axes[1].set(title="loss", xlabel="score of target - other", ylim=(0, 8))
axes[2].set(title="gradient for the target's score", xlabel="score of target - other")
axes[1].legend()
assert F.softmax(lamella.tensor([1000.0, 0.0]), 0).tolist() == [1.0, 0.0]
picture.save(fig, __file__)
