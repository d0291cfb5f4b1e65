# SPDX-License-Identifier: MIT
"""Derivatives of derivatives: tanh's, by calling grad with create_graph again and again."""

import picture

import lamella

x = lamella.linspace(-4, 4, 300, dtype=lamella.float64).requires_grad_()
y = x.tanh()
fig, ax = picture.axes(width=6, height=2.8)
for order in range(5):
    ax.plot(x.detach(), y.detach(), label="tanh" if order == 0 else f"derivative {order}")
    (y,) = lamella.autograd.grad(y.sum(), x, create_graph=True)
ax.legend(ncols=2)
picture.save(fig, __file__)
