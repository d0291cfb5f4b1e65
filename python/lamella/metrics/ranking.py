# SPDX-License-Identifier: MIT
"""Metrics of scores: how well they rank, over all thresholds, and how honest they are as probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Metric, joined, probabilities, ratio
from .classification import check_task, labelled, two_sided

__all__ = ["AUROC", "ROC", "AveragePrecision", "CalibrationError", "PrecisionRecallCurve"]


def _steps(scores: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(false positives, true positives, threshold) at each distinct score, from the highest down: ties are one step."""
    order = np.argsort(-scores, kind="stable")
    scores, target = scores[order], target[order]
    last = np.flatnonzero(np.diff(scores, append=-np.inf)) if len(scores) else np.zeros(0, np.int64)
    tp = np.cumsum(target)[last]
    return 1 + last - tp, tp, scores[last]


class _Scores(Metric):
    """All scores and targets are kept. task: "multiclass" (output (N, C, ...), each class against the rest), "binary" or
    "multilabel" (N, L, ...). Scores outside of [0, 1] are logits: softmax or sigmoid is taken. ignore_index: the target of
    what does not count."""

    def __init__(self, task: str = "multiclass", num_classes: int | None = None, num_labels: int | None = None,
                 *, ignore_index: int | None = None, name: str | None = None) -> None:  # fmt: skip
        check_task(self, task)
        self.task, self.num_classes, self.num_labels, self.ignore_index = task, num_classes, num_labels, ignore_index
        super().__init__(name)

    def reset(self) -> None:
        self.batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def update(self, output: Any, target: Any) -> None:
        if self.task == "multiclass":
            output, target, _ = labelled(self, output, target)
            if output.ndim == 1:
                raise self._wrong("output must be scores of all classes (N, C, ...), got classes")
            self.batches.append((probabilities(output, 1), target, np.ones(target.shape, bool)))
        else:
            self.batches.append(two_sided(self, output, target, self.task == "multilabel"))

    def _each(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(scores (N), target (N) of 0 and 1) of each class, of each label, or of the binary task."""
        if not self.batches:
            return []
        scores, target, kept = (np.concatenate(parts) for parts in zip(*self.batches, strict=True))
        if self.task == "binary":
            return [(scores[kept], target[kept])]
        if self.task == "multiclass":
            return [(scores[:, c], (target == c).astype(np.int64)) for c in range(scores.shape[1])]
        return [(scores[kept[:, c], c], target[kept[:, c], c]) for c in range(scores.shape[1])]


class _Curve(_Scores):
    def compute(self) -> Any:
        found = [self._curve(*_steps(*pair)) for pair in self._each()]
        if self.task != "binary":
            return tuple(list(part) for part in zip(*found, strict=True)) if found else ([], [], [])
        return found[0] if found else self._curve(*_steps(np.zeros(0), np.zeros(0, np.int64)))


class ROC(_Curve):
    """The receiver operating characteristic, (fpr, tpr, thresholds) at falling thresholds from (0, 0) on: the shares of
    negatives and of positives that score at least the threshold. Lists of them, one a class, unless task is "binary".

    >>> fpr, tpr, thresholds = ROC(task="binary")([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> fpr, tpr
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([0. , 0.5, 0.5, 1. , 1. ]))
    """

    __doc__ = joined(__doc__, _Scores.__doc__)

    def _curve(self, fp, tp, thresholds):
        fpr, tpr = (np.concatenate([[0.0], ratio(x, x[-1]) if len(x) else x]) for x in (fp, tp))
        return fpr, tpr, np.concatenate([[1.0], thresholds])


class PrecisionRecallCurve(_Curve):
    """(precision, recall, thresholds) at rising thresholds; at the end precision 1 and recall 0, which have no threshold.
    Lists of them, one a class, unless task is "binary".

    >>> precision, recall, thresholds = PrecisionRecallCurve(task="binary")([0.1, 0.4, 0.8], [0, 1, 1])
    >>> precision.round(2), recall
    (array([0.67, 1.  , 1.  , 1.  ]), array([1. , 1. , 0.5, 0. ]))
    """

    __doc__ = joined(__doc__, _Scores.__doc__)

    def _curve(self, fp, tp, thresholds):
        recall = ratio(tp, tp[-1]) if len(tp) else tp
        parts = ((ratio(tp, tp + fp), [1.0]), (recall, [0.0]), (thresholds, []))
        return tuple(np.concatenate([x[::-1], end]) for x, end in parts)


class _Area(_Scores):
    """average: "macro" is the mean over classes that have a value, "weighted" that by how often each is in target, None
    gives all."""

    def __init__(self, task: str = "multiclass", num_classes: int | None = None, num_labels: int | None = None,
                 average: str | None = "macro", *, ignore_index: int | None = None, name: str | None = None) -> None:  # fmt: skip
        if average not in ("macro", "weighted", None, "none"):
            raise self._wrong(f"average must be 'macro', 'weighted' or None, got {average!r}")
        self.average = average
        super().__init__(task, num_classes, num_labels, ignore_index=ignore_index, name=name)

    def compute(self) -> Any:
        pairs = self._each()
        values = np.array([self._area(*_steps(*pair)) for pair in pairs])
        if self.average in (None, "none") and self.task != "binary":
            return values
        defined = ~np.isnan(values)
        weights = np.array([t.sum() for _, t in pairs]) if self.average == "weighted" else np.ones(len(pairs))
        total = weights[defined].sum() if len(pairs) else 0
        return float((weights[defined] * values[defined]).sum() / total) if total else float("nan")


class AUROC(_Area):
    """The area under `ROC`: the probability that a positive scores higher than a negative, a tie counting half. NaN for a
    class of which there is none, or nothing else.

    >>> AUROC(task="binary")([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """

    __doc__ = joined(__doc__, _Area.__doc__, _Scores.__doc__)

    def _area(self, fp, tp, thresholds):
        if not len(tp) or tp[-1] == 0 or fp[-1] == 0:
            return float("nan")
        x, y = (np.concatenate([[0], c]) for c in (fp, tp))
        return float((np.diff(x) * (y[1:] + y[:-1])).sum()) / (2.0 * fp[-1] * tp[-1])


class AveragePrecision(_Area):
    """sum_k (R_k - R_{k-1}) P_k over the distinct thresholds: the area under precision over recall, not interpolated. NaN for
    a class of which there is none. (`MeanAveragePrecision` is that of boxes.)

    >>> AveragePrecision(task="binary")([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.8333333333333333
    """

    __doc__ = joined(__doc__, _Area.__doc__, _Scores.__doc__)

    def _area(self, fp, tp, thresholds):
        if not len(tp) or tp[-1] == 0:
            return float("nan")
        return float((np.diff(tp, prepend=0) * (tp / (tp + fp))).sum() / tp[-1])


class CalibrationError(Metric):
    """How far confidence lies from accuracy (Naeini et al. 2015; Guo et al. 2017). Confidences fall into n_bins bins of equal
    width; in each, gap = |accuracy - mean confidence|. norm "l1": sum (share of the bin) gap, the expected calibration error;
    "l2": the root of the sum with gap^2; "max": the largest gap.

    task "multiclass": the confidence is the highest probability, right where it is the target's; "binary": the confidence is
    the probability, right where target is 1. Scores outside of [0, 1] are logits. `bins()` gives what
    `lamella.plots.calibration` draws.

    >>> CalibrationError(n_bins=2)(np.array([[0.75, 0.25], [0.25, 0.75]]), [0, 0])
    0.25
    """

    def __init__(self, task: str = "multiclass", n_bins: int = 15, norm: str = "l1", num_classes: int | None = None,
                 ignore_index: int | None = None, *, name: str | None = None) -> None:  # fmt: skip
        if task not in ("multiclass", "binary"):
            raise self._wrong(f"task must be 'binary' or 'multiclass', got {task!r}")
        if norm not in ("l1", "l2", "max"):
            raise self._wrong(f"norm must be 'l1', 'l2' or 'max', got {norm!r}")
        if n_bins < 1:
            raise self._wrong(f"n_bins must be positive, got {n_bins}")
        self.task, self.n_bins, self.norm, self.num_classes, self.ignore_index = task, n_bins, norm, num_classes, ignore_index
        super().__init__(name)

    def reset(self) -> None:
        self.sums = np.zeros((3, self.n_bins))  # how many, their confidence, how many right

    def update(self, output: Any, target: Any) -> None:
        if self.task == "multiclass":
            output, target, _ = labelled(self, output, target)
            if output.ndim == 1:
                raise self._wrong("output must be scores of all classes (N, C, ...), got classes")
            scores = probabilities(output, 1)
            confidence, right = scores.max(1, initial=0), (scores.argmax(1) if len(scores) else target) == target
        else:
            scores, target, kept = two_sided(self, output, target, False)
            confidence, right = scores[kept].astype(np.float64), target[kept] == 1
        place = np.minimum((confidence * self.n_bins).astype(np.int64), self.n_bins - 1)
        self.sums += [np.bincount(place, w, self.n_bins) for w in (np.ones(len(place)), confidence, right.astype(float))]

    def bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(how many, mean confidence, accuracy), each (n_bins); NaN in bins that are empty."""
        n, confidence, right = self.sums
        with np.errstate(invalid="ignore"):
            return n.astype(np.int64), confidence / n, right / n

    def compute(self) -> float:
        n = self.sums[0]
        if n.sum() == 0:
            return float("nan")
        gap, share = ratio(np.abs(self.sums[1] - self.sums[2]), n), n / n.sum()
        if self.norm == "max":
            return float(gap.max())
        return float((share * gap).sum()) if self.norm == "l1" else float(np.sqrt((share * gap**2).sum()))
