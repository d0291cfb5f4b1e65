# SPDX-License-Identifier: MIT
"""The latent space of a variational autoencoder

The encoder gives a distribution N(mean, e^log_var) in place of a point, the decoder sees a draw from it, and a KL term
pulls every one of them to N(0, 1). The draw is written mean + deviation · noise, so that gradients pass (the reparametrisation).
The space has no holes then: a walk through it is a walk through plausible digits.
"""

import picture

import lamella
import lamella.nn.functional as F
from lamella import nn
from lamella.data import digits

lamella.manual_seed(0)
images, labels = digits().tensors
images = images.flatten(1)
encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 4))
decoder = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 64))
optimizer = lamella.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
for step in range(1000):
    x = images[lamella.randint(0, len(labels), (128,))]
    mean, log_var = encoder(x).chunk(2, 1)
    z = mean + (log_var / 2).exp() * lamella.randn_like(mean)
    loss = F.elbo_loss(decoder(z), x, mean, log_var, beta=0.3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 0:
        start = loss.item()
assert loss.item() < 0.75 * start

fig, axes = picture.axes(1, 2, width=4.2, height=3.8)
with lamella.no_grad():
    mean = encoder(images)[:, :2]
    n = 12
    line = lamella.linspace(-1.8, 1.8, n)
    z = lamella.stack([line.expand(n, n), -line.unsqueeze(1).expand(n, n)], 2).reshape(n * n, 2)
    sheet = F.pad(F.sigmoid(decoder(z)).reshape(n, n, 8, 8), (1, 1, 1, 1))
    sheet = sheet.permute(0, 2, 1, 3).reshape(10 * n, 10 * n)
points = axes[0].scatter(mean[:, 0], mean[:, 1], c=labels, cmap="tab10", s=6, rasterized=True)
fig.colorbar(points, ax=axes[0], ticks=range(10))
axes[0].set(title="means of the digits", xlim=(-3.5, 3.5), ylim=(-3.5, 3.5))
axes[1].imshow(sheet, cmap="gray_r")
axes[1].set_title("decoded grid, -1.8 to 1.8")
picture.bare(axes[1])
picture.save(fig, __file__)
