# SPDX-License-Identifier: MIT
"""A deep convolutional GAN that draws digits."""

from lamella import models, optim, plots
from lamella.data import load_images
from lamella.recipes import recipe
from lamella.train import AdversarialTrainer, PictureJudge


@recipe(data="MNIST's IDX files or a folder of images per class (default: the embedded digits)")
def dcgan(
    run, data=None, *, epochs: int = 15, batch: int = 64, lr: float = 4e-4, noise: int = 64, width: int = 32, size: int = 32, limit: int | None = None
):
    """DCGAN (Radford et al. 2015): a generator and a discriminator, both convolutional, with batch norm."""
    images = load_images(data, size=size, mode="L", limit=limit)
    train, _ = images.loaders(batch, scale=([0.5], [0.5]), drop_last=True)
    meta = {"size": size, "noise": noise, "width": width}
    model = build(meta)
    trainer = run.trainer(
        model,
        {
            "generator": optim.Adam(model.generator.named_parameters(), lr=lr, betas=(0.5, 0.999)),
            "discriminator": optim.Adam(model.discriminator.named_parameters(), lr=lr, betas=(0.5, 0.999)),
        },
        cls=AdversarialTrainer,
        discriminator_loss=lambda judge, real, fake: models.discriminator_loss(judge(real), judge(fake)),
        generator_loss=models.generator_loss,
    )
    trainer.fit(train, epochs=epochs)
    run.save(model, meta)
    run.figure("curves", plots.curves, trainer.history)
    generate(model, meta, run, "")
    return PictureJudge(images).figures(model.sample(len(images.test)) / 2 + 0.5)


def build(meta):
    size, noise, width = meta["size"], meta["noise"], meta["width"]
    return models.GAN(models.Generator(noise, 1, size, width), models.Discriminator(1, size, width))


def generate(model, meta, run, prompt, n=64):
    run.figure("samples", plots.samples, model.sample(n) / 2 + 0.5)


if __name__ == "__main__":
    dcgan.main()
