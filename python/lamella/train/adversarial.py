# SPDX-License-Identifier: MIT
"""Training of two models against each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..autograd import no_grad
from .trainer import Trainer

__all__ = ["AdversarialTrainer"]


class AdversarialTrainer(Trainer):
    """A Trainer of a generator against a discriminator (Goodfellow et al. 2014).

    model: has `generator`, `discriminator` and `noise(n)`, what the generator makes n pictures of (`models.GAN`).
    optimizer: a dict {"generator": ..., "discriminator": ...}.
    discriminator_loss(discriminator, real, fake) and generator_loss(scores of fake): what each makes small.
    discriminator_steps: how many batches the discriminator learns from, each with new noise, before the generator's turn.

    Batches are pictures, or tuples that begin with them. Clipping, accumulation and reduced precision are not for two
    optimisers: ValueError.
    """

    def __init__(
        self,
        model: Any,
        optimizer: dict[str, Any],
        criterion: Any = None,
        *,
        discriminator_loss: Callable[[Any, Any, Any], Any],
        generator_loss: Callable[[Any], Any],
        discriminator_steps: int = 1,
        **options: Any,
    ) -> None:
        if not isinstance(optimizer, dict) or set(optimizer) != {"generator", "discriminator"}:
            raise ValueError("[AdversarialTrainer] optimizer must be a dict of 'generator' and 'discriminator'")
        for name, plain in (("accumulate", 1), ("clip_norm", None), ("clip_value", None), ("precision", "float32")):
            if options.get(name, plain) != plain:
                raise ValueError(f"[AdversarialTrainer] {name} must be {plain}, got {options[name]}")
        if criterion is not None or discriminator_steps < 1:
            raise ValueError("[AdversarialTrainer] criterion must be None and discriminator_steps at least 1")
        super().__init__(model, optimizer, None, **options)
        self.discriminator_loss, self.generator_loss = discriminator_loss, generator_loss
        self.discriminator_steps = discriminator_steps

    def training_step(self, batch: Any) -> dict[str, Any]:
        """The discriminator's step on a batch, and the generator's where it is its turn."""
        real = batch[0] if isinstance(batch, tuple | list) else batch
        generator, discriminator, n = self.model.generator, self.model.discriminator, real.shape[0]
        with no_grad():
            fake = generator(self.model.noise(n))
        loss = self.discriminator_loss(discriminator, real, fake)
        self._step("discriminator", loss)
        figures = {"loss": loss.detach()}
        if (self.steps_done + 1) % self.discriminator_steps == 0:
            discriminator.requires_grad_(False)  # its weights get no gradients here, which saves a third of the work
            try:
                loss = self.generator_loss(discriminator(generator(self.model.noise(n))))
                self._step("generator", loss)
            finally:
                discriminator.requires_grad_(True)
            figures["generator_loss"] = loss.detach()
        return figures

    def _step(self, name: str, loss: Any) -> None:
        if self.check_finite and not math.isfinite(loss.item()):
            raise FloatingPointError(f"[AdversarialTrainer] the {name}'s loss must be finite, got {loss.item()} at step {self.steps_done + 1}")
        loss.backward()
        self._call("on_backward_end")
        self.optimizers[name].step()
        self.optimizers[name].zero_grad()
