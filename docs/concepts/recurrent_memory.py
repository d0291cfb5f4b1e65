# SPDX-License-Identifier: MIT
"""Recurrent memory: LSTM against RNN

A plain RNN multiplies its state by the same matrix and a slope below 1 at each step, so what happened long ago leaves
a gradient like (factor)^steps. An LSTM's cell is a sum, c ← f c + i g: with a forget gate f near 1 the gradient arrives
undiminished. That is a residual connection through time, and the reason for starting the forget gate's bias at 1 or more.
"""

import picture

import lamella
from lamella import nn

steps, hidden = 60, 64
fig, ax = picture.axes(width=6.5, height=3.2)
reach = {}
for name, layer in (
    ("RNN", nn.RNN(4, hidden)),
    ("GRU", nn.GRU(4, hidden)),
    ("LSTM", nn.LSTM(4, hidden)),
    ("LSTM, forget bias 3", nn.LSTM(4, hidden)),
):
    lamella.manual_seed(1)
    layer.reset_parameters()
    if "bias" in name:
        nn.init.constant_(layer.bias_ih_l0[hidden : 2 * hidden], 3.0)  # gates i, f, g, o
    x = lamella.randn(steps, 16, 4, requires_grad=True)
    y, _ = layer(x)
    y[-1].square().sum().backward()
    sizes = x.grad.flatten(1).norm(2, 1)
    reach[name] = (sizes[0] / sizes[-1]).item()
    ax.semilogy(range(-steps + 1, 1), sizes / sizes[-1], label=name)
assert reach["RNN"] < 1e-7 and reach["LSTM"] < 1e-4 < 0.01 < reach["LSTM, forget bias 3"]
ax.set(xlabel="steps before the end", ylabel="gradient, relative to the last step", ylim=(1e-16, 10))
ax.legend()
picture.save(fig, __file__)
