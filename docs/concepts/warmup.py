# SPDX-License-Identifier: MIT
"""Schedules and warm-up

Large steps explore and small steps settle, so the rate falls as training goes on; a noisy gradient with a constant rate circles the
minimum at a distance that the rate sets. Adam's first steps rest on an average of very few gradients: a short linear warm-up
keeps them small. `WarmupCosineLR` is both.
"""

import picture

import lamella
from lamella import optim

steps = 300


def train(schedule):
    """Distance from the minimum and rate at each step, on noisy gradients."""
    lamella.manual_seed(0)
    p = lamella.full((50,), 3.0, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.3)
    scheduler = schedule(optimizer)
    distances, rates = [], []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        p.grad = p.detach() + 2 * lamella.randn(50)
        optimizer.step()
        scheduler.step()
        distances.append(p.detach().norm().item())
    return distances, rates


fig, axes = picture.axes(1, 2, width=4.6)
ends = {}
for name, schedule in (
    ("constant", lambda o: optim.lr_scheduler.ConstantLR(o, factor=1.0)),
    ("step", lambda o: optim.lr_scheduler.StepLR(o, step_size=100, gamma=0.2)),
    ("warm-up + cosine", lambda o: optim.lr_scheduler.WarmupCosineLR(o, 30, steps)),
):
    distances, rates = train(schedule)
    ends[name] = sum(distances[-20:]) / 20
    axes[0].plot(rates, label=name)
    axes[1].semilogy(distances, label=name)
assert max(ends["warm-up + cosine"], ends["step"]) < ends["constant"] / 3
axes[0].set(title="learning rate", xlabel="step")
axes[1].set(title="distance from the minimum", xlabel="step")
axes[0].legend()
picture.save(fig, __file__)
