# SPDX-License-Identifier: MIT
"""Any of the image classifiers, from the start or from weights of another training, on pictures of yours."""

from lamella import models, no_grad, optim, plots
from lamella.data import load_images, read_like
from lamella.data import transforms as T
from lamella.metrics import Accuracy, ConfusionMatrix
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe


@recipe(data="folder with one folder of images per class, or train/ and test/ with such folders (default: the embedded digits)")
def image_classifier(
    run, data=None, *, model: str = "resnet18", size: int = 64, epochs: int = 5, batch: int = 32, lr: float = 1e-3,
    weights: str | None = None, frozen: bool = False, flip: bool = False, limit: int | None = None,
):  # fmt: skip
    """ResNet, VGG, AlexNet, GoogLeNet or another image classifier on a folder of images.

    weights: a safetensors file of the model with PyTorch's names, from which all but the last layer is taken; with frozen,
    only that is then trained.
    """
    images = load_images(data, size=size, mode="RGB", limit=limit)
    augment = [T.RandomCrop(size, padding=size // 8), *([T.RandomHorizontalFlip()] if flip else [])]
    train, test = images.loaders(batch, augment)
    meta = images.describe() | {"model": model}
    net = build(meta)
    if weights is not None:
        new = models.load_backbone(net, weights)
        run.print(f"new layers: {', '.join(new) or 'none'}")
        if frozen:
            net.requires_grad_(False)
            for name in new:
                net.get_parameter(name).requires_grad_(True)
    elif frozen:
        raise ValueError("[image_classifier] frozen must stand with weights: layers that know nothing must learn")
    optimizer = optim.AdamW([(n, p) for n, p in net.named_parameters() if p.requires_grad], lr=lr, weight_decay=1e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    metrics = {"accuracy": Accuracy(), "confusion": ConfusionMatrix(num_classes=len(images.classes))}
    trainer = run.trainer(net, optimizer, F.cross_entropy, schedule=schedule, metrics=metrics, clip_norm=1.0)
    trainer.fit(train, test, epochs=epochs)
    run.save(net, meta)

    figures = trainer.evaluate(test)
    run.figure("curves", plots.curves, trainer.history)
    run.figure("predictions", plots.predictions, *images.test.tensors, trainer.predict(test), images.classes)
    run.figure("confusion", plots.confusion_matrix, trainer.arrays["confusion"], images.classes)
    first = next((p for p in net.parameters() if p.ndim == 4), None)
    if first is not None:
        run.figure("filters", plots.filters, first)
    return {"accuracy": figures["accuracy"], "loss": figures["loss"]}


def build(meta):
    options = {"aux_logits": False} if meta["model"] == "googlenet" else {}
    return models.create(meta["model"], num_classes=len(meta["classes"]), **options)


@no_grad()
def predict(model, meta, path):
    chances = F.softmax(model(read_like(path, meta)), 1)[0]
    best = chances.argmax().item()
    return f"{meta['classes'][best]}\t{chances[best].item():.4f}"


if __name__ == "__main__":
    image_classifier.main()
