# SPDX-License-Identifier: MIT
"""Counter-based random numbers and reproducibility

Element i of a draw is a function of (seed, stream, i), by Philox (Salmon et al. 2011): no state is shared, so any thread may make any part
and the numbers are the same. Sums, too, are cut by shape and not by threads. A run can be repeated, and one resumed
from a checkpoint ends in the same bits as one that never stopped.
"""

import picture

import lamella
from lamella import nn


def train(threads, stop_at=None):
    """Losses and final weights of 40 steps; stopped and resumed from what was saved, if asked."""
    lamella.set_num_threads(threads)
    lamella.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 1))
    optimizer = lamella.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(40):
        if step == stop_at:
            saved = model.state_dict(), optimizer.state_dict(), lamella.get_rng_state()
            model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 1))
            optimizer = lamella.optim.AdamW(model.parameters(), lr=1e-2)
            model.load_state_dict(saved[0])
            optimizer.load_state_dict(saved[1])
            lamella.set_rng_state(saved[2])
        x = lamella.randn(256, 16)
        loss = (model(x) - x[:, :1] * x[:, 1:2]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model[0].weight.detach().clone()


threads = lamella.get_num_threads()
runs = {"1 thread": train(1), "2 threads": train(2), "2 threads, resumed at 20": train(2, stop_at=20)}
lamella.set_num_threads(threads)
fig, ax = picture.axes(width=6, height=3)
for (name, (losses, weight)), width in zip(runs.items(), (6, 3, 1), strict=True):
    assert losses == runs["1 thread"][0] and lamella.equal(weight, runs["1 thread"][1])
    ax.plot(losses, linewidth=width, alpha=1 if width < 6 else 0.4, label=name)
ax.set(xlabel="step", ylabel="loss", title="three runs, the same bits")
ax.legend()
picture.save(fig, __file__)
