# SPDX-License-Identifier: MIT
"""Universal approximation

A single hidden layer, wide enough, comes as near as one likes to any continuous function on a bounded set (Cybenko 1989;
Hornik 1991). With ReLU the network is piecewise linear and each hidden unit adds one kink, so the error falls as units are
added. The theorem says that weights exist; it does not say that gradient descent finds them, nor what happens outside.
"""

import picture

import lamella
from lamella import nn

x = lamella.linspace(-3, 3, 200).unsqueeze(1)
y = lamella.sin(2 * x) + 0.3 * x
wide = lamella.linspace(-4.5, 4.5, 300).unsqueeze(1)
fig, axes = picture.axes(1, 3, sharey=True)
errors = []
for ax, units in zip(axes, (2, 8, 64), strict=True):
    lamella.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, units), nn.ReLU(), nn.Linear(units, 1))
    optimizer = lamella.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(800):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    errors.append(loss.item())
    ax.plot(x[:, 0], y[:, 0], label="function")
    ax.plot(wide[:, 0], model(wide).detach()[:, 0], label="network")
    ax.axvspan(-3, 3, alpha=0.06, color="k")
    ax.set(title=f"{units} units: error {loss.item():.3f}", xlabel="x (trained on the shaded part)", ylim=(-4, 4))
axes[0].legend()
assert errors[0] > errors[1] > errors[2]
picture.save(fig, __file__)
