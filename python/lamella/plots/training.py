# SPDX-License-Identifier: MIT
"""Pictures of a run: curves, the learning-rate range test, how activations and gradients are distributed."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._style import COLOURS, array, figure, picture

__all__ = ["curves", "histograms", "lr_range"]

_COUNTS = ("epoch", "step", "seconds", "samples_per_second")
_HELD_OUT = ("val_", "test_")


def _rows(history: Any) -> list[dict[str, float]]:
    """Rows of a History, a list, or a CSV file whose first line has names; empty fields are left out."""
    if isinstance(history, (str, os.PathLike)):
        with Path(history).open(newline="") as file:
            return [{k: float(v) for k, v in row.items() if v not in ("", None)} for row in csv.DictReader(file)]
    return list(getattr(history, "rows", history))


@picture
def curves(history: Any, names: Sequence[str] | None = None, x: str | None = None, title: str | None = None) -> Any:
    """The figures of a run over its epochs (or over `x`, another column): one panel each, with what is held out (val_...,
    test_...) in the panel of its training figure, its best value marked. history: a History, its rows, or the path of a CSV.

    names: which figures; all but counts and times unless given. A panel is logarithmic where positive values of a loss or a
    rate span more than a factor of 20. ValueError without rows.
    """
    rows = _rows(history)
    if not rows:
        raise ValueError("[plots.curves] history must have at least one row, got none")
    x = x or ("epoch" if len({row.get("epoch") for row in rows}) == len(rows) and "epoch" in rows[0] else "step")
    found = [n for n in dict.fromkeys(k for row in rows for k in row) if names is not None or n not in _COUNTS]
    panels: dict[str, list[str]] = {}
    for name in found if names is None else names:
        if name not in found:
            raise ValueError(f"[plots.curves] names must be among {', '.join(found)}, got {name!r}")
        if all(isinstance(row.get(name, 0.0), (int, float)) for row in rows):
            base = next((name.removeprefix(p) for p in _HELD_OUT if name.startswith(p)), name)
            panels.setdefault(base, []).append(name)
    if not panels:
        raise ValueError(f"[plots.curves] history must have figures, got rows of {', '.join(rows[0])}")
    rates = {row["lr"] for row in rows if "lr" in row}
    if names is None and len(panels) > 1 and len(rates) == 1:
        panels.pop("lr", None)  # it never changed
    panels = dict(sorted(panels.items(), key=lambda item: item[0] == "lr"))
    columns = min(3, len(panels))
    deep = -(-len(panels) // columns)
    made = figure(max(3.8 * columns, 5), 2.9 * deep)
    grid = made.subplots(deep, columns, squeeze=False).flat
    for axes, (base, members) in zip(grid, panels.items(), strict=False):
        _panel(axes, rows, base, members, x)
    for axes in list(grid)[len(panels) :]:
        axes.set_axis_off()
    if title:
        made.suptitle(title)
    return made


def _panel(axes: Any, rows: list[dict[str, float]], base: str, members: list[str], x: str) -> None:
    from ..train.callbacks.base import improves

    every = []
    for name in sorted(members, key=lambda n: n.startswith(_HELD_OUT)):
        held = name.startswith(_HELD_OUT)
        pairs = [(row.get(x, i), row[name]) for i, row in enumerate(rows) if name in row]
        places, values = (list(part) for part in zip(*pairs, strict=True))
        colour = COLOURS[1] if held else COLOURS[0]
        axes.plot(places, values, color=colour, marker="." if len(values) < 40 else "", label="held out" if held else "training")
        every += [v for v in values if math.isfinite(v)]
        if (held or len(members) == 1) and base != "lr" and len(values) > 1 and any(map(math.isfinite, values)):
            better = improves("auto", base)
            best = 0
            for i, value in enumerate(values):
                if math.isfinite(value) and (not math.isfinite(values[best]) or better(value, values[best])):
                    best = i
            axes.plot(places[best], values[best], "o", color=colour, markersize=6, fillstyle="none")
            axes.set_title(f"best {values[best]:.4g} at {x} {places[best]:g}", loc="right", fontsize=8, color=colour)
    falling = "loss" in base or base == "lr" or "perplex" in base
    if falling and every and min(every) > 0 and max(every) / min(every) > 20:
        axes.set_yscale("log")
    axes.set_title({"lr": "learning rate"}.get(base, base.replace("_", " ")), loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.grid(True)
    if all(float(row.get(x, 0)).is_integer() for row in rows):
        axes.xaxis.get_major_locator().set_params(integer=True)
    if len(members) > 1:
        axes.legend()


@picture
def lr_range(finder: Any, losses: Sequence[float] | None = None, suggestion: Any = None, title: str = "Learning-rate range test") -> Any:
    """The loss over learning rates that grow from step to step (Smith 2017), with the range that `LRFinder` suggests.

    finder: an `LRFinder` after its range_test; or learning rates, with `losses` and perhaps the (low, steepest, high) of a
    suggestion.
    """
    if losses is None:
        lrs, losses = finder.history["lr"], finder.history["loss"]
        try:
            suggestion = finder.suggestion()
        except ValueError:
            suggestion = None
    else:
        lrs = finder
    lrs, losses = np.asarray(lrs, float), np.asarray(losses, float)
    if lrs.shape != losses.shape or lrs.ndim != 1 or not len(lrs):
        raise ValueError(f"[plots.lr_range] losses must be as many as rates, one at least, got {losses.shape} and {lrs.shape}")
    made = figure(6, 3.6)
    axes = made.add_subplot()
    if suggestion is not None:
        low, steepest, high = suggestion
        axes.axvspan(low, high, color=COLOURS[2], alpha=0.13, linewidth=0, label=f"falls: {low:.2g} to {high:.2g}")
        axes.axvline(steepest, color=COLOURS[2], linestyle="--", linewidth=1.2, label=f"steepest: {steepest:.2g}")
    axes.plot(lrs, losses)
    if np.isfinite(losses).any():  # what explodes after the minimum would flatten all the rest
        lowest = int(np.nanargmin(np.where(np.isfinite(losses), losses, np.nan)))
        before = losses[: lowest + 1][np.isfinite(losses[: lowest + 1])]
        reach = float(before.max() - losses[lowest]) or abs(float(losses[lowest])) or 1.0
        axes.set_ylim(losses[lowest] - 0.08 * reach, losses[lowest] + 1.35 * reach)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
    axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(True)
    if suggestion is not None:
        axes.legend()
    return made


# ---- distributions ---------------------------------------------------------------------------------------------------
@picture
def histograms(values: Mapping[str, Any], over_time: bool = False, bins: int = 60, title: str | None = None) -> Any:
    """How values are distributed in each layer: {layer: values}, the values being tensors, arrays, a `Distribution`, or a
    list of these over time, as `train.Histograms` keeps them (`.activations`, `.gradients`).

    One ridge a layer, first on top, of the newest values that are not exactly 0, each layer on the scale of its own largest
    (99.9 %), with the standard deviation and the share that is exactly 0 (ReLUs that are off);
    over_time: the median and the quantiles from 1 to 99 % as they went.
    """
    from ..train.capture import Distribution

    found: dict[str, list[Distribution]] = {}
    for name, given in values.items():
        several = isinstance(given, (list, tuple)) and len(given) and not np.isscalar(given[0])
        each = [g if isinstance(g, Distribution) else Distribution.of(array(g), bins=bins) for g in (given if several else [given])]
        if each and each[-1].size:
            found[name] = each
    if not found:
        raise ValueError("[plots.histograms] values must name at least one layer with values, got none")
    return _bands(found, title) if over_time else _ridges({n: d[-1] for n, d in found.items()}, title)


def _ridges(found: dict[str, Any], title: str | None) -> Any:
    made = figure(7, 1.2 + 0.42 * len(found))
    axes = made.add_subplot()
    for i, d in enumerate(found.values()):
        base = len(found) - 1 - i
        reach = float(np.abs(d.edges).max()) or 1.0
        centres = (d.edges[1:] + d.edges[:-1]) / 2 / reach
        density = d.counts / max(1, d.counts.max())
        colour = COLOURS[i % 2]
        axes.fill_between(centres, base, base + 0.92 * density, step="mid", color=colour, alpha=0.65, linewidth=0)
        axes.plot([-1, 1], [base, base], color="#bbbbbb", linewidth=0.6, zorder=0)
        zeros = f"   {d.zeros:.0%} zero" if d.zeros >= 0.005 else ""
        axes.text(1.02, base + 0.25, f"to ±{reach:.2g}, std {d.std:.2g}{zeros}", transform=axes.get_yaxis_transform(), fontsize=8, color="#555555")
    axes.axvline(0, color="#bbbbbb", linewidth=0.6, zorder=0)
    axes.set(xlim=(-1.02, 1.02), ylim=(-0.1, len(found)), xlabel="share of the layer's reach")
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([len(found) - 1 - i + 0.25 for i in range(len(found))], list(found))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(title or "", loc="left", fontweight="bold")
    return made


def _bands(found: dict[str, list[Any]], title: str | None) -> Any:
    columns = min(3, len(found))
    deep = -(-len(found) // columns)
    made = figure(max(3.4 * columns, 4.5), 2.3 * deep + 0.3)
    grid = list(made.subplots(deep, columns, squeeze=False, sharex=True).flat)
    for axes, (name, each) in zip(grid, found.items(), strict=False):
        steps = [d.step if d.step is not None else i for i, d in enumerate(each)]
        q = np.array([d.quantiles for d in each])[:, 1:-1]  # without the extremes
        half = q.shape[1] // 2
        for k in range(half):
            axes.fill_between(steps, q[:, k], q[:, -1 - k], color=COLOURS[0], alpha=0.16 + 0.12 * k, linewidth=0)
        axes.plot(steps, q[:, half], color=COLOURS[0], linewidth=1.2)
        axes.set_title(name, loc="left")
        axes.grid(True)
    for axes in grid[max(0, len(found) - columns) : len(found)]:
        axes.set_xlabel("step")
        axes.tick_params(labelbottom=True)
    for axes in grid[len(found) :]:
        axes.set_axis_off()
    made.suptitle(f"{title + ': ' if title else ''}median and quantiles (25-75, 5-95, 1-99 %)")
    return made
