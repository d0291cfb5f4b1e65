# SPDX-License-Identifier: MIT
"""How all pictures look: colours for the colour-blind (Okabe and Ito 2008), few lines; nothing global is changed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..metrics.base import array

__all__ = ["COLOURS", "array", "bare", "figure", "mosaic", "normalized", "picture"]

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d46", "#555555"]
_STYLE = {
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#333333",
    "axes.grid": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "figure.facecolor": "white",
    "figure.titlesize": 11,
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "xtick.color": "#666666",
    "xtick.labelsize": 8,
    "ytick.color": "#666666",
    "ytick.labelsize": 8,
}
F = TypeVar("F", bound=Callable[..., Any])


def picture(function: F) -> F:
    """Draws in the house's style; an ImportError that says what to install where matplotlib is missing."""

    @functools.wraps(function)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        try:
            import matplotlib
        except ImportError:
            name = f"[plots.{function.__name__}]"
            raise ImportError(f"{name} matplotlib must be installed for pictures: pip install matplotlib") from None
        with matplotlib.rc_context({**_STYLE, "axes.prop_cycle": matplotlib.cycler(color=COLOURS)}):
            return function(*args, **kwargs)

    return drawn  # type: ignore[return-value]


def figure(width: float, height: float) -> Any:
    """A Figure of so many inches that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def bare(axes: Any) -> None:
    """Takes ticks and frame away: for images."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def normalized(images: np.ndarray, value_range: tuple[float, float] | None = None) -> np.ndarray:
    """(N, C, H, W) or (N, H, W) as (N, H, W) or (N, H, W, 3) in [0, 1]: from value_range; uint8 from 0 to 255; else as they
    are where they lie in [0, 1], and from their least and largest value where not."""
    whole = images.dtype == np.uint8
    images = images.astype(np.float32)
    if images.ndim == 4:
        images = images[:, 0] if images.shape[1] == 1 else np.moveaxis(images[:, :3], 1, -1)
    if images.size == 0:
        return images
    if value_range is None:
        low, high = float(np.nanmin(images)), float(np.nanmax(images))
        value_range = (0, 255) if whole else (0, 1) if low >= 0 and high <= 1 else (low, high)
    low, high = value_range
    return np.clip((images - low) / max(high - low, 1e-12), 0, 1)


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1, fill: float = np.nan) -> np.ndarray:
    """(N, H, W[, 3]) laid out in rows of so many, `gap` pixels of `fill` between them."""
    n, h, w = tiles.shape[:3]
    rows = -(-n // columns)
    made = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, *tiles.shape[3:]), fill, np.float32)
    for i, tile in enumerate(tiles):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        made[y : y + h, x : x + w] = tile
    return made
