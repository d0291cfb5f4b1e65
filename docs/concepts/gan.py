# SPDX-License-Identifier: MIT
"""A generative adversarial network in one dimension

A discriminator learns to tell real numbers from made ones, a generator learns to deceive it: two losses, one against the
other. The generator's own "minimax" loss is flat where the discriminator is sure, so it is given -log D instead
(non-saturating). With one dimension one can watch the made distribution move onto the real one.
"""

import picture

import lamella
import lamella.nn.functional as F
from lamella import nn

lamella.manual_seed(0)


def real(n):
    """Two bumps, at -1.5 and 1.5."""
    return 0.4 * lamella.randn(n, 1) + 3 * lamella.bernoulli(lamella.full((n, 1), 0.5)) - 1.5


generator = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
critic = nn.Sequential(nn.Linear(1, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
g = lamella.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
d = lamella.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.5, 0.9))
fig, axes = picture.axes(1, 3, sharey=True)
shown = iter(axes)
for step in range(1501):
    if step in (0, 300, 1500):
        ax = next(shown)
        made = generator(lamella.randn(4000, 4)).detach()
        at = lamella.linspace(-4, 4, 100).unsqueeze(1)
        ax.hist([real(4000)[:, 0].numpy(), made[:, 0].numpy()], bins=40, range=(-4, 4), density=True, label=("real", "made"))
        ax.plot(at[:, 0], F.sigmoid(critic(at)).detach()[:, 0], "k", label="D(x)")
        ax.set(title=f"step {step}", ylim=(0, 1.5))
    d.zero_grad()
    F.gan_discriminator_loss(critic(real(128)), critic(generator(lamella.randn(128, 4)).detach())).backward()
    d.step()
    g.zero_grad()
    F.gan_generator_loss(critic(generator(lamella.randn(128, 4)))).backward()
    g.step()
axes[0].legend()
assert 0.25 < (made > 0).float().mean().item() < 0.75 and 1 < made.std().item() < 2.2
picture.save(fig, __file__)
