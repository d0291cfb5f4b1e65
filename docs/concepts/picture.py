# SPDX-License-Identifier: MIT
"""How all pictures of the documentation look and where they go: $LAMELLA_PICTURES, nowhere if that is empty, else docs/pictures."""

import os
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

matplotlib.rcParams.update({
    "axes.grid": True,
    "axes.prop_cycle": matplotlib.cycler(color=["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555"]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "svg.fonttype": "none",
    "svg.hashsalt": "lamella",
})


def axes(rows=1, cols=1, width=3.6, height=2.8, **keywords):
    """(figure, its axes), each axes `width` by `height` inches."""
    fig = Figure(figsize=(width * cols, height * rows))
    return fig, fig.subplots(rows, cols, **keywords)


def bare(ax):
    """Takes away ticks and grid: for images and matrices."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(False)


def save(fig, script):
    """Writes the picture of the script (its __file__)."""
    folder = os.environ.get("LAMELLA_PICTURES", Path(__file__).parents[1] / "pictures")
    if folder == "":
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kind = os.environ.get("LAMELLA_PICTURE_TYPE", "svg")
    fig.savefig(folder / f"{Path(script).stem}.{kind}", metadata={"Date": None} if kind == "svg" else None, dpi=110)
