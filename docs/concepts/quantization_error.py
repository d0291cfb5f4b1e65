# SPDX-License-Identifier: MIT
"""Quantisation error

Rounding to a grid of step s makes an error that is nearly uniform on ±s/2: its deviation is s / sqrt(12), and each bit less doubles it.
One scale per tensor must reach the largest value of all, so one large row coarsens every other; a scale per row costs next to
nothing. `int_mm` multiplies int8 exactly and applies both scales at the end.
"""

import picture

import lamella

lamella.manual_seed(0)
weight = lamella.randn(64, 512) * (10 ** lamella.linspace(-1.5, 0.5, 64)).unsqueeze(1)  # rows of very different size


def quantize(w, bits, scale):
    top = 2 ** (bits - 1) - 1
    return (w / scale * top).round().clamp(-top, top), scale / top


def error(w, q, step):
    """Relative, mean over the rows."""
    return ((q * step - w).norm(2, 1) / w.norm(2, 1)).mean().item()


bits = [3, 4, 5, 6, 7, 8]
whole = [error(weight, *quantize(weight, b, weight.abs().max())) for b in bits]
rows = [error(weight, *quantize(weight, b, weight.abs().amax(1, keepdim=True))) for b in bits]
assert rows[-1] < 0.02 and whole[-1] > 3 * rows[-1] and 1.8 < rows[-2] / rows[-1] < 2.3
x = lamella.randn(128, 512)
qx, sx = quantize(x, 8, x.abs().amax(1, keepdim=True))
qw, sw = quantize(weight, 8, weight.abs().amax(1, keepdim=True))
y = lamella.int_mm(qx.to(lamella.int8), qw.t().to(lamella.int8), sx.flatten(), sw.flatten())
assert ((y - x @ weight.t()).norm() / y.norm()).item() < 0.02

fig, axes = picture.axes(1, 2, width=4.3)
axes[0].semilogy(bits, whole, "o-", label="one scale per tensor")
axes[0].semilogy(bits, rows, "o-", label="one scale per row")
axes[0].set(title="relative error", xlabel="bits")
axes[0].legend()
q, s = quantize(weight[-1:], 6, weight[-1:].abs().max())
axes[1].hist(((q * s - weight[-1:]) / s)[0].numpy(), bins=12)
axes[1].set(title="error in steps: uniform", yticks=[])
picture.save(fig, __file__)
