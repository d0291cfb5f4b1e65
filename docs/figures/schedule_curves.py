# SPDX-License-Identifier: MIT
"""The learning rate of every schedule over 100 steps."""

import picture

import lamella
from lamella.optim import SGD
from lamella.optim import lr_scheduler as S

n = 100
schedules = {
    "StepLR": lambda o: S.StepLR(o, 30, gamma=0.5),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [40, 80], gamma=0.3),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.96),
    "PolynomialLR": lambda o: S.PolynomialLR(o, n, power=2),
    "LinearLR": lambda o: S.LinearLR(o, 0.1, total_iters=40),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, n),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 15, T_mult=2),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 1.0, total_steps=n, cycle_momentum=False),
    "CyclicLR": lambda o: S.CyclicLR(o, 0.1, 1.0, step_size_up=12, mode="exp_range", gamma=0.985, cycle_momentum=False),
    "WarmupCosineLR": lambda o: S.WarmupCosineLR(o, 15, n),
    "LambdaLR, 1 / sqrt(t)": lambda o: S.LambdaLR(o, lambda t: (t + 1) ** -0.5),
    "SequentialLR": lambda o: S.SequentialLR(o, [S.ConstantLR(o, 0.3, 20), S.ExponentialLR(o, 0.97)], [20]),
}
fig, axes = picture.axes(3, 4, width=2.7, height=1.7, sharex=True, sharey=True)
for ax, (name, schedule) in zip(axes.flat, schedules.items(), strict=True):
    optimizer = SGD([lamella.ones(1, requires_grad=True)], lr=1.0)
    scheduler, rates = schedule(optimizer), []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    ax.plot(rates)
    ax.set_title(name, fontsize="small")
picture.save(fig, __file__)
