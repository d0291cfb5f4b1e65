# SPDX-License-Identifier: MIT
"""Rosenblatt's perceptron and its learning rule."""

from lamella import nn, plots
from lamella.data import load_images, read_like
from lamella.nn import functional as F
from lamella.recipes import recipe


@recipe(data="MNIST's IDX files or a folder of images per class (default: the embedded digits)")
def perceptron(run, data=None, *, epochs: int = 20, batch: int = 1, size: int | None = None):
    """Ten perceptrons, one for each digit, taught by the perceptron learning rule.

    Each says whether a picture is of its class; where several or none do, the largest sum before the step decides.
    """
    images = load_images(data, mode="L", size=size)
    train, test = images.loaders(batch)
    meta = images.describe()
    model = build(meta)
    mistakes = []
    for epoch in range(epochs):
        wrong = sum(model.update(x.flatten(1), F.one_hot(y, len(images.classes))) for x, y in train)
        mistakes.append(wrong)
        run.print(f"epoch {epoch + 1:3d}  {wrong} mistakes in {len(images.train)} images")
        if wrong == 0:
            break
    run.save(model, meta)
    right = sum((scores(model, x).argmax(1) == y).sum().item() for x, y in test)
    run.figure("weights", plots.filters, model.weight.reshape(-1, 1, *meta["size"]))
    return {"accuracy": right / len(images.test), "mistakes_in_training": mistakes[-1]}


def scores(model, x):
    return F.linear(x.flatten(1), model.weight.detach(), model.bias.detach())


def build(meta):
    return nn.Perceptron(meta["size"][0] * meta["size"][1], len(meta["classes"]))


def predict(model, meta, path):
    return meta["classes"][scores(model, read_like(path, meta))[0].argmax().item()]


if __name__ == "__main__":
    perceptron.main()
