# SPDX-License-Identifier: MIT
"""Bias and variance

The same model is fitted to fifty data sets of the same source. What all fits miss together is bias: capacity is too small. How
much they differ from each other is variance: capacity is spent on noise. Doubling it moves error from one to the other; the
sum has a lowest point. (Past the point where noise is fitted exactly the sum may fall again: double descent, Belkin et al. 2019.)
"""

import numpy as np
import picture

import lamella

lamella.manual_seed(0)
degrees = (1, 2, 4, 8, 16)
x = lamella.linspace(-1, 1, 30, dtype=lamella.float64)
truth = (3 * x).sin()
sets = truth + 0.5 * lamella.randn(50, 30, dtype=lamella.float64)  # 50 data sets


def basis(degree):
    """Chebyshev polynomials up to the degree: (30, degree + 1)."""
    return (lamella.arange(degree + 1, dtype=lamella.float64) * x.arccos().unsqueeze(1)).cos()


bias, variance, fits = [], [], {}
for degree in degrees:
    b = basis(degree)
    weights = lamella.from_numpy(np.linalg.lstsq(b.numpy(), sets.t().numpy(), rcond=None)[0])
    fits[degree] = (b @ weights).t()
    bias.append((fits[degree].mean(0) - truth).square().mean().item())
    variance.append(fits[degree].var(0).mean().item())
total = [b + v for b, v in zip(bias, variance, strict=True)]
assert bias[0] > bias[-1] and variance[0] < variance[-1] and 0 < total.index(min(total)) < len(degrees) - 1
fig, axes = picture.axes(1, 3)
for ax, degree in zip(axes[:2], (1, 16), strict=True):
    ax.plot(x, fits[degree][:15].t(), color="C0", alpha=0.3, linewidth=0.8)
    ax.plot(x, truth, "k--")
    ax.set(title=f"degree {degree}, 15 data sets", ylim=(-2, 2))
for name, values in (("bias²", bias), ("variance", variance), ("sum", total)):
    axes[2].loglog(degrees, values, "o-", label=name)
axes[2].set(xlabel="degree (capacity doubles)", xticks=degrees, xticklabels=degrees, ylim=(3e-3, 1))
axes[2].minorticks_off()
axes[2].legend()
picture.save(fig, __file__)
