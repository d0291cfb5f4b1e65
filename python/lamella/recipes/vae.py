# SPDX-License-Identifier: MIT
"""A variational autoencoder that draws digits."""

import lamella
from lamella import models, optim, plots
from lamella.data import load_images
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe
from lamella.train import PictureJudge


@recipe(data="MNIST's IDX files or a folder of images per class (default: the embedded digits)")
def vae(
    run, data=None, *, epochs: int = 30, batch: int = 64, lr: float = 2e-3, code: int = 16, width: int = 32, beta: float = 1.0, size: int = 32,
    limit: int | None = None,
):  # fmt: skip
    """A convolutional variational autoencoder: its bound on the log-likelihood, and digits out of noise."""
    images = load_images(data, size=size, mode="L", limit=limit)
    train, test = images.loaders(batch, scale=([0.0], [1.0]))
    meta = {"size": size, "code": code, "width": width}
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)

    def step(model, batch):
        x, _ = batch
        logits, mean, log_variance = model(x)
        loss = models.vae_loss(logits, mean, log_variance, x, beta)
        return {"loss": loss, "divergence": models.code_divergence(mean, log_variance)}

    trainer = run.trainer(model, optimizer, step=step, schedule=schedule)
    trainer.fit(train, test, epochs=epochs)
    run.save(model, meta)

    elbo = -mean_bound(model, test)
    x = next(iter(test))[0][:12]
    with lamella.no_grad():
        again = model(x)[0].sigmoid()
    run.figure("curves", plots.curves, trainer.history)
    run.figure("reconstructions", plots.samples, lamella.cat([x, again]), columns=12)
    generate(model, meta, run, "")
    return {"elbo": elbo, **PictureJudge(images).figures(model.sample(len(images.test)))}


@lamella.no_grad()
def mean_bound(model, loader):
    """The mean of the negative evidence lower bound in nats, with one draw of the code for each picture."""
    model.train()  # which draws; there is neither dropout nor batch norm
    total = sum(models.vae_loss(*model(x), x).item() * len(x) for x, _ in loader)
    model.eval()
    return total / len(loader.dataset)


def build(meta):
    return models.ConvVAE(1, meta["size"], meta["code"], meta["width"])


def generate(model, meta, run, prompt, n=64):
    run.figure("samples", plots.samples, model.sample(n))


if __name__ == "__main__":
    vae.main()
