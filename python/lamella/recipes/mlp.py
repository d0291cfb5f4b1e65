# SPDX-License-Identifier: MIT
"""Classifiers of plain vectors of pixels: logistic regression and the multi-layer perceptron."""

from lamella import models, nn, optim, plots
from lamella.data import load_images
from lamella.metrics import Accuracy
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe
from lamella.recipes.image_classifier import predict  # noqa: F401  what `lamella predict` calls


@recipe(data="MNIST's IDX files or a folder of images per class (default: the embedded digits)")
def mlp(
    run, data=None, *, hidden: str = "128,128", epochs: int = 30, batch: int = 64, lr: float = 3e-3, dropout: float = 0.1,
    size: int | None = None,
):  # fmt: skip
    """A multi-layer perceptron on digits; with hidden=none, logistic regression.

    hidden: the widths of the layers in between.
    """
    images = load_images(data, mode="L", size=size)
    train, test = images.loaders(batch)
    meta = images.describe() | {"hidden": widths(hidden), "dropout": dropout}
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=1e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    trainer = run.trainer(model, optimizer, F.cross_entropy, schedule=schedule, metrics=[Accuracy()])
    trainer.fit(train, test, epochs=epochs)
    run.save(model, meta)
    first = next(p for p in model.parameters() if p.ndim == 2)
    run.figure("curves", plots.curves, trainer.history)
    run.figure("weights", plots.filters, first.reshape(-1, 1, *meta["size"]))
    return {"accuracy": trainer.evaluate(test)["accuracy"]}


def widths(hidden):
    """"128,64" -> [128, 64]."""
    parts = [] if hidden == "none" else hidden.split(",")
    if not all(part.isdigit() and int(part) for part in parts):
        raise ValueError(f"[mlp] hidden must be widths such as 128,64, or none, got {hidden!r}")
    return [int(part) for part in parts]


def build(meta):
    pixels, classes = meta["size"][0] * meta["size"][1], len(meta["classes"])
    if not meta["hidden"]:
        return nn.Sequential(nn.Flatten(), models.LogisticRegression(pixels, classes))
    return nn.Sequential(nn.Flatten(), models.MLP(pixels, classes, meta["hidden"], meta["dropout"]))


if __name__ == "__main__":
    mlp.main()
