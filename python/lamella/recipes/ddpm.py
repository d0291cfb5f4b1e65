# SPDX-License-Identifier: MIT
"""A diffusion model that draws the digit one asks for."""

import lamella
from lamella import models, optim, plots
from lamella.data import load_images
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe
from lamella.train import PictureJudge


@recipe(data="MNIST's IDX files or a folder of images per class (default: the embedded digits)")
def ddpm(
    run, data=None, *, epochs: int = 20, batch: int = 64, lr: float = 2e-3, width: int = 24, size: int = 28, draws: int = 400,
    limit: int | None = None,
):  # fmt: skip
    """DDPM (Ho et al. 2020): a U-Net learns to take noise away, and 50 steps of DDIM make digits of any class.

    The U-Net sees a picture as one of half the size whose four channels are the pixels of each 2 x 2.
    """
    images = load_images(data, size=size, mode="L", limit=limit)
    train, test = images.loaders(batch, scale=([0.5], [0.5]))
    meta = {"classes": images.classes, "size": size, "width": width}
    model, diffusion = build(meta), models.Diffusion(1000, "cosine")
    optimizer = optim.AdamW(model.named_parameters(), lr=lr)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, pct_start=0.1, cycle_momentum=False)

    def step(model, batch):
        x, labels = batch
        return diffusion.loss(model, F.pixel_unshuffle(x, 2), labels)

    trainer = run.trainer(model, optimizer, step=step, schedule=schedule, ema=0.995, clip_norm=1.0)
    trainer.fit(train, test, epochs=epochs)
    model = trainer.evaluated
    run.save(model, meta)
    run.figure("curves", plots.curves, trainer.history)
    generate(model, meta, run, "")
    made = lamella.cat([draw(model, meta, lamella.arange(100) % len(images.classes)) for _ in range(max(1, draws // 100))])
    return {"loss": trainer.history.last["val_loss"], **PictureJudge(images).figures(made)}


def draw(model, meta, labels, steps=50):
    """Pictures of these labels (N), values in [0, 1]."""
    shape = (len(labels), 4, meta["size"] // 2, meta["size"] // 2)
    made = models.Diffusion(1000, "cosine").sample(model, shape, labels, steps=steps)
    return (F.pixel_shuffle(made, 2) / 2 + 0.5).clamp(0, 1)


def build(meta):
    return models.DiffusionUNet(4, meta["width"], (1, 2), groups=8, classes=len(meta["classes"]))


def generate(model, meta, run, prompt, n=8, steps=50):
    """n of each class, or of those that the prompt names."""
    wanted = prompt.split() or meta["classes"]
    for name in wanted:
        if name not in meta["classes"]:
            raise ValueError(f"[ddpm] prompt must name classes, {', '.join(meta['classes'])}, got {name!r}")
    labels = lamella.tensor([meta["classes"].index(name) for name in wanted for _ in range(n)])
    run.figure("samples", plots.samples, draw(model, meta, labels, steps), columns=n)


if __name__ == "__main__":
    ddpm.main()
