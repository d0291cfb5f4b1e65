# SPDX-License-Identifier: MIT
"""Autoencoder

The network must give back its input through a bottleneck, so the bottleneck must hold what matters. With linear layers it finds the
space of the first principal components; with hidden layers it bends it. What it has never seen it gives back badly, which makes the
error a score of how unusual an input is.
"""

import picture

import lamella
from lamella import nn
from lamella.data import digits

lamella.manual_seed(0)
images, labels = digits().tensors
usual = images[labels != 7].flatten(1)
unusual = images[labels == 7].flatten(1)
encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 6))
decoder = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.Sigmoid())
optimizer = lamella.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
for _ in range(800):
    x = usual[lamella.randint(0, len(usual), (128,))]
    loss = nn.functional.mse_loss(decoder(encoder(x)), x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

with lamella.no_grad():
    errors = [(decoder(encoder(x)) - x).square().mean(1) for x in (usual, unusual)]
    back = decoder(encoder(lamella.cat([usual[:8], unusual[:4]])))
assert errors[0].mean() < 0.6 * errors[1].mean()
fig, axes = picture.axes(1, 2, width=4.8, height=2.4)
rows = [lamella.cat([usual[:8], unusual[:4]]), back]
sheet = lamella.cat([lamella.cat([x.reshape(8, 8) for x in row], 1) for row in rows])
axes[0].imshow(sheet, cmap="gray_r")
axes[0].set_title("8 usual digits, 4 sevens; below: given back")
picture.bare(axes[0])
axes[1].hist([e.numpy() for e in errors], bins=30, density=True, label=("trained on", "sevens, never seen"))
axes[1].set(title="error", yticks=[])
axes[1].legend()
picture.save(fig, __file__)
