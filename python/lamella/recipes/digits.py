# SPDX-License-Identifier: MIT
"""The demo: a small LeNet on the embedded UCI digits."""

import numpy as np

from lamella import models, optim
from lamella.data import DataLoader
from lamella.data.digits import digits as load_digits
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe


@recipe
def digits(run, *, epochs: int = 25, batch: int = 64, lr: float = 4e-3):
    """A small LeNet on the 1,797 embedded digits: about 98.9 % on those held out."""
    train, test = load_digits("train"), load_digits("test")
    loader = DataLoader(train, batch, shuffle=True)
    model = build({})
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=1e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(loader) + 1, cycle_momentum=False)
    trainer = run.trainer(model, optimizer, F.cross_entropy, schedule=schedule)
    trainer.fit(loader, DataLoader(test, 256), epochs=epochs)
    run.save(model)
    scores = trainer.predict(DataLoader(test, 256)).numpy()
    return {"accuracy": float(np.mean(scores.argmax(1) == test.tensors[1].numpy()))}


def build(meta):
    return models.create("small_lenet")


if __name__ == "__main__":
    digits.main()
