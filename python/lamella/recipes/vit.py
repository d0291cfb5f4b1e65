# SPDX-License-Identifier: MIT
"""A small Vision Transformer."""

from lamella import models, optim, plots
from lamella.data import load_images
from lamella.data import transforms as T
from lamella.metrics import Accuracy
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe
from lamella.recipes.image_classifier import predict  # noqa: F401  what `lamella predict` calls


@recipe(data="MNIST's IDX files, CIFAR-10's .bin files or a folder of images per class (default: the embedded digits)")
def vit(
    run, data=None, *, size: int = 28, patch: int = 4, layers: int = 4, width: int = 64, heads: int = 4, epochs: int = 20, batch: int = 64,
    lr: float = 1e-3, limit: int | None = None,
):  # fmt: skip
    """A Vision Transformer of four layers on small pictures, from the start."""
    images = load_images(data, size=size, mode="RGB", limit=limit)
    train, test = images.loaders(batch, augment=[T.RandomCrop(size, padding=size // 14)])
    meta = images.describe() | {"patch": patch, "layers": layers, "width": width, "heads": heads}
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=5e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, pct_start=0.2, cycle_momentum=False)
    trainer = run.trainer(model, optimizer, F.cross_entropy, schedule=schedule, metrics=[Accuracy()], clip_norm=1.0)
    trainer.fit(train, test, epochs=epochs)
    run.save(model, meta)
    run.figure("curves", plots.curves, trainer.history)
    run.figure("patches", plots.filters, model.conv_proj.weight)
    return {"accuracy": trainer.evaluate(test)["accuracy"]}


def build(meta):
    size, patch, layers, heads, width = meta["size"][0], *(meta[k] for k in ("patch", "layers", "heads", "width"))
    return models.VisionTransformer(size, patch, layers, heads, width, 2 * width, 0.1, num_classes=len(meta["classes"]))


if __name__ == "__main__":
    vit.main()
