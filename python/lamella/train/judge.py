# SPDX-License-Identifier: MIT
"""How much generated pictures look like real ones, by a classifier that learned the real ones."""

from __future__ import annotations

from typing import Any

from ..autograd import no_grad
from ..nn import functional as F
from ..ops import cat

__all__ = ["PictureJudge"]


class PictureJudge:
    """Trains a small convolutional classifier on `images` (`data.load_images`), and measures pictures by its last features.

    steps: of its training; default 400, on few images no more than 12 passes over them.

    The distance is that of Heusel et al. 2017 ("FID"), with these features in place of Inception's: it compares models on
    the same data, not with figures of papers.
    """

    def __init__(self, images: Any, *, steps: int | None = None, batch: int = 64, lr: float = 1e-2) -> None:
        from ..data import transforms as T
        from ..models import ConvNet
        from ..optim import AdamW
        from ..optim.lr_scheduler import OneCycleLR
        from .trainer import Trainer

        size = list(images.train.tensors[0].shape[2:])
        self.images, self.scale = images, images.moments()
        train, _ = images.loaders(batch, augment=[T.RandomCrop(size, padding=max(1, size[0] // 14))])
        steps = min(400, 12 * len(train)) if steps is None else steps
        self.model = ConvNet(len(images.classes), len(self.scale[0]), width=16)
        optimizer = AdamW(self.model.named_parameters(), lr=lr)
        schedule = OneCycleLR(optimizer, lr, total_steps=steps + 1, cycle_momentum=False)
        trainer = Trainer(self.model, optimizer, F.cross_entropy, schedule=schedule)
        trainer.fit(train, steps=steps)
        self._real = self.features(images.train.tensors[0].float() / 255)

    @no_grad()
    def features(self, x: Any) -> Any:
        """(N, 64) of pictures (N, C, H, W) with values in [0, 1]."""
        layers = self.model.eval().classifier[:-1]
        return cat([layers(self.model.features(self._scaled(part))) for part in x.split(250)])

    @no_grad()
    def recognised(self, x: Any, least: float = 0.9) -> float:
        """The share of pictures that the classifier gives some class at least that chance."""
        self.model.eval()
        chances = cat([F.softmax(self.model(self._scaled(part)), 1).max(1)[0] for part in x.split(250)])
        return float((chances >= least).float().mean().item())

    def _scaled(self, x: Any) -> Any:
        from ..data import transforms as T

        return T.Normalize(*self.scale)(x)

    def frechet(self, x: Any) -> float:
        """The Frechet distance of pictures (N, C, H, W) in [0, 1] from the training images."""
        from ..metrics import FrechetDistance

        distance = FrechetDistance()
        distance.update(self.features(x), self._real)
        return float(distance.compute())

    def figures(self, x: Any) -> dict[str, float]:
        """frechet and recognised of pictures, and frechet_real and recognised_real: of the held-out images, which is about what
        a perfect generator would get."""
        test = self.images.test.tensors[0].float() / 255
        real = {"frechet_real": self.frechet(test), "recognised_real": self.recognised(test)}
        return {"frechet": self.frechet(x), "recognised": self.recognised(x)} | real
