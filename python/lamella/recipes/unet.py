# SPDX-License-Identifier: MIT
"""A U-Net that says of every pixel which digit it is part of."""

import lamella
from lamella import models, optim, plots
from lamella.data import DataLoader, Scenes, load_images, read_like
from lamella.metrics import JaccardIndex
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe


@recipe(data="MNIST's IDX files or a folder of grey images per class, to be set into scenes (default: the embedded digits)")
def unet(run, data=None, *, epochs: int = 10, batch: int = 16, lr: float = 3e-3, width: int = 16, size: int = 64, scenes: int = 2000):
    """A U-Net on coloured digits scattered over noise: the class of every pixel."""
    images = load_images(data, mode="L")
    options = {"size": size, "objects": (1, 3), "extent": (size // 4, size // 2), "target": "mask"}
    train = DataLoader(Scenes(*images.train.tensors, length=scenes, **options), batch, shuffle=True)
    test = DataLoader(Scenes(*images.test.tensors, length=max(1, scenes // 8), seed=1, **options), batch)
    meta = {"classes": images.classes, "width": width, "channels": 3, "size": [size, size], "mean": [0.0] * 3, "std": [1.0] * 3}
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    metrics = {"iou": JaccardIndex(num_classes=len(images.classes) + 1)}
    loss = lambda output, target: F.cross_entropy(output, target) + models.dice_loss(output, target)  # noqa: E731
    trainer = run.trainer(model, optimizer, loss, schedule=schedule, metrics=metrics, train_metrics=False)
    trainer.fit(train, test, epochs=epochs)
    run.save(model, meta)

    x, mask = next(iter(test))
    with lamella.no_grad():
        found = model(x).argmax(1)
    shown = [x[:8], *(m[:8].unsqueeze(1).float().expand(-1, 3, -1, -1) / len(images.classes) for m in (mask, found))]
    run.figure("masks", plots.samples, lamella.cat(shown), columns=8)
    run.figure("curves", plots.curves, trainer.history)
    return {"iou": trainer.evaluate(test)["iou"]}


def build(meta):
    return models.UNet(3, len(meta["classes"]) + 1, meta["width"], depth=3)


@lamella.no_grad()
def predict(model, meta, path):
    found = model(read_like(path, meta)).argmax(1).flatten().bincount(minlength=len(meta["classes"]) + 1).tolist()
    return ", ".join(f"{name}: {n} pixels" for name, n in zip(meta["classes"], found[1:], strict=True) if n) or "nothing"


if __name__ == "__main__":
    unet.main()
