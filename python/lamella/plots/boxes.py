# SPDX-License-Identifier: MIT
"""Pictures of detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._style import COLOURS, array, bare, figure, normalized, picture

__all__ = ["detections"]


@picture
def detections(
    images: Any, found: Sequence[dict[str, Any]], classes: Sequence[str] | None = None, columns: int = 4, value_range: Any = None
) -> Any:
    """Images (N, C, H, W) with the boxes in them: found, for each a dict of boxes (K, 4), corners in units of the picture, and
    labels (K), and scores (K) where there are some, as `models.SSD.detect` gives them or a data set has them."""
    if len(images) != len(found) or not len(found):
        raise ValueError(f"[plots.detections] images and found must be as many, one at least, got {len(images)} and {len(found)}")
    pictures = normalized(array(images), value_range)
    height, width = pictures.shape[1:3]
    columns = min(columns, len(pictures))
    deep = -(-len(pictures) // columns)
    made = figure(2.3 * columns, 2.3 * deep * height / width + 0.2)
    grid = made.subplots(deep, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, shown, boxes in zip(grid.flat, pictures, found, strict=False):
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
        scores = array(boxes["scores"]) if "scores" in boxes else None
        for i, (box, label) in enumerate(zip(array(boxes["boxes"]), array(boxes["labels"]), strict=True)):
            x, y = box[[0, 2]] * width - 0.5, box[[1, 3]] * height - 0.5
            colour = COLOURS[int(label) % len(COLOURS)]
            axes.plot(x[[0, 1, 1, 0, 0]], y[[0, 0, 1, 1, 0]], color=colour, linewidth=1.4)
            name = str(label) if classes is None else classes[int(label)]
            text = name if scores is None else f"{name} {scores[i]:.0%}"
            axes.text(x[0], y[0], text, color="white", fontsize=7, va="bottom", bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8})
        bare(axes)
    return made
