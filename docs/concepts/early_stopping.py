# SPDX-License-Identifier: MIT
"""Early stopping

Training error only falls; validation error falls, then rises as the network learns the noise. Stop when it has not improved for
a while (the patience), and take back the best weights. It acts much like an L2 penalty: weights start small and have no time
to grow.
"""

import picture

import lamella
from lamella import nn
from lamella.data import digits

lamella.manual_seed(0)
images, labels = digits().tensors
images = images.flatten(1)
chosen = lamella.randperm(len(labels))
train, valid = chosen[:120], chosen[120:620]
noisy = labels.clone()
wrong = train[:40]
noisy[wrong] = lamella.randint(0, 10, (40,))  # a third of the labels are drawn by lot
model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
optimizer = lamella.optim.Adam(model.parameters(), lr=2e-3)
history, best, patience, kept = [], float("inf"), 40, None
for epoch in range(200):
    loss = nn.functional.cross_entropy(model(images[train]), noisy[train])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with lamella.no_grad():
        held = nn.functional.cross_entropy(model(images[valid]), labels[valid]).item()
    history.append((loss.item(), held))
    if held < best:
        best, at, kept = held, epoch, {k: v.clone() for k, v in model.state_dict().items()}
    if epoch == at + patience:
        stopped = epoch
model.load_state_dict(kept)
with lamella.no_grad():
    assert nn.functional.cross_entropy(model(images[valid]), labels[valid]).item() == best
fig, ax = picture.axes(width=6, height=3)
ax.plot(history, label=("training", "validation"))
ax.axvline(at, color="C2", linestyle="--", label="best, taken back")
ax.axvline(stopped, color="0.5", linestyle=":", label=f"patience of {patience} ends")
ax.set(xlabel="epoch", ylabel="loss", ylim=(0, 3))
ax.legend()
assert history[-1][1] > 1.1 * best and history[-1][0] < history[at][0]
picture.save(fig, __file__)
