# SPDX-License-Identifier: MIT
"""Pictures of a classifier: confusion matrix, ROC, calibration, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import metrics as M
from ._style import COLOURS, array, bare, figure, normalized, picture

__all__ = ["calibration", "confusion_matrix", "predictions", "roc"]


@picture
def confusion_matrix(counts: Any, classes: Sequence[str] | None = None, title: str | None = None) -> Any:
    """counts (C, C), rows being the truth, as `metrics.ConfusionMatrix` gives them: the colour is the share of the true class,
    the number the count (left out for more than 25 classes). ValueError where counts is not square."""
    counts = array(counts)
    n = len(counts)
    if counts.shape != (n, n) or n == 0:
        raise ValueError(f"[plots.confusion_matrix] counts must have shape (C, C), got {counts.shape}")
    if classes is not None and len(classes) != n:
        raise ValueError(f"[plots.confusion_matrix] classes must be {n} names, got {len(classes)}")
    share = M.base.ratio(counts, counts.sum(1, keepdims=True))
    size = float(np.clip(1.6 + 0.42 * n, 3.4, 11))
    made = figure(size + 0.9, size)
    axes = made.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if n <= 25:
        whole = bool((counts == counts.astype(np.int64)).all())
        for i, j in zip(*np.nonzero(counts), strict=True):
            text = str(int(counts[i, j])) if whole else f"{counts[i, j]:.2f}"
            colour = "white" if share[i, j] > 0.55 else "#222222" if i == j else COLOURS[1]
            axes.text(j, i, text, ha="center", va="center", fontsize=8 if n <= 12 else 6.5, color=colour)
    step = 1 if n <= 40 else -(-n // 30)
    names = [str(i) for i in range(n)] if classes is None else [str(c) for c in classes]
    long = max(map(len, names)) > 3
    axes.set_xticks(range(0, n, step), names[::step], rotation=45 if long else 0, ha="right" if long else "center", rotation_mode="anchor")
    axes.set_yticks(range(0, n, step), names[::step])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted", ylabel="true")
    right = np.trace(counts) / max(counts.sum(), 1e-12)
    axes.set_title(title or f"{right:.1%} right", loc="left", fontweight="bold")
    made.colorbar(image, ax=axes, shrink=0.7, format=lambda v, _: f"{v:.0%}").outline.set_visible(False)
    return made


@picture
def roc(output: Any, target: Any, classes: Sequence[str] | None = None, title: str = "ROC") -> Any:
    """The receiver operating characteristic of scores (N) with targets 0 and 1, or of each class of scores (N, C) against the
    rest (the ten with the smallest area, where there are more), with the area under it."""
    output, target = array(output), array(target)
    made = figure(4.8, 4.3)
    axes = made.add_subplot()
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle="--", linewidth=1)
    if output.ndim == 1:
        fpr, tpr, _ = M.functional.roc(output, target, "binary")
        area = M.functional.auroc(output, target, "binary")
        axes.fill_between(fpr, tpr, alpha=0.12, color=COLOURS[0], linewidth=0)
        axes.plot(fpr, tpr, label=f"area {area:.3f}")
    else:
        areas = M.functional.auroc(output, target, average=None)
        rates = M.functional.roc(output, target)
        shown = [c for c in np.argsort(areas) if not np.isnan(areas[c])][:10]
        for i, c in enumerate(sorted(shown)):
            name = str(c) if classes is None else classes[c]
            style = "-" if i < len(COLOURS) else "--"
            axes.plot(rates[0][c], rates[1][c], style, color=COLOURS[i % len(COLOURS)], label=f"{name}  {areas[c]:.3f}", linewidth=1.3)
        title = f"{title}, mean area {np.nanmean(areas):.3f}"
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.02, 1), ylim=(0, 1.02), aspect="equal")
    axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(True)
    axes.legend(loc="lower right")
    return made


@picture
def calibration(output: Any, target: Any = None, n_bins: int = 15, title: str = "Calibration") -> Any:
    """Accuracy over confidence (the reliability diagram of Guo et al. 2017), how many predictions have each confidence, and
    the expected calibration error. output: scores (N, C), or (N) of a binary task, with target; or a
    `metrics.CalibrationError` that has seen them."""
    if isinstance(output, M.CalibrationError):
        metric = output
    else:
        output = array(output)
        metric = M.CalibrationError("binary" if output.ndim == 1 else "multiclass", n_bins=n_bins)
        metric.update(output, target)
    n, confidence, accuracy = metric.bins()
    made = figure(4.8, 4.8)
    top, bottom = made.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    width = 1 / len(n)
    places = (np.arange(len(n)) + 0.5) * width
    top.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1)
    some = n > 0
    top.bar(places[some], accuracy[some], width * 0.94, color=COLOURS[0], alpha=0.75)
    low = np.minimum(accuracy, confidence)[some]
    top.bar(places[some], np.abs(accuracy - confidence)[some], width * 0.94, low, color=COLOURS[1], alpha=0.3,
            edgecolor=COLOURS[1], linewidth=0.6, label="gap")  # fmt: skip
    top.set(ylabel="accuracy", ylim=(0, 1.02), xlim=(0, 1))
    top.set_title(title, loc="left", fontweight="bold")
    gap = M.base.ratio(np.abs(metric.sums[1] - metric.sums[2]), n)
    top.set_title(f"ECE {float((gap * n).sum() / max(1, n.sum())):.3f}", loc="right")
    top.legend(loc="upper left")
    bottom.bar(places, n / max(1, n.sum()), width * 0.94, color="#999999")
    bottom.set(xlabel="confidence", ylabel="share")
    for axes in (top, bottom):
        axes.grid(True, axis="y")
        axes.set_axisbelow(True)
    return made


@picture
def predictions(
    images: Any, labels: Any, output: Any, classes: Sequence[str] | None = None, count: int = 40, value_range: Any = None
) -> Any:
    """`count` images (N, C, H, W) with what the model says of them: the surest mistakes first, in colour with the truth (at
    most half of them), then others. output (N, C): scores or probabilities."""
    labels, probabilities = array(labels), M.base.probabilities(array(output), 1)
    guess = probabilities.argmax(1)
    wrong = np.flatnonzero(guess != labels)
    wrong = wrong[np.argsort(-probabilities[wrong, guess[wrong]], kind="stable")]
    right = np.flatnonzero(guess == labels)
    chosen = np.concatenate([wrong[: max(count // 2, count - len(right))], right])[:count]
    pictures = normalized(array(images)[chosen], value_range)
    columns = min(8, max(1, len(chosen)))
    deep = max(1, -(-len(chosen) // columns))
    made = figure(1.35 * columns, 1.55 * deep + 0.4)
    grid = made.subplots(deep, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, i, shown in zip(grid.flat, chosen, pictures, strict=False):
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
        said, true = (str(c) if classes is None else classes[c] for c in (guess[i], labels[i]))
        mistake = guess[i] != labels[i]
        sure = f"{probabilities[i, guess[i]]:.0%}"
        text = f"{said} {sure}\nis {true}" if mistake else f"{said} {sure}"
        axes.set_title(text, color=COLOURS[1] if mistake else "#333333", fontsize=8)
        bare(axes)
    made.suptitle(f"{len(wrong)} of {len(labels)} wrong", fontweight="bold")
    return made
