# SPDX-License-Identifier: MIT
"""Losses of one number, and their derivatives: of the error, of the margin, of the logit of what is true."""

import picture

import lamella
import lamella.nn.functional as F

zero, one = lamella.zeros(401), lamella.ones(401)
of_error = {
    "mse_loss": lambda x: F.mse_loss(x, zero, reduction="none"),
    "l1_loss": lambda x: F.l1_loss(x, zero, reduction="none"),
    "huber_loss": lambda x: F.huber_loss(x, zero, reduction="none"),
    "log_cosh_loss": lambda x: F.log_cosh_loss(x, zero, reduction="none"),
    "quantile_loss(0.9)": lambda x: F.quantile_loss(x, zero, 0.9, reduction="none"),
}
of_margin = {
    "hinge_loss": lambda x: F.hinge_loss(x, one, reduction="none"),
    "squared_hinge_loss": lambda x: F.squared_hinge_loss(x, one, reduction="none"),
    "soft_margin_loss": lambda x: F.soft_margin_loss(x, one, reduction="none"),
    "0 or 1 (what is meant)": lambda x: 1 - F.step(x),
}
of_logit = {
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, one, reduction="none"),
    "sigmoid_focal_loss": lambda x: F.sigmoid_focal_loss(x, one, alpha=-1),
    "mse_loss(sigmoid(x), 1)": lambda x: F.mse_loss(F.sigmoid(x), one, reduction="none"),
}
fig, axes = picture.axes(2, 3, width=3.9, height=2.5, sharex=True)
for column, (title, losses) in zip(
    axes.T, (("error", of_error), ("margin: target · score", of_margin), ("logit of what is true", of_logit)), strict=True
):
    for name, loss in losses.items():
        x = lamella.linspace(-4, 4, 401).requires_grad_()
        y = loss(x)
        (slope,) = lamella.autograd.grad(y.sum(), x, allow_unused=True, materialize_grads=True)
        column[0].plot(x.detach(), y.detach(), label=name)
        column[1].plot(x.detach(), slope)
    column[0].set(ylim=(-0.2, 5))
    column[1].set(xlabel=title, ylim=(-3.2, 3.2))
    column[0].legend(fontsize=7)
axes[0, 0].set(ylabel="loss")
axes[1, 0].set(ylabel="derivative")
picture.save(fig, __file__)
