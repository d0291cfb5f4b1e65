# SPDX-License-Identifier: MIT
"""The demo: a small LeNet on the embedded UCI digits."""

from lamella import models, optim, plots
from lamella.data import load_images
from lamella.data import transforms as T
from lamella.metrics import Accuracy, ConfusionMatrix
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe
from lamella.recipes.image_classifier import predict  # noqa: F401  what `lamella predict` calls


@recipe
def digits(run, *, epochs: int = 25, batch: int = 64, lr: float = 4e-3):
    """A small LeNet on the 1,797 embedded digits of 8 x 8 pixels: 98.3 % of those held out."""
    images = load_images(None, size=8, mode="L")
    train, test = images.loaders(batch, augment=[T.RandomCrop(8, padding=1)])
    meta = images.describe()
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=1e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    metrics = {"accuracy": Accuracy(), "confusion": ConfusionMatrix(num_classes=len(images.classes))}
    trainer = run.trainer(model, optimizer, F.cross_entropy, schedule=schedule, metrics=metrics)
    trainer.fit(train, test, epochs=epochs)
    run.save(model, meta)

    accuracy = trainer.evaluate(test)["accuracy"]
    run.figure("curves", plots.curves, trainer.history)
    run.figure("predictions", plots.predictions, *images.test.tensors, trainer.predict(test), images.classes)
    run.figure("confusion", plots.confusion_matrix, trainer.arrays["confusion"], images.classes)
    return {"accuracy": accuracy}


def build(meta):
    return models.create("small_lenet", classes=len(meta["classes"]))


if __name__ == "__main__":
    digits.main()
