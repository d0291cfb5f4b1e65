# SPDX-License-Identifier: MIT
"""An autoencoder that learns what ordinary pictures are, and so what is odd."""

import lamella
from lamella import models, optim, plots
from lamella.data import DataLoader, Subset, load_images, read_like
from lamella.data import transforms as T
from lamella.metrics import AUROC
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe


@recipe(data="MNIST's IDX files or a folder of images per class (default: the embedded digits)")
def autoencoder(
    run, data=None, *, ordinary: str = "1", noise: float = 0.3, epochs: int = 30, batch: int = 64, lr: float = 3e-3, code: int = 8, size: int = 28
):
    """A denoising autoencoder of one class of pictures: how well its error tells the other classes apart.

    noise: the deviation of what is added to its input; 0 for a plain autoencoder.
    """
    images = load_images(data, size=size, mode="L")
    if ordinary not in images.classes:
        raise ValueError(f"[autoencoder] ordinary must be one of {', '.join(images.classes)}, got {ordinary!r}")
    label = images.classes.index(ordinary)
    prepare = T.EachImage(T.Compose([T.ToDtype(lamella.float32, scale=True)]))
    known = [Subset(part, (part.tensors[1] == label).nonzero().flatten().tolist()) for part in (images.train, images.test)]
    train = DataLoader(known[0], batch, shuffle=True, batch_transform=prepare)
    test, everything = (DataLoader(part, 250, batch_transform=prepare) for part in (known[1], images.test))
    meta = images.describe() | {"code": code, "ordinary": ordinary, "mean": [0.0], "std": [1.0]}
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    trainer = run.trainer(model, optimizer, step=lambda model, batch: model.loss(batch[0].flatten(1), noise), schedule=schedule)
    trainer.fit(train, test, epochs=epochs)

    meta["threshold"] = model.threshold(lamella.cat([x.flatten(1) for x, _ in train]))
    run.save(model, meta)
    area = AUROC("binary")
    for x, y in everything:
        area.update(model.anomaly_score(x.flatten(1)), (y != label).long())
    x = next(iter(everything))[0][:12]
    with lamella.no_grad():
        run.figure("reconstructions", plots.samples, lamella.cat([x, model(x.flatten(1)).reshape(x.shape)]).clamp(0, 1), columns=12)
    run.figure("curves", plots.curves, trainer.history)
    return {"auc": area.compute(), "error": trainer.history.last["val_loss"]}


def build(meta):
    return models.Autoencoder(meta["size"][0] * meta["size"][1], meta["code"])


def predict(model, meta, path):
    score = model.anomaly_score(read_like(path, meta).flatten(1)).item()
    return f"{'odd' if score > meta['threshold'] else 'ordinary'}\t{score:.5f}"


if __name__ == "__main__":
    autoencoder.main()
