# SPDX-License-Identifier: MIT
"""A Wasserstein GAN with gradient penalty that draws digits."""

from lamella import models, optim, plots
from lamella.data import load_images
from lamella.recipes import recipe
from lamella.recipes.dcgan import generate
from lamella.train import AdversarialTrainer, PictureJudge


@recipe(data="MNIST's IDX files or a folder of images per class (default: the embedded digits)")
def wgan_gp(
    run, data=None, *, epochs: int = 25, batch: int = 64, lr: float = 5e-4, noise: int = 64, width: int = 16, size: int = 32, critic_steps: int = 2,
    limit: int | None = None,
):  # fmt: skip
    """WGAN-GP (Gulrajani et al. 2017): the critic's scores are of slope one, by a penalty that is differentiated twice."""
    images = load_images(data, size=size, mode="L", limit=limit)
    train, _ = images.loaders(batch, scale=([0.5], [0.5]), drop_last=True)
    meta = {"size": size, "noise": noise, "width": width}
    model = build(meta)
    trainer = run.trainer(
        model,
        {
            "generator": optim.Adam(model.generator.named_parameters(), lr=lr, betas=(0.0, 0.9)),
            "discriminator": optim.Adam(model.discriminator.named_parameters(), lr=lr, betas=(0.0, 0.9)),
        },
        cls=AdversarialTrainer,
        discriminator_loss=models.critic_loss,
        generator_loss=lambda scores: -scores.mean(),
        discriminator_steps=critic_steps,
    )
    trainer.fit(train, epochs=epochs)
    run.save(model, meta)
    run.figure("curves", plots.curves, trainer.history)
    generate(model, meta, run, "")
    return PictureJudge(images).figures(model.sample(len(images.test)) / 2 + 0.5)


def build(meta):
    size, noise, width = meta["size"], meta["noise"], meta["width"]
    return models.GAN(models.Generator(noise, 1, size, width), models.Critic(1, size, width))


if __name__ == "__main__":
    wgan_gp.main()
