# SPDX-License-Identifier: MIT
"""Transfer

A network trained on much data has learned features that serve related tasks. With few labels for the new task, train a new head on the
frozen trunk (nothing else can overfit), or go on training all of it at a smaller rate. Here the trunk learned digits 0 to 4, and
the new task is 5 to 9 with six examples of each.
"""

import picture

import lamella
from lamella import nn
from lamella.data import digits


def task(split, low, high):
    images, labels = digits(split).tensors
    chosen = (labels >= low) & (labels < high)
    return images[chosen], labels[chosen] - low


def train(parameters, model, images, labels, steps, lr):
    optimizer = lamella.optim.Adam(parameters, lr=lr)
    for _ in range(steps):
        chosen = lamella.randint(0, len(labels), (32,))
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def trunk():
    first, second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(), nn.Flatten())


lamella.manual_seed(0)
source = trunk()
first = nn.Sequential(source, nn.Linear(512, 5))
train(first.parameters(), first, *task("train", 0, 5), steps=300, lr=3e-3)
images, labels = task("train", 5, 10)
few = lamella.cat([(labels == c).nonzero()[:6, 0] for c in range(5)])
held_out = task("test", 5, 10)
accuracy = {}
for name in ("from scratch", "frozen trunk", "fine-tuned"):
    lamella.manual_seed(1)
    body = trunk()
    if name != "from scratch":
        body.load_state_dict(source.state_dict())
    body.requires_grad_(name != "frozen trunk")
    model = nn.Sequential(body, nn.Linear(512, 5))
    groups = [{"params": model[1].parameters(), "lr": 3e-3}]
    if name != "frozen trunk":
        groups.append({"params": body.parameters(), "lr": 3e-3 if name == "from scratch" else 3e-4})
    train(groups, model, images[few], labels[few], steps=60, lr=3e-3)
    with lamella.no_grad():
        accuracy[name] = (model(held_out[0]).argmax(1) == held_out[1]).float().mean().item()
assert max(accuracy["frozen trunk"], accuracy["fine-tuned"]) > accuracy["from scratch"]
fig, ax = picture.axes(width=5, height=2.6)
bars = ax.barh(list(accuracy), list(accuracy.values()), color=["#555555", "#0072b2", "#009e73"])
ax.bar_label(bars, fmt="%.3f", padding=-38, color="w")
ax.set(xlim=(0.5, 1), xlabel="held-out accuracy, digits 5 to 9 from 30 examples")
picture.save(fig, __file__)
