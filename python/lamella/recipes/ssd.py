# SPDX-License-Identifier: MIT
"""A single-shot detector of digits."""

from lamella import models, optim, plots
from lamella.data import DataLoader, Scenes, load_images, read_like
from lamella.metrics import MeanAveragePrecision
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe


@recipe(data="MNIST's IDX files or a folder of grey images per class, to be set into scenes (default: the embedded digits)")
def ssd(run, data=None, *, epochs: int = 15, batch: int = 16, lr: float = 3e-3, width: int = 16, size: int = 96, scenes: int = 2000):
    """An SSD on coloured digits scattered over noise: which there are, and where."""
    images = load_images(data, mode="L")
    options = {"size": size, "extent": (size // 5, size // 2)}
    train = DataLoader(Scenes(*images.train.tensors, length=scenes, **options), batch, shuffle=True)
    test = DataLoader(Scenes(*images.test.tensors, length=max(1, scenes // 8), seed=1, **options), batch)
    meta = {"classes": images.classes, "width": width, "channels": 3, "size": [size, size], "mean": [0.0] * 3, "std": [1.0] * 3}
    model = build(meta)
    anchors = model.anchors(size, size)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    trainer = run.trainer(
        model, optimizer, step=lambda model, batch: models.ssd_loss(*model(batch[0]), anchors, batch[1]), schedule=schedule, clip_norm=5.0
    )
    trainer.fit(train, test, epochs=epochs)
    run.save(model, meta)

    precision, strict = MeanAveragePrecision(), MeanAveragePrecision([0.75])
    for x, targets in test:
        found = model.detect(x, score_threshold=0.05)
        precision.update(found, targets)
        strict.update(found, targets)
    x, _ = next(iter(test))
    run.figure("detections", plots.detections, x[:8], model.detect(x[:8]), images.classes)
    run.figure("curves", plots.curves, trainer.history)
    return {"map_50": precision.compute(), "map_75": strict.compute()}


def build(meta):
    return models.SSD(len(meta["classes"]), meta["width"], levels=3)


def predict(model, meta, path):
    found = model.detect(read_like(path, meta))[0]
    lines = [
        f"{meta['classes'][label]} {score:.2f} at ({', '.join(f'{v:.3f}' for v in box)})"
        for box, label, score in zip(*(found[k].tolist() for k in ("boxes", "labels", "scores")), strict=True)
    ]
    return "; ".join(lines) or "nothing"


if __name__ == "__main__":
    ssd.main()
