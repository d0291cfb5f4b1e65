# SPDX-License-Identifier: MIT
"""Transfer: a network that has learned to tell digits learns from twenty images whether a digit is odd."""

from lamella import models, optim
from lamella import transfer as tr
from lamella.data import DataLoader, TensorDataset
from lamella.data.digits import digits
from lamella.nn import functional as F
from lamella.ops import cat
from lamella.recipes import recipe


@recipe
def transfer(run, *, shots: int = 2, epochs: int = 15, batch: int = 32, lr: float = 3e-3):
    """Odd or even from two examples of each digit: 85 % from scratch, 97 % on a frozen trunk, 96 % unfrozen bit by bit."""
    trunk = build({"classes": 10})
    trainer = run.trainer(trunk, optim.AdamW(trunk.parameters(), lr=lr), F.cross_entropy, name="digits")
    trainer.fit(DataLoader(digits("train"), batch, shuffle=True), epochs=epochs)
    few, test = odd_or_even(digits("train"), shots), odd_or_even(digits("test"))

    def train(name, start, prepare, callbacks=()):
        """(model, accuracy) of a model that starts as `start` with a new head; prepare(model) gives what learns."""
        model = build({"classes": 10})
        model.load_state_dict(start.state_dict())
        tr.replace_head(model, 2)
        optimizer = optim.AdamW(prepare(model), lr=lr)
        trainer = run.trainer(model, optimizer, F.cross_entropy, name=name, callbacks=callbacks)
        trainer.fit(DataLoader(few, batch, shuffle=True), epochs=6 * epochs)  # an epoch is one step
        right = trainer.predict(DataLoader(test, 256)).argmax(1) == test.tensors[1]
        return model, right.float().mean().item()

    def head_alone(model):
        tr.freeze(model, up_to="classifier.3")
        return model.parameters()

    def by_layer(model):
        return tr.layerwise_groups(model, lr, decay=0.4)

    figures = {}
    _, figures["from_scratch"] = train("scratch", build({"classes": 10}), lambda model: model.parameters())
    _, figures["frozen_trunk"] = train("frozen", trunk, head_alone)
    model, figures["unfrozen_gradually"] = train("gradual", trunk, by_layer, [tr.GradualUnfreezing(every=2 * epochs)])
    run.save(model, {"classes": 2})
    return figures


def odd_or_even(dataset, shots=None):
    """The images with label 1 where the digit is odd; only the first `shots` of each digit."""
    images, labels = dataset.tensors
    if shots is not None:
        rows = cat([(labels == digit).nonzero()[:shots, 0] for digit in range(10)])
        images, labels = images[rows], labels[rows]
    return TensorDataset(images, labels % 2)


def build(meta):
    return models.create("small_lenet", classes=meta["classes"])


if __name__ == "__main__":
    transfer.main()
