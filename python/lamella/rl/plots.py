# SPDX-License-Identifier: MIT
"""Pictures of learning: reward curves, frames of an episode, a table of values. matplotlib is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def _figure(width: float, height: float, layout: str | None = "constrained") -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("[rl.plots] matplotlib must be installed: pip install matplotlib") from None
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def rewards(agents: Any, window: int = 100, solved: float | None = None) -> Any:
    """The return of every episode over steps, and the running mean of `window` of them, as a Figure.

    agents: an agent, or {label: agent or list of agents}; of several under one label (seeds), the median and the span of
    their running means are drawn. solved: a line to reach.
    """
    figure = _figure(7, 4)
    axes = figure.subplots()
    groups = agents if isinstance(agents, Mapping) else {"": agents}
    for k, (label, group) in enumerate(groups.items()):
        group, color = list(group) if isinstance(group, list | tuple) else [group], f"C{k}"
        curves = [running_mean(np.array(agent.episodes, np.float64).reshape(-1, 3), window) for agent in group]
        curves = [curve for curve in curves if len(curve)]
        if not curves:
            continue
        if len(group) == 1:
            steps, found = np.array(group[0].episodes)[:, :2].T
            axes.plot(steps, found, ".", color=color, markersize=2, alpha=0.25)
            axes.plot(*curves[0].T, color=color, label=label or f"mean of {window} episodes")
        else:
            grid = np.linspace(max(c[0, 0] for c in curves), min(c[-1, 0] for c in curves), 200)
            lines = np.array([np.interp(grid, *c.T) for c in curves])
            axes.plot(grid, np.median(lines, 0), color=color, label=label or f"median of {len(curves)} seeds")
            axes.fill_between(grid, lines.min(0), lines.max(0), color=color, alpha=0.2, linewidth=0)
    if solved is not None:
        axes.axhline(solved, color="grey", linestyle="--", linewidth=1)
    axes.set(xlabel="steps", ylabel="return of an episode")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
    return figure


def running_mean(episodes: np.ndarray, window: int) -> np.ndarray:
    """(steps, mean of the last `window` returns, fewer at the beginning) for rows of (steps, return, length)."""
    if not len(episodes):
        return np.zeros((0, 2))
    total = np.concatenate([[0.0], np.cumsum(episodes[:, 1])])
    end = np.arange(1, len(episodes) + 1)
    begin = np.maximum(0, end - window)
    return np.stack([episodes[:, 0], (total[end] - total[begin]) / (end - begin)], 1)


def frames(pictures: Sequence[np.ndarray], columns: int = 6, rows: int = 2, title: str | None = None) -> Any:
    """columns x rows pictures of an episode (as `rl.episode` gives them), evenly spaced, first and last included, with their
    step above each, as a Figure."""
    if not len(pictures):
        raise ValueError("[frames] pictures must hold at least one, got none; was the environment made with rgb_array?")
    count = min(columns * rows, len(pictures))
    chosen = np.linspace(0, len(pictures) - 1, count).round().astype(int)
    height, width = pictures[0].shape[:2]
    columns = min(columns, count)
    rows = -(-count // columns)
    cell, above, top = 1.9 * height / width, 0.25, 0.35 if title else 0.05  # inches
    total = rows * (cell + above) + top
    figure = _figure(1.9 * columns, total, None)  # placed by hand: the engines take seconds for so many axes
    for k, i in enumerate(chosen):
        row, column = divmod(k, columns)
        bottom = 1 - (top + (row + 1) * (cell + above)) / total
        axes = figure.add_axes((column / columns + 0.005, bottom, 1 / columns - 0.01, cell / total))
        axes.imshow(pictures[i])
        axes.set_title(f"step {i}", fontsize=8, pad=2)
        axes.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=10, y=1 - 0.1 / total, va="top")
    return figure


def losses(agent: Any, names: Sequence[str] | None = None) -> Any:
    """The algorithm's own figures over steps, an axes each, as a Figure."""
    rows = agent.history
    found = list(dict.fromkeys(n for row in rows for n in row if n not in ("steps", "return", "length")))
    names = found if names is None else list(names)
    missing = [n for n in names if n not in found]
    if missing or not names:
        raise ValueError(f"[losses] names must be among {found}, got {missing or names}")
    figure = _figure(3 * min(3, len(names)), 2.4 * -(-len(names) // 3))
    for axes, name in zip(figure.subplots(-(-len(names) // 3), min(3, len(names)), squeeze=False).flat, names, strict=False):
        axes.plot([row["steps"] for row in rows if name in row], [row[name] for row in rows if name in row])
        axes.set(xlabel="steps", title=name)
        axes.grid(alpha=0.3)
    return figure


def policy_grid(q: np.ndarray, shape: tuple[int, int], arrows: str = "←↓→↑", title: str | None = None) -> Any:
    """A table Q (rows x columns states, actions) as a field: the best action's worth as colour, the action as an arrow (in
    FrozenLake's order: left, down, right, up; CliffWalking's is "↑→↓←"), as a Figure."""
    rows, columns = shape
    if q.shape != (rows * columns, len(arrows)):
        raise ValueError(f"[policy_grid] q must have shape {(rows * columns, len(arrows))}, got {q.shape}")
    figure = _figure(0.6 * columns + 1.2, 0.6 * rows + 0.6)
    axes = figure.subplots()
    worth = q.max(1)
    middle = (worth.min() + worth.max()) / 2
    figure.colorbar(axes.imshow(worth.reshape(shape), cmap="viridis"), label="worth")
    for state, row in enumerate(q):
        if np.ptp(row) > 0:
            color = "black" if worth[state] > middle else "white"
            axes.text(state % columns, state // columns, arrows[int(row.argmax())], ha="center", va="center", color=color)
    axes.set(xticks=[], yticks=[])
    if title:
        axes.set_title(title, fontsize=9)
    return figure
