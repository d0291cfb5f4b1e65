# SPDX-License-Identifier: MIT
"""The protocol of metrics, and the mean."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any, Self

import numpy as np

from ..tensor import Tensor

__all__ = ["Mean", "MeanMetric", "Metric"]


class Metric:
    """A figure gathered over batches: `update(output, target)` for each, then `compute()`; `reset()` starts again.

    Running sums are kept, not the outputs, except where a figure needs them all at once (AUROC and its kin). Before any
    update `compute()` gives NaN. Called as a function it updates, and returns the figure of that batch alone. `name` is what
    a `Trainer` shows it under. A metric of one's own defines the three methods and calls `super().__init__(name)`:

    >>> class Largest(Metric):
    ...     def reset(self):
    ...         self.value = float("nan")
    ...     def update(self, output, target):
    ...         self.value = np.fmax(self.value, array(output).max())
    ...     def compute(self):
    ...         return float(self.value)
    >>> metric = Largest()
    >>> metric.update([1.0, 3.0], None)
    >>> metric.name, metric.compute()
    ('largest', 3.0)
    """

    def __init__(self, name: str | None = None) -> None:
        kind = type(self).__name__
        self.name = name or re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()
        self.reset()

    def update(self, output: Any, target: Any) -> None:
        """Counts a batch in."""
        raise TypeError(f"[{type(self).__name__}] update must be defined by the metric, got the base class's")

    def compute(self) -> Any:
        """The figure of all batches since `reset()`: a float, or an array."""
        raise TypeError(f"[{type(self).__name__}] compute must be defined by the metric, got the base class's")

    def reset(self) -> None:
        """Forgets all batches."""

    def clone(self) -> Self:
        """A copy with what it has counted."""
        return copy.deepcopy(self)

    def __call__(self, output: Any, target: Any = None) -> Any:
        alone = self.clone()
        alone.reset()
        alone.update(output, target)
        self.update(output, target)
        return alone.compute()

    def _wrong(self, text: str) -> ValueError:
        return ValueError(f"[{type(self).__name__}] {text}")


class Mean(Metric):
    """sum(weight value) / sum(weight) of numbers: `update(value, weight=1)`, both broadcast against each other.

    >>> mean = Mean()
    >>> mean.update([1.0, 3.0])
    >>> mean.update(8.0, weight=2)
    >>> mean.compute()
    5.0
    """

    def reset(self) -> None:
        self.total = self.weight = 0.0

    def update(self, value: Any, weight: Any = 1.0) -> None:
        value, weight = np.broadcast_arrays(array(value, np.float64), array(1.0 if weight is None else weight, np.float64))
        self.total += float((value * weight).sum())
        self.weight += float(weight.sum())

    def compute(self) -> float:
        return self.total / self.weight if self.weight else float("nan")


MeanMetric = Mean


# ---- what the metrics share ------------------------------------------------------------------------------------------
def array(x: Any, dtype: Any = None) -> np.ndarray:
    """A Tensor, list or array as a NumPy array; bfloat16 as float32."""
    if isinstance(x, Tensor):
        x = x.detach()
        x = (x.float() if str(x.dtype).endswith("bfloat16") else x).cpu().numpy()
    return np.asarray(x, dtype)


def probabilities(x: np.ndarray, axis: int | None = None) -> np.ndarray:
    """float64. x itself where all of it lies in [0, 1], else sigmoid(x), or softmax(x) along an axis: logits, then."""
    x = x.astype(np.float64)
    if x.size == 0 or (x.min() >= 0 and x.max() <= 1):
        return x
    if axis is None:
        e = np.exp(-np.abs(x))
        return np.where(x >= 0, 1.0, e) / (1.0 + e)
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def ratio(a: Any, b: Any) -> np.ndarray:
    """a / b in float64, 0 where b is."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)


def joined(*docs: str | None) -> str:
    """Docstrings one after the other: a metric's own, and that of its arguments."""
    return "\n\n".join(inspect.cleandoc(doc or "") for doc in docs)
