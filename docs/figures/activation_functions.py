# SPDX-License-Identifier: MIT
"""Every activation of one argument, and its derivative as autograd finds it."""

import picture

import lamella
import lamella.nn.functional as F

functions = [
    F.step, F.sigmoid, F.logsigmoid, F.tanh, F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu,
    F.mish, F.hardtanh, F.hardsigmoid, F.hardswish, F.softplus, F.softsign, F.tanhshrink, F.softshrink, F.hardshrink,
]  # fmt: skip
fig, axes = picture.axes(3, 7, width=1.9, height=1.9, sharex=True, sharey=True)
for ax, f in zip(axes.flat, functions, strict=True):
    x = lamella.linspace(-5, 5, 201).requires_grad_()
    y = f(x)
    (slope,) = lamella.autograd.grad(y.sum(), x, allow_unused=True, materialize_grads=True)
    ax.plot(x.detach(), y.detach())
    ax.plot(x.detach(), slope, "--", linewidth=1.2)
    ax.set(title=f.__name__, ylim=(-2.2, 3.2))
fig.set_layout_engine("tight")
picture.save(fig, __file__)
