# SPDX-License-Identifier: MIT
"""What can be said of samples and labels without a model."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data import DataLoader, TensorDataset
from ..ops import as_tensor
from ..tensor import Tensor

ROWS = 1024  # samples that are kept for comparing them with each other


def arrays(tensor: Tensor) -> np.ndarray:
    """Its values as NumPy's, without a graph; 16-bit floats as float32."""
    t = tensor.detach()
    return (t.float() if "float16" in str(t.dtype) else t).cpu().numpy()


def parts(batch: Any) -> tuple[list[Tensor], Tensor | None]:
    """(inputs, target) of a batch: the last of several things is the target; of a dict, "target", "label" or "labels"."""
    if isinstance(batch, Tensor):
        return [batch], None
    if isinstance(batch, dict):
        name = next((n for n in ("target", "targets", "label", "labels", "y") if n in batch), None)
        inputs = [v for k, v in batch.items() if k != name and isinstance(v, Tensor)]
        return inputs, batch[name] if name and isinstance(batch[name], Tensor) else None
    *inputs, target = list(batch)
    inputs = [t for x in inputs for t in (x if isinstance(x, (list, tuple)) else [x]) if isinstance(t, Tensor)]
    return inputs, target if isinstance(target, Tensor) else None


def is_pair(data: Any) -> bool:
    """Whether it is (inputs, targets) as two arrays rather than batches."""
    return (
        isinstance(data, (tuple, list))
        and len(data) == 2
        and all(hasattr(a, "shape") and hasattr(a, "dtype") for a in data)
    )


def batches_of(data: Any, count: int, batch_size: int = 32) -> list[Any]:
    """The first `count` batches of a loader (of a copy, so that its place stays), of any iterable, or of a pair of arrays,
    which is shuffled by a fixed order."""
    if is_pair(data):
        x, y = (a if isinstance(a, Tensor) else as_tensor(np.asarray(a)) for a in data)
        data = DataLoader(
            TensorDataset(x, y), batch_size=min(batch_size, len(x)), shuffle=True, generator=0, drop_last=True
        )
    elif isinstance(data, DataLoader):
        data = copy.copy(data)
    found, iterator = [], iter(data)
    for batch in iterator:
        found.append(batch)
        if len(found) >= count:
            break
    if hasattr(iterator, "close") and iterator is not data:
        iterator.close()
    return found


def in_order(data: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """The first rows in the order in which the data set has them, or None where there is no such order."""
    if is_pair(data):
        x, y = (a if isinstance(a, Tensor) else as_tensor(np.asarray(a)) for a in data)
    elif isinstance(getattr(data, "dataset", None), TensorDataset) and len(data.dataset.tensors) == 2:
        x, y = data.dataset.tensors
    else:
        return None
    return arrays(x[:ROWS]), arrays(y[:ROWS])


@dataclass
class Data:
    """Figures of the batches given to `add`. `rows` and `labels` keep up to 1,024 samples."""

    samples: int = 0
    batches: int = 0
    batch_sizes: list[int] = field(default_factory=list)
    float_inputs: bool = False
    shape: tuple[int, ...] = ()
    not_finite: int = 0
    not_finite_samples: int = 0
    not_finite_at: str = ""
    targets_not_finite: int = 0
    total: np.ndarray | None = None  # per feature: sum, sum of squares, and least and largest value
    squares: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    counts: dict[int, int] = field(default_factory=dict)  # of integer labels
    target_shape: tuple[int, ...] = ()
    target_floats: list[np.ndarray] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    same_as_input: bool | None = None  # integer targets that equal the integer inputs, position by position

    def add(self, inputs: list[Tensor], target: Tensor | None) -> None:
        """Takes one batch into account."""
        if not inputs or inputs[0].ndim == 0:
            return
        main = next((x for x in inputs if x.dtype.is_floating_point), inputs[0])
        n = main.shape[0]
        for k, x in enumerate(inputs):
            if x.dtype.is_floating_point:
                self._finite(arrays(x), k)
        x = arrays(main)
        self.float_inputs, self.shape = main.dtype.is_floating_point, tuple(main.shape[1:])
        if self.float_inputs and n:
            self._moments(x)
        y = None if target is None else arrays(target)
        if y is not None:
            self._target(y, x)
        kept = sum(len(r) for r in self.rows)
        if kept < ROWS and not (self.rows and self.rows[0].shape[1:] != x.shape[1:]):
            self.rows.append(np.array(x[: ROWS - kept]))
            if y is not None and y.ndim and len(y) == n:
                self.labels.append(np.array(y[: ROWS - kept]))
        self.samples += n
        self.batches += 1
        self.batch_sizes.append(n)

    def _finite(self, x: np.ndarray, which: int) -> None:
        bad = ~np.isfinite(x)
        if bad.any():
            if not self.not_finite:
                at = tuple(map(int, np.argwhere(bad)[0]))
                self.not_finite_at = f"batch {self.batches}, input {which}, element {at}: {x[at]}"
            self.not_finite += int(bad.sum())
            self.not_finite_samples += int(bad.reshape(len(x), -1).any(1).sum())

    def _moments(self, x: np.ndarray) -> None:
        x = np.nan_to_num(x.astype(np.float64), nan=0, posinf=0, neginf=0)
        flat = x if x.ndim == 2 else x.reshape(len(x), -1)
        if (
            self.total is not None and flat.shape[1] != self.total.size
        ):  # samples of different sizes: all values are one feature
            flat = flat.reshape(-1, 1)
            if self.total.size != 1:
                self.total, self.squares = self.total.sum(keepdims=True), self.squares.sum(keepdims=True)
                self.low, self.high = self.low.min(keepdims=True), self.high.max(keepdims=True)
        new = (flat.sum(0), (flat * flat).sum(0), flat.min(0), flat.max(0))
        if self.total is None:
            self.total, self.squares, self.low, self.high = new
            self._count = np.zeros(1)
        else:
            self.total, self.squares = self.total + new[0], self.squares + new[1]
            self.low, self.high = np.minimum(self.low, new[2]), np.maximum(self.high, new[3])
        self._count = self._count + (len(flat) if flat.shape[1] == self.total.size else x.size)

    def _target(self, y: np.ndarray, x: np.ndarray) -> None:
        self.target_shape = y.shape[1:]
        if y.dtype.kind == "f":
            self.targets_not_finite += int((~np.isfinite(y)).sum())
            if sum(map(len, self.target_floats)) < ROWS:
                self.target_floats.append(
                    np.array(y, np.float64).reshape(len(y), -1) if y.ndim else np.array(y).reshape(1, 1)
                )
            return
        self.tally(y)
        if y.shape == x.shape and y.ndim >= 2 and x.dtype.kind in "iu":
            self.same_as_input = self.same_as_input is not False and bool((x == y).all())

    def tally(self, labels: np.ndarray) -> None:
        """Counts integer labels."""
        values, counts = np.unique(labels, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            self.counts[value] = self.counts.get(value, 0) + count

    # ---- figures ----------------------------------------------------------------------------------------------------
    @property
    def mean(self) -> float:
        """Of all input values."""
        return (
            float(self.total.sum() / (self._count[0] * self.total.size))
            if self.total is not None and self.total.size
            else 0.0
        )

    @property
    def std(self) -> float:
        """Of all input values."""
        if self.total is None or not self.total.size:
            return 0.0
        return float(np.sqrt(max(0.0, self.squares.sum() / (self._count[0] * self.total.size) - self.mean**2)))

    @property
    def feature_std(self) -> np.ndarray:
        """Per feature."""
        if self.total is None:
            return np.zeros(0)
        mean = self.total / self._count[0]
        return np.sqrt(np.maximum(0, self.squares / self._count[0] - mean**2))

    def label_counts(self, ignore: int = -100) -> dict[int, int]:
        """{label: how often}, without the ignored one."""
        return {k: v for k, v in sorted(self.counts.items()) if k != ignore}

    def to_dict(self) -> dict[str, Any]:
        """The figures, as plain values."""
        return {
            "samples": self.samples,
            "batch_size": max(self.batch_sizes, default=0),
            "input_shape": list(self.shape),
            "input_mean": self.mean,
            "input_std": self.std,
            "input_not_finite": self.not_finite,
            "labels": {str(k): v for k, v in self.label_counts().items()} if len(self.counts) <= 1000 else len(self.counts),
        }


def looked_at(batches: Iterable[Any]) -> Data:
    """The figures of these batches."""
    data = Data()
    for batch in batches:
        data.add(*parts(batch))
    return data
