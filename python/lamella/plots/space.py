# SPDX-License-Identifier: MIT
"""Points of many dimensions in the plane: PCA, t-SNE, and their picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._style import COLOURS, array, bare, figure, picture

__all__ = ["embeddings", "pca", "tsne"]


def pca(x: Any, n_components: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """(x (N, D) about its mean along the directions of largest variance (N, n_components), their shares of the variance), by
    singular value decomposition. The largest weight of each direction is positive, so that the picture is always the same.

    >>> plane, shares = pca([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]], 1)
    >>> plane.round(3).ravel(), shares.round(3)
    (array([-2.828,  0.   ,  2.828]), array([1.]))
    """
    x = array(x).astype(np.float64)
    if x.ndim != 2 or not 1 <= n_components <= min(x.shape):
        raise ValueError(f"[plots.pca] x must have shape (N, D) with N and D at least n_components={n_components}, got {x.shape}")
    x = x - x.mean(0)
    _, s, v = np.linalg.svd(x, full_matrices=False)
    v = v * np.where(np.take_along_axis(v, np.abs(v).argmax(1)[:, None], 1) < 0, -1.0, 1.0)
    return x @ v[:n_components].T, s[:n_components] ** 2 / max((s**2).sum(), 1e-300)


def _affinities(squared: np.ndarray, perplexity: float) -> np.ndarray:
    """p_(j|i) = softmax_j(-beta_i d_ij^2), beta_i found by bisection, for all rows together, such that each row's entropy is
    log(perplexity); made symmetric, of sum 1."""
    n = len(squared)
    beta, low, high = np.ones(n) / np.maximum(np.median(squared, 1), 1e-12), np.zeros(n), np.full(n, np.inf)
    others = ~np.eye(n, dtype=bool)
    nearest = np.where(others, squared, np.inf).min(1, keepdims=True)
    p = np.zeros_like(squared)
    for _ in range(60):
        p = np.exp(-beta[:, None] * (squared - nearest)) * others
        p /= p.sum(1, keepdims=True)
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + high) / 2)
    return (p + p.T) / (2 * n)


def _squared_distances(x: np.ndarray) -> np.ndarray:
    norms = (x * x).sum(1)
    return np.maximum(norms[:, None] + norms - 2 * (x @ x.T), 0)


def tsne(x: Any, perplexity: float = 30.0, n_iter: int = 500, learning_rate: float | None = None) -> np.ndarray:
    """x (N, D) in the plane (N, 2) such that neighbours stay neighbours: t-distributed stochastic neighbour embedding (van
    der Maaten and Hinton 2008), exact, O(N^2) for each of n_iter steps: for some thousand points. Distances between
    clusters and their sizes mean little.

    Descends KL(p | q), q_ij proportional to 1 / (1 + |y_i - y_j|^2): gradient 4 sum_j (p_ij - q_ij) (y_i - y_j) / (1 +
    |y_i - y_j|^2), with momentum, gains, and p times 12 for the first half (250 steps at most). Begins with the two main
    components, so that nothing is random. perplexity: about how many neighbours each point has, below N / 3.
    """
    x = array(x).astype(np.float64)
    if x.ndim != 2 or len(x) < 4:
        raise ValueError(f"[plots.tsne] x must have shape (N, D) with N at least 4, got {x.shape}")
    n = len(x)
    perplexity = min(perplexity, (n - 1) / 3)
    if x.shape[1] > 50 and n > 50:
        x = pca(x, 50)[0]
    p = np.maximum(_affinities(_squared_distances(x), perplexity), 1e-12).astype(np.float32)
    y = pca(x, min(2, x.shape[1]))[0]
    y = np.pad(y, ((0, 0), (0, 2 - y.shape[1])))
    y = (y / max(y[:, 0].std(), 1e-12) * 1e-4).astype(np.float32)
    rate = learning_rate or max(n / 12 / 4, 50.0)
    early = min(250, n_iter // 2)
    step, gain = np.zeros_like(y), np.ones_like(y)
    for i in range(n_iter):
        q = 1 / (1 + _squared_distances(y))
        np.fill_diagonal(q, 0)
        force = (p * (12 if i < early else 1) - q / q.sum()) * q
        gradient = 4 * (force.sum(1, keepdims=True) * y - force @ y)
        gain = np.maximum(np.where(np.sign(gradient) == np.sign(step), gain * 0.8, gain + 0.2), 0.01)
        step = (0.5 if i < early else 0.8) * step - rate * gain * gradient
        y = y + step
        y -= y.mean(0)
    return y.astype(np.float64)


@picture
def embeddings(
    points: Any, labels: Sequence[Any] | None = None, method: str = "pca", classes: Sequence[str] | None = None,
    texts: Sequence[str] | None = None, title: str | None = None, **options: Any,
) -> Any:  # fmt: skip
    """Points (N, D) in the plane by method "pca" or "tsne" (`options` are its), coloured by their labels: classes, numbered or
    named, or numbers of a floating dtype. texts: a word at each point. Points of the plane (N, 2) stay as they are."""
    points = array(points)
    points = points.reshape(len(points), -1)
    if method not in ("pca", "tsne"):
        raise ValueError(f"[plots.embeddings] method must be 'pca' or 'tsne', got {method!r}")
    along = ("", "")
    if points.shape[1] == 2:
        plane = points
    elif method == "pca":
        plane, shares = pca(points, 2)
        along = tuple(f"component {i + 1} ({s:.0%} of the variance)" for i, s in enumerate(shares))
    else:
        plane = tsne(points, **options)
    made = figure(6.4, 5)
    axes = made.add_subplot()
    size = float(np.clip(4000 / len(plane), 4, 30))
    if labels is None:
        axes.scatter(*plane.T, s=size, alpha=0.7, linewidths=0)
    elif (values := array(labels)).dtype.kind == "f":
        shown = axes.scatter(*plane.T, s=size, c=values, cmap="viridis", alpha=0.8, linewidths=0)
        made.colorbar(shown, ax=axes).outline.set_visible(False)
    else:
        kinds = np.unique(values)
        for i, kind in enumerate(kinds):
            name = str(kind) if classes is None or values.dtype.kind not in "iu" else classes[int(kind)]
            mark = "os^Dv"[i // len(COLOURS) % 5]
            axes.scatter(*plane[values == kind].T, s=size, color=COLOURS[i % len(COLOURS)], marker=mark, alpha=0.75, linewidths=0, label=name)
        made.legend(loc="outside right upper", markerscale=max(1.0, 5 / size**0.5), ncols=1 + len(kinds) // 25)
    for (x, y), text in zip(plane, texts or (), strict=False):
        axes.annotate(text, (x, y), xytext=(2, 2), textcoords="offset points", fontsize=7, color="#333333")
    axes.set(xlabel=along[0], ylabel=along[1])
    bare(axes)
    axes.set_title(title or {"pca": "principal components", "tsne": "t-SNE"}[method], loc="left", fontweight="bold")
    return made
