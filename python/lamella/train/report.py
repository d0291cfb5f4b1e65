# SPDX-License-Identifier: MIT
"""What a run leaves: the curve as CSV and as a picture, and held-out images with what the model says of them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..serialize import atomic_write


def write_csv(rows: list[dict[str, float]], path: str | os.PathLike[str]) -> None:
    """One line per epoch."""
    names = list(rows[0]) if rows else []
    lines = [",".join(names), *(",".join(f"{row[n]:.6g}" for n in names) for row in rows)]
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _write(figure: Any, path: str | os.PathLike[str]) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def plot_curves(rows: list[dict[str, float]], path: str | os.PathLike[str]) -> None:
    """Loss, and accuracy on training and held-out images, over epochs."""
    epochs = [row["epoch"] for row in rows]
    figure = _figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [row["loss"] for row in rows], marker=".")
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    right.plot(epochs, [row["accuracy"] for row in rows], marker=".", label="training")
    right.plot(epochs, [row["test_accuracy"] for row in rows], marker=".", label="held out")
    right.set(xlabel="epoch", ylabel="accuracy")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    _write(figure, path)


def plot_predictions(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: list[str], path: str | os.PathLike[str]
) -> None:
    """A grid of 40 images (N, C, H, W), values in [0, 1]: the mistakes first, in red with the truth, then others."""
    guess = probabilities.argmax(1)
    wrong = np.flatnonzero(guess != labels)
    right = np.flatnonzero(guess == labels)
    chosen = np.concatenate([wrong[:20], right])[:40]
    figure = _figure(11, 6.4)
    for axes, i in zip(figure.subplots(5, 8).flat, chosen, strict=False):
        picture = np.clip(np.moveaxis(images[i], 0, -1), 0, 1)
        axes.imshow(picture.squeeze(), cmap="gray")
        mistake = guess[i] != labels[i]
        text = classes[guess[i]] + (f" (is {classes[labels[i]]})" if mistake else "")
        axes.set_title(text, color="tab:red" if mistake else "black", fontsize=9)
    for axes in figure.axes:
        axes.set_axis_off()
    figure.suptitle(f"held out: {len(wrong)} of {len(labels)} wrong")
    _write(figure, path)


def write_report(
    out: Path, rows: list[dict[str, float]], test: tuple[np.ndarray, np.ndarray], shown: np.ndarray, probabilities: np.ndarray, classes: list[str]
) -> list[str]:
    """curve.csv, curves.png and predictions.png in `out`; the pictures only where matplotlib is there. Their names."""
    write_csv(rows, out / "curve.csv")
    try:
        plot_curves(rows, out / "curves.png")
    except ImportError:
        return ["curve.csv"]
    plot_predictions(shown, test[1], probabilities, classes, out / "predictions.png")
    return ["curve.csv", "curves.png", "predictions.png"]
