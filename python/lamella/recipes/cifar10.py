# SPDX-License-Identifier: MIT
"""A small ResNet on CIFAR-10."""

from lamella import cat, models, nn, no_grad, optim, plots
from lamella.data import load_images
from lamella.data import transforms as T
from lamella.metrics import Accuracy, ConfusionMatrix
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe
from lamella.recipes.image_classifier import predict  # noqa: F401  what `lamella predict` calls


@recipe(data="CIFAR-10's .bin files, or train/ and test/ with a folder of images per class (default: the embedded digits)")
def cifar10(run, data=None, *, epochs: int = 10, batch: int = 128, lr: float = 0.12, width: int = 24, size: int = 32, limit: int | None = None):
    """ResNet-9 on CIFAR-10.

    All images are decoded once, into bytes in memory. A quick warm-up of the rate, then down in a straight line; labels
    smoothed; each picture mirrored or not and moved by up to 2 pixels.
    """
    images = load_images(data, size=size, mode="RGB", limit=limit)
    augment = [T.RandomCrop(size, padding=2, padding_mode="reflect"), T.RandomHorizontalFlip()]
    train, test = images.loaders(batch, augment, drop_last=len(images.train) >= batch)
    meta = images.describe() | {"width": width}
    model = build(meta)
    optimizer = optim.SGD(model.named_parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = OneCycleLR(
        optimizer, lr, total_steps=epochs * len(train) + 1, pct_start=0.25, anneal_strategy="linear", cycle_momentum=False,
        div_factor=10, final_div_factor=100,
    )  # fmt: skip
    metrics = {"accuracy": Accuracy(), "confusion": ConfusionMatrix(num_classes=len(images.classes))}
    trainer = run.trainer(model, optimizer, nn.CrossEntropyLoss(label_smoothing=0.1), schedule=schedule, metrics=metrics)
    trainer.fit(train, test, epochs=epochs)
    run.save(model, meta)

    figures = trainer.evaluate(test)
    with no_grad():
        both = cat([(model(x) + model(x.flip(-1))).argmax(1) == y for x, y in test])
    run.figure("curves", plots.curves, trainer.history)
    run.figure("predictions", plots.predictions, *images.test.tensors, trainer.predict(test), images.classes)
    run.figure("confusion", plots.confusion_matrix, trainer.arrays["confusion"], images.classes)
    run.figure("filters", plots.filters, model.features[0][0].weight)
    return {"accuracy": figures["accuracy"], "accuracy_with_mirrored": both.float().mean().item()}


def build(meta):
    return models.create("resnet9", num_classes=len(meta["classes"]), width=meta["width"])


if __name__ == "__main__":
    cifar10.main()
