# SPDX-License-Identifier: MIT
"""Metrics of numbers: squared and absolute error, R squared, and the Frechet distance of two clouds of points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import no_grad
from .base import Metric, array, ratio

__all__ = ["FrechetDistance", "MeanAbsoluteError", "MeanSquaredError", "R2Score", "frechet_distance"]


def _pair(metric: Metric, output: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64 as (N, outputs)."""
    output, target = array(output, np.float64), array(target, np.float64)
    if output.shape != target.shape:
        raise metric._wrong(f"output must have target's shape {target.shape}, got {output.shape}")
    return output, target


class _MeanError(Metric):
    def reset(self) -> None:
        self.total, self.count = np.zeros(self.num_outputs), 0

    def __init__(self, num_outputs: int = 1, *, name: str | None = None) -> None:
        if num_outputs < 1:
            raise self._wrong(f"num_outputs must be positive, got {num_outputs}")
        self.num_outputs = num_outputs
        super().__init__(name)

    def update(self, output: Any, target: Any) -> None:
        output, target = _pair(self, output, target)
        if self.num_outputs > 1 and (output.ndim != 2 or output.shape[1] != self.num_outputs):
            raise self._wrong(f"output must have shape (N, {self.num_outputs}), got {output.shape}")
        error = (output - target).reshape(-1, self.num_outputs)
        self.total = self.total + self._cost(error).sum(0)
        self.count += len(error)

    def _mean(self) -> Any:
        return self.total / self.count if self.count else np.full(self.num_outputs, np.nan)

    def compute(self) -> Any:
        return self._mean() if self.num_outputs > 1 else float(self._mean()[0])


class MeanSquaredError(_MeanError):
    """mean((output - target)^2), its root with squared=False; for each column of (N, num_outputs) where there are several.

    >>> MeanSquaredError()([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
    0.375
    """

    def __init__(self, squared: bool = True, num_outputs: int = 1, *, name: str | None = None) -> None:
        self.squared = squared
        super().__init__(num_outputs, name=name)

    def _cost(self, error: np.ndarray) -> np.ndarray:
        return error * error

    def _mean(self) -> Any:
        return super()._mean() if self.squared else np.sqrt(super()._mean())


class MeanAbsoluteError(_MeanError):
    """mean(|output - target|); for each column of (N, num_outputs) where there are several.

    >>> MeanAbsoluteError()([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
    0.5
    """

    def _cost(self, error: np.ndarray) -> np.ndarray:
        return np.abs(error)


class R2Score(Metric):
    """1 - sum (target - output)^2 / sum (target - mean(target))^2, the share of the variance that is explained: 1 is perfect,
    0 is no better than the mean. output and target (N) or (N, outputs).

    adjusted: the number p of inputs, for 1 - (1 - R2) (N - 1) / (N - p - 1). multioutput: "uniform_average" over columns,
    "variance_weighted", or "raw_values". NaN for fewer than two samples; where target is constant 1 for a perfect output,
    else 0. The variance is merged batch by batch (Chan et al. 1979), so that a large mean costs no digits.

    >>> round(R2Score()([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]), 4)
    0.9486
    """

    def __init__(self, adjusted: int = 0, multioutput: str = "uniform_average", *, name: str | None = None) -> None:
        if adjusted < 0:
            raise self._wrong(f"adjusted must not be negative, got {adjusted}")
        if multioutput not in ("uniform_average", "variance_weighted", "raw_values"):
            raise self._wrong(f"multioutput must be 'uniform_average', 'variance_weighted' or 'raw_values', got {multioutput!r}")
        self.adjusted, self.multioutput = adjusted, multioutput
        super().__init__(name)

    def reset(self) -> None:
        self.count, self.mean, self.spread, self.residual = 0, np.zeros(1), np.zeros(1), np.zeros(1)

    def update(self, output: Any, target: Any) -> None:
        output, target = _pair(self, output, target)
        if output.ndim not in (1, 2):
            raise self._wrong(f"output must have shape (N,) or (N, outputs), got {output.shape}")
        if len(target) == 0:
            return
        output, target = (x.reshape(len(x), -1) for x in (output, target))
        n, total, mean = len(target), self.count + len(target), target.mean(0)
        self.spread = self.spread + ((target - mean) ** 2).sum(0) + (mean - self.mean) ** 2 * (self.count * n / total)
        self.mean = self.mean + (mean - self.mean) * (n / total)
        self.residual = self.residual + ((target - output) ** 2).sum(0)
        self.count = total

    def compute(self) -> Any:
        if self.count < 2:
            return float("nan")
        values = np.where(self.spread == 0, (self.residual == 0).astype(float), 1 - ratio(self.residual, self.spread))
        if self.multioutput == "variance_weighted":
            values = ratio((values * self.spread).sum(), self.spread.sum())
        elif self.multioutput == "uniform_average":
            values = values.mean()
        free = self.count - self.adjusted - 1
        if self.adjusted:
            values = 1 - (1 - values) * (self.count - 1) / free if free > 0 else values * np.nan
        return values if self.multioutput == "raw_values" else float(values)


def frechet_distance(mu_x: Any, sigma_x: Any, mu_y: Any, sigma_y: Any) -> float:
    """|mu_x - mu_y|^2 + tr(sigma_x + sigma_y - 2 (sigma_x sigma_y)^(1/2)), the squared Wasserstein-2 distance of two normal
    distributions (Dowson and Landau 1982): means (D), covariances (D, D).

    The root's trace is the sum of the roots of the eigenvalues of sigma_x^(1/2) sigma_y sigma_x^(1/2), which is symmetric,
    in float64; small negative ones, which rounding makes, count as 0.

    >>> frechet_distance([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [3.0, 0.0], [[4.0, 0.0], [0.0, 1.0]])
    10.0
    """
    mu_x, sigma_x, mu_y, sigma_y = (array(x, np.float64) for x in (mu_x, sigma_x, mu_y, sigma_y))
    for name, mean, sigma in (("x", mu_x, sigma_x), ("y", mu_y, sigma_y)):
        if mean.ndim != 1 or sigma.shape != (len(mean), len(mean)) or mean.shape != mu_x.shape:
            raise ValueError(
                f"[frechet_distance] mu_{name} and sigma_{name} must have shapes {mu_x.shape} and {mu_x.shape * 2}, got "
                f"{mean.shape} and {sigma.shape}"
            )
    values, vectors = np.linalg.eigh(sigma_x)
    half = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    mixed = np.linalg.eigvalsh(half @ sigma_y @ half)
    root = np.sqrt(np.maximum(mixed, 0)).sum()
    return float(((mu_x - mu_y) ** 2).sum() + np.trace(sigma_x) + np.trace(sigma_y) - 2 * root)


class FrechetDistance(Metric):
    """The Frechet distance of what was made, `output` (N, ...), from what is real, `target` (M, ...): that of normal
    distributions with mean and covariance of their features (Heusel et al. 2017, who took an Inception network's; FID).

    features: any function to (N, D), such as a classifier of one's own up to its last layer (FIDs compare only with the same
    features); without one the values themselves, flattened. Either of output and target may be None, and N and M differ. Mean
    and covariance are running sums, in float64. NaN for fewer than two of either.

    >>> metric = FrechetDistance()
    >>> metric.update([[0.0], [2.0]], [[3.0], [5.0], [7.0]])
    >>> round(metric.compute(), 6)
    16.343146
    """

    def __init__(self, features: Callable[[Any], Any] | None = None, *, name: str | None = None) -> None:
        self.features = features
        super().__init__(name)

    def reset(self) -> None:
        self.sides: list[Any] = [(0, 0.0, 0.0), (0, 0.0, 0.0)]  # count, mean (D), sum of outer products about it (D, D)

    def update(self, output: Any, target: Any) -> None:
        for side, x in enumerate((output, target)):
            if x is None:
                continue
            with no_grad():
                x = array(x if self.features is None else self.features(x), np.float64)
            x = x.reshape(len(x), -1)
            count, mean, spread = self.sides[side]
            if count and x.shape[1] != len(mean):
                raise self._wrong(f"features must be as many as before ({len(mean)}), got {x.shape[1]}")
            if len(x) == 0:
                continue
            fresh, total = x.mean(0), count + len(x)
            step = fresh - mean
            spread = spread + (x - fresh).T @ (x - fresh) + np.outer(step, step) * (count * len(x) / total)
            self.sides[side] = (total, mean + step * (len(x) / total), spread)

    def compute(self) -> float:
        (n, mean_x, x), (m, mean_y, y) = self.sides
        if n < 2 or m < 2:
            return float("nan")
        return frechet_distance(mean_x, x / (n - 1), mean_y, y / (m - 1))
