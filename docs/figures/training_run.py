# SPDX-License-Identifier: MIT
"""What `lamella.train.fit` records: loss, training and held-out accuracy of a small LeNet on the built-in digits."""

import picture

import lamella
from lamella import models, train
from lamella.data import digits

lamella.manual_seed(0)
data = [tuple(t.numpy() for t in digits(split).tensors) for split in ("train", "test")]
history = train.fit(models.SmallLeNet(), *data, epochs=4, progress=train.PlainProgress(quiet=True))
rows = history.rows
fig, axes = picture.axes(1, 2, width=3.8, height=2.4)
epochs = [row["epoch"] for row in rows]
axes[0].plot(epochs, [row["loss"] for row in rows], "o-")
axes[0].set(title="loss", xlabel="epoch")
for key, name in (("accuracy", "training"), ("test_accuracy", "held out")):
    axes[1].plot(epochs, [row[key] for row in rows], "o-", label=name)
axes[1].set(title="accuracy", xlabel="epoch", ylim=(0.5, 1))
axes[1].legend()
assert history.accuracy > 0.9
picture.save(fig, __file__)
