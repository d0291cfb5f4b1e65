# SPDX-License-Identifier: MIT
"""Training a classifier on tensors in memory: augmentation, one-cycle AdamW, progress, evaluation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import ops
from ..autograd import no_grad
from ..data.sampler import permutation
from ..nn import functional as F
from ..ops import from_numpy
from ..optim import AdamW
from ..optim.lr_scheduler import OneCycleLR


@dataclass
class History:
    """One entry per epoch of everything measured."""

    rows: list[dict[str, float]] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Held-out accuracy after the last epoch."""
        return self.rows[-1]["test_accuracy"] if self.rows else 0.0


def shift(images: np.ndarray, rng: np.random.Generator, pixels: int) -> np.ndarray:
    """Each image moved by up to `pixels` along both axes, zeros coming in."""
    n, _, h, w = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)))
    out = np.empty_like(images)
    dy, dx = rng.integers(0, 2 * pixels + 1, (2, n))
    for a in range(2 * pixels + 1):
        for b in range(2 * pixels + 1):
            chosen = (dy == a) & (dx == b)
            out[chosen] = padded[chosen, :, a : a + h, b : b + w]
    return out


def flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random half of the images mirrored left to right."""
    mirrored = rng.random(len(images)) < 0.5
    return np.where(mirrored[:, None, None, None], images[..., ::-1], images)


def predict(model: Any, images: np.ndarray, batch: int = 256) -> np.ndarray:
    """Class probabilities (n, classes)."""
    model.eval()
    with no_grad():
        parts = [
            F.softmax(model(from_numpy(np.ascontiguousarray(images[i : i + batch]))), -1).cpu().numpy()
            for i in range(0, len(images), batch)
        ]
    return np.concatenate(parts)


def fit(
    model: Any,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    epochs: int,
    batch: int = 64,
    lr: float = 4e-3,
    seed: int = 0,
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    progress: Any = None,
) -> History:
    """Trains in place and evaluates after each epoch. The order of samples and their augmentation are functions of
    (seed, epoch), so that a run can be repeated to the bit."""
    images, labels = train
    n = len(images)
    steps = (n + batch - 1) // batch
    optimizer = AdamW(model.parameters(), lr=lr, weight_decay=1e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * steps + 1, cycle_momentum=False)
    history = History()
    progress = progress or PlainProgress()
    progress.start(epochs, steps)
    try:
        for epoch in range(epochs):
            begun = time.perf_counter()
            order = permutation(n, seed, epoch)
            rng = np.random.default_rng([seed, epoch])
            model.train()
            total, right = ops.zeros(()), ops.zeros((), dtype=labels_dtype())
            for step in range(steps):
                chosen = order[step * batch : (step + 1) * batch]
                x = images[chosen]
                x, y = from_numpy(np.ascontiguousarray(augment(x, rng) if augment else x)), from_numpy(labels[chosen])
                scores = model(x)
                loss = F.cross_entropy(scores, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                with no_grad():
                    total += loss * len(chosen)
                    right += (scores.argmax(1) == y).sum()
                progress.step(step, loss, (step * batch + len(chosen)) / (time.perf_counter() - begun))
            row = {
                "epoch": epoch + 1,
                "loss": total.item() / n,
                "accuracy": right.item() / n,
                "test_accuracy": float((predict(model, test[0]).argmax(1) == test[1]).mean()),
                "samples_per_second": n / (time.perf_counter() - begun),
            }
            history.rows.append(row)
            progress.epoch(row)
    finally:
        progress.stop()
    return history


def labels_dtype() -> Any:
    from .. import int64

    return int64


class PlainProgress:
    """One line per epoch: for files and pipes."""

    def __init__(self, stream: Any = None, quiet: bool = False) -> None:
        self.stream, self.quiet = stream or sys.stdout, quiet

    def start(self, epochs: int, steps: int) -> None:
        self.epochs, self.begun = epochs, time.perf_counter()

    def step(self, step: int, loss: Any, rate: float) -> None:
        pass

    def epoch(self, row: dict[str, float]) -> None:
        done = row["epoch"] / self.epochs
        left = (time.perf_counter() - self.begun) * (1 - done) / done
        if not self.quiet:
            print(
                f"epoch {row['epoch']:3.0f}/{self.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  held-out "
                f"{row['test_accuracy']:.4f}  {row['samples_per_second']:.0f} samples/s  {left:.0f} s left",
                file=self.stream,
                flush=True,
            )

    def stop(self) -> None:
        pass


class BarProgress(PlainProgress):
    """A bar in the terminal, by rich: loss, accuracy, samples per second, time left."""

    def start(self, epochs: int, steps: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().start(epochs, steps)
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  held-out {task.fields[accuracy]:.4f}  {task.fields[rate]:.0f} samples/s"),
            TimeRemainingColumn(),
        )
        self.task = self.bar.add_task("", total=epochs * steps, epoch=1, loss=0.0, accuracy=0.0, rate=0.0)
        self.bar.start()

    def step(self, step: int, loss: Any, rate: float) -> None:
        if step % 8 == 0:
            self.bar.update(self.task, loss=loss.item(), rate=rate)
        self.bar.advance(self.task)

    def epoch(self, row: dict[str, float]) -> None:
        self.bar.update(self.task, epoch=int(row["epoch"]), accuracy=row["test_accuracy"])

    def stop(self) -> None:
        self.bar.stop()


def progress_for(quiet: bool) -> PlainProgress:
    """A bar where stdout is a terminal and rich is installed, else lines."""
    if not quiet and sys.stdout.isatty():
        try:
            import rich.progress  # noqa: F401

            return BarProgress()
        except ImportError:
            pass
    return PlainProgress(quiet=quiet)
