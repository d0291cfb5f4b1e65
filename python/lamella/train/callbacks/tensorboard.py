# SPDX-License-Identifier: MIT
"""A run for TensorBoard to show."""

from __future__ import annotations

import os
from typing import Any

from .base import Callback

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Event files in log_dir: the figures of steps (every `every`) and of rows of the history, over steps; the model's layers
    as text; and, every `histograms` steps, the distributions of weights and of their gradients. No package is needed to
    write them; `tensorboard --logdir LOG_DIR` shows them.

    images: a function (trainer) -> {name: image (C, H, W), images (N, C, H, W) or a matplotlib Figure}, called at each row.
    """

    def __init__(self, log_dir: str | os.PathLike[str], histograms: int | None = None, every: int = 10, images: Any = None) -> None:
        for name, value in (("histograms", histograms), ("every", every)):
            if value is not None and value < 1:
                raise ValueError(f"[TensorBoard] {name} must be positive, got {value}")
        self.log_dir, self.histograms, self.every, self.images = log_dir, histograms, every, images
        self.writer: Any = None

    def on_fit_start(self, trainer: Any) -> None:
        from ...utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(self.log_dir)
        self.writer.add_text("model", f"```\n{trainer.model}\n```", trainer.steps_done)

    def on_backward_end(self, trainer: Any) -> None:
        if self.histograms is None or trainer.steps_done % self.histograms:
            return
        for name, p in trainer.model.named_parameters():
            group = name.replace(".", "/", 1)
            self.writer.add_histogram(f"weights/{group}", p, trainer.steps_done)
            if p.grad is not None:
                self.writer.add_histogram(f"gradients/{group}", p.grad, trainer.steps_done)

    def on_step_end(self, trainer: Any, figures: dict[str, Any]) -> None:
        if trainer.steps_done % self.every == 0:
            for name, value in figures.items():
                self.writer.add_scalar(f"step/{name}", value, trainer.steps_done)

    def on_epoch_end(self, trainer: Any, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float):
                tag = f"held out/{name.removeprefix('val_')}" if name.startswith("val_") else f"training/{name}"
                self.writer.add_scalar(tag, value, trainer.steps_done)
        for name, image in (self.images(trainer) if self.images else {}).items():
            add = self.writer.add_figure if hasattr(image, "savefig") else self.writer.add_images if image.ndim == 4 else self.writer.add_image
            add(name, image, trainer.steps_done)
        self.writer.flush()

    def on_fit_end(self, trainer: Any) -> None:
        if self.writer is not None:
            self.writer.close()
