# SPDX-License-Identifier: MIT
"""LeNet-5 on MNIST's digits."""

from lamella import models, optim, plots
from lamella.data import load_images
from lamella.data import transforms as T
from lamella.metrics import Accuracy, ConfusionMatrix
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe
from lamella.recipes.image_classifier import predict  # noqa: F401  what `lamella predict` calls


@recipe(data="folder with MNIST's IDX files (default: the embedded digits)")
def lenet5(run, data=None, *, epochs: int = 15, batch: int = 64, lr: float = 4e-3):
    """LeNet-5 on MNIST: 99.1 % of 2,000 digits after 8,000 others.

    Where there are only the 10,000 test digits (t10k-...), the first 8,000 train and the last 2,000 test.
    """
    images = load_images(data, size=28, mode="L")
    train, test = images.loaders(batch, augment=[T.RandomCrop(28, padding=2)])
    meta = images.describe()
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=1e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    metrics = {"accuracy": Accuracy(), "confusion": ConfusionMatrix(num_classes=len(images.classes))}
    trainer = run.trainer(model, optimizer, F.cross_entropy, schedule=schedule, metrics=metrics)
    trainer.fit(train, test, epochs=epochs)
    run.save(model, meta)

    figures = trainer.evaluate(test)
    run.figure("curves", plots.curves, trainer.history)
    run.figure("predictions", plots.predictions, *images.test.tensors, trainer.predict(test), images.classes)
    run.figure("confusion", plots.confusion_matrix, trainer.arrays["confusion"], images.classes)
    run.figure("filters", plots.filters, model.features[0].weight)
    return {"accuracy": figures["accuracy"], "loss": figures["loss"]}


def build(meta):
    return models.create("lenet5", classes=len(meta["classes"]))


if __name__ == "__main__":
    lenet5.main()
