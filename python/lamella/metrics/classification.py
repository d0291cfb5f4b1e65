# SPDX-License-Identifier: MIT
"""Metrics of classifiers: what was right, by class; all from counts of true and false positives and negatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Metric, array, joined, probabilities, ratio

__all__ = ["Accuracy", "ConfusionMatrix", "Dice", "F1Score", "JaccardIndex", "Precision", "Recall"]

TASKS = ("multiclass", "binary", "multilabel")
AVERAGES = ("micro", "macro", "weighted", None, "none")


def labelled(metric: Any, output: Any, target: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """(scores (N, C) or classes (N), target (N), C) of a multi-class batch: output (N, C, ...) floating or (N, ...)
    integer, target (N, ...), those to be ignored left out. C is 0 where only a larger one could say it."""
    output, target = array(output), array(target)
    known, ignore = metric.num_classes or 0, metric.ignore_index
    if target.dtype.kind not in "iub":
        raise metric._wrong(f"target must be integer classes, got dtype {target.dtype}")
    if output.ndim == target.ndim + 1 and output.dtype.kind == "f":
        if output.shape[:1] + output.shape[2:] != target.shape:
            shape = (*output.shape[:1], *output.shape[2:])
            raise metric._wrong(f"target must have shape {shape} for output {output.shape} (classes in dimension 1), got {target.shape}")
        if known and output.shape[1] != known:
            raise metric._wrong(f"output must have {known} classes in dimension 1, got shape {output.shape}")
        known = output.shape[1]
        output = np.moveaxis(output, 1, -1).reshape(-1, known)
    elif output.shape != target.shape:
        raise metric._wrong(f"output must have target's shape {target.shape}, or classes in dimension 1 besides, got {output.shape}")
    else:
        if output.dtype.kind not in "iub":
            raise metric._wrong(f"output of target's shape must be integer classes, got dtype {output.dtype}")
        output = output.reshape(-1)
    target = target.reshape(-1)
    if ignore is not None and (kept := target != ignore).sum() < kept.size:
        output, target = output[kept], target[kept]
    for name, x in (("target", target), ("output", output)):
        if x.ndim == 1 and x.size and (x.min() < 0 or (known and x.max() >= known)):
            worst = int(x.min() if x.min() < 0 else x.max())
            raise metric._wrong(f"{name} must be classes from 0 to {known - 1 if known else 'the last'}, got {worst}")
    return output, target.astype(np.int64), known


def two_sided(metric: Any, output: Any, target: Any, labels: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(probabilities or 0 and 1, target, kept), each (N) of a binary batch, or (N, labels) of one with several labels."""
    output, target = array(output), array(target)
    if output.size == target.size and output.shape != target.shape and not labels:
        output = output.reshape(target.shape)  # (N, 1) against (N)
    if output.shape != target.shape:
        raise metric._wrong(f"output must have target's shape {target.shape}, got {output.shape}")
    if labels:
        if output.ndim < 2 or (metric.num_labels and output.shape[1] != metric.num_labels):
            raise metric._wrong(f"output must have {metric.num_labels or 'its'} labels in dimension 1, got shape {output.shape}")
        output, target = (np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]) for x in (output, target))
    else:
        output, target = output.reshape(-1), target.reshape(-1)
    kept = np.ones(target.shape, bool) if metric.ignore_index is None else target != metric.ignore_index
    if target.size and not np.isin(target[kept], (0, 1)).all():
        raise metric._wrong(f"target must be 0 or 1, got {target[kept][~np.isin(target[kept], (0, 1))][0]}")
    if output.dtype.kind == "f":
        output = probabilities(output)
    return output, np.where(kept, target, 0).astype(np.int64), kept


def padded(counts: np.ndarray, size: int) -> np.ndarray:
    """Longer by classes not met before."""
    return np.pad(counts, [(0, max(0, size - n)) for n in counts.shape])


def check_task(metric: Any, task: str, average: Any = "micro") -> None:
    if task not in TASKS:
        raise metric._wrong(f"task must be 'binary', 'multiclass' or 'multilabel', got {task!r}")
    if average not in AVERAGES:
        raise metric._wrong(f"average must be 'micro', 'macro', 'weighted' or None, got {average!r}")


class _Counts(Metric):
    """task: "multiclass" (output: classes or scores (N, C, ...)), "binary" (output: 0 and 1, or probabilities or logits, 1 above
    `threshold`; logits are what does not lie in [0, 1]) or "multilabel" (a binary one for each label, (N, L, ...)). Classes of
    a "multiclass" task are counted from the scores, or from num_classes, or as they come. average, over classes: "micro"
    adds counts first, "macro" is the plain mean over classes that occur in output or target, "weighted" that by how often
    each is in target, None gives all. average="binary" says task="binary". top_k: right where the target is among the k
    highest scores. ignore_index: the target of what does not count.
    """

    def __init__(self, task: str = "multiclass", threshold: float = 0.5, num_classes: int | None = None, num_labels: int | None = None,
                 average: str | None = "micro", *, top_k: int = 1, ignore_index: int | None = None, name: str | None = None) -> None:  # fmt: skip
        if average == "binary":
            task, average = "binary", "micro"
        check_task(self, task, average)
        if top_k < 1 or (top_k > 1 and task != "multiclass"):
            raise self._wrong(f"top_k must be positive, and 1 unless task is 'multiclass', got {top_k}")
        self.task, self.threshold, self.num_classes, self.num_labels = task, threshold, num_classes, num_labels
        self.average, self.top_k, self.ignore_index = average, top_k, ignore_index
        super().__init__(name)
        if top_k > 1 and name is None:
            self.name = f"top{top_k}_{self.name}"

    def reset(self) -> None:
        """Sums for each class or label; binary: one."""
        size = {"binary": 1, "multiclass": self.num_classes or 0, "multilabel": self.num_labels or 0}[self.task]
        self.counts = np.zeros((4, size), np.int64)  # tp, fp, fn, tn

    def update(self, output: Any, target: Any) -> None:
        if self.task == "multiclass":
            output, target, known = labelled(self, output, target)
            chosen = self._chosen(output, target)
            size = max(known, self.counts.shape[1], 1 + max(target.max(initial=-1), chosen.max(initial=-1)))
            tp = np.bincount(target[chosen == target], minlength=size)
            fp, fn = np.bincount(chosen, minlength=size) - tp, np.bincount(target, minlength=size) - tp
            grown = np.pad(self.counts, ((0, 0), (0, size - self.counts.shape[1])))
            if size > self.counts.shape[1]:  # a new class was a true negative until now
                grown[3, self.counts.shape[1] :] = grown[0].sum() + grown[2].sum()
            self.counts = grown + np.stack([tp, fp, fn, len(target) - tp - fp - fn])
            return
        output, target, kept = two_sided(self, output, target, self.task == "multilabel")
        chosen = output > self.threshold if output.dtype.kind == "f" else output.astype(bool)
        cells = [chosen & (target == 1), chosen & (target == 0), ~chosen & (target == 1), ~chosen & (target == 0)]
        counts = np.stack([(c & kept).sum(0).reshape(-1) for c in cells])
        self.counts = counts + (self.counts if self.counts.shape[1] else 0)

    def _chosen(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Classes: those given, or the highest scores', or the target where it is among the top k."""
        if output.ndim == 1:
            if self.top_k > 1:
                raise self._wrong(f"output must be scores of all classes for top_k={self.top_k}, got classes")
            return output.astype(np.int64)
        if len(output) == 0:
            return np.zeros(0, np.int64)
        best = output.argmax(1)
        if self.top_k == 1:
            return best
        if self.top_k > output.shape[1]:
            raise self._wrong(f"top_k must be at most the number of classes {output.shape[1]}, got {self.top_k}")
        own = np.take_along_axis(output, target[:, None], 1)
        earlier = np.arange(output.shape[1]) < target[:, None]
        rank = ((output > own) | ((output == own) & earlier)).sum(1)
        return np.where(rank < self.top_k, target, best)

    def compute(self) -> Any:
        tp, fp, fn, tn = self.counts
        every = self.average in (None, "none")
        if self.counts.sum() == 0:
            return np.full(tp.shape, np.nan) if every else float("nan")
        if self.average == "micro" or self.task == "binary":
            return float(self._score(*(c.sum() for c in self.counts)))
        scores = self._score(tp, fp, fn, tn)
        if every:
            return scores
        weights = tp + fn if self.average == "weighted" else self._weights(tp, fp, fn)
        return float(ratio((weights * scores).sum(), weights.sum()))

    def _weights(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        """Of "macro": 1 for what occurs."""
        if self.task == "multilabel":
            return np.ones(tp.shape)
        return (tp + fn + (fp if self.top_k == 1 else 0) > 0).astype(float)

    def _score(self, tp: Any, fp: Any, fn: Any, tn: Any) -> Any:
        raise TypeError(f"[{type(self).__name__}] must be one of the metrics made of counts")


class Accuracy(_Counts):
    """The share that is right. With average="macro" the mean over classes of the share of each that was found (balanced
    accuracy); for binary and multilabel tasks (tp + tn) / all.

    >>> accuracy = Accuracy()
    >>> accuracy.update([[0.1, 2.0, 0.3], [1.0, 0.0, 0.5]], [1, 2])
    >>> accuracy.compute()
    0.5
    >>> accuracy.update([2, 1], [2, 1])
    >>> accuracy.compute()
    0.75
    >>> Accuracy(top_k=2)(np.array([[0.1, 2.0, 0.3], [1.0, 0.0, 0.5]]), [1, 2])
    1.0
    """

    __doc__ = joined(__doc__, _Counts.__doc__)

    def _score(self, tp, fp, fn, tn):
        if self.task == "multiclass":
            return ratio(tp, tp + fn)
        return ratio(tp + tn, tp + tn + fp + fn)


class Precision(_Counts):
    """tp / (tp + fp): the share of what was said to be of a class that is. 0 where nothing was.

    >>> Precision(average=None)([0, 1, 1, 0], [0, 1, 0, 0])
    array([1. , 0.5])
    """

    __doc__ = joined(__doc__, _Counts.__doc__)

    def _score(self, tp, fp, fn, tn):
        return ratio(tp, tp + fp)


class Recall(_Counts):
    """tp / (tp + fn): the share of a class that was found. 0 where there is none.

    >>> Recall(task="binary")([0.9, 0.2, 0.7, 0.1], [1, 1, 0, 0])
    0.5
    """

    __doc__ = joined(__doc__, _Counts.__doc__)

    def _score(self, tp, fp, fn, tn):
        return ratio(tp, tp + fn)


class F1Score(_Counts):
    """2 tp / (2 tp + fp + fn), the harmonic mean of precision and recall.

    >>> F1Score(average="macro")([0, 1, 2, 2], [0, 1, 1, 2])
    0.7777777777777777
    """

    __doc__ = joined(__doc__, _Counts.__doc__)

    def _score(self, tp, fp, fn, tn):
        return ratio(2 * tp, 2 * tp + fp + fn)

    def _weights(self, tp, fp, fn):
        return np.ones(tp.shape) if self.task == "multilabel" else (tp + fp + fn > 0).astype(float)


class Dice(F1Score):
    """2 |A and B| / (|A| + |B|) of predicted and true pixels: F1Score's formula under the name segmentation gives it.

    >>> Dice(task="binary")([[1, 1], [0, 0]], [[1, 0], [0, 0]])
    0.6666666666666666
    """

    __doc__ = joined(__doc__, _Counts.__doc__)


class JaccardIndex(_Counts):
    """|A and B| / |A or B| = tp / (tp + fp + fn), intersection over union, of predicted and true pixels. With an
    ignore_index that is a class, that class is in no average.

    >>> JaccardIndex()([[0, 1], [1, 1]], [[0, 1], [0, 1]])
    0.5833333333333333
    """

    __doc__ = joined(__doc__, _Counts.__doc__)

    def __init__(self, task: str = "multiclass", threshold: float = 0.5, num_classes: int | None = None, num_labels: int | None = None,
                 average: str | None = "macro", *, ignore_index: int | None = None, name: str | None = None) -> None:  # fmt: skip
        super().__init__(task, threshold, num_classes, num_labels, average, ignore_index=ignore_index, name=name)

    def _ignored(self) -> int | None:
        i = self.ignore_index
        return i if self.task == "multiclass" and i is not None and 0 <= i < self.counts.shape[1] else None

    def compute(self) -> Any:
        tp, fp, fn, _ = self.counts
        i = self._ignored()
        if self.average == "micro" and i is not None and self.counts.sum():
            every = tp + fp + fn
            return float(ratio(tp.sum(), every.sum() - every[i]))
        return super().compute()

    def _weights(self, tp, fp, fn):
        weights = super()._weights(tp, fp, fn)
        if (i := self._ignored()) is not None:
            weights[i] = 0
        return weights

    def _score(self, tp, fp, fn, tn):
        return ratio(tp, tp + fp + fn)


class ConfusionMatrix(Metric):
    """(C, C) counts, rows being the true classes and columns the predicted ones; (2, 2) for a binary task, (L, 2, 2) for L
    labels. normalize: "true" divides each row by its sum, "pred" each column, "all" everything; None counts.

    Classes of a "multiclass" task are counted from the scores, or from num_classes, or as they come.

    >>> ConfusionMatrix()([0, 1, 1, 2], [0, 1, 0, 2])
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """

    def __init__(self, task: str = "multiclass", threshold: float = 0.5, num_classes: int | None = None, num_labels: int | None = None,
                 normalize: str | None = None, ignore_index: int | None = None, *, name: str | None = None) -> None:  # fmt: skip
        check_task(self, task)
        if normalize not in (None, "none", "true", "pred", "all"):
            raise self._wrong(f"normalize must be 'true', 'pred', 'all' or None, got {normalize!r}")
        self.task, self.threshold, self.num_classes, self.num_labels = task, threshold, num_classes, num_labels
        self.normalize, self.ignore_index = normalize, ignore_index
        super().__init__(name)

    def reset(self) -> None:
        shapes = {"binary": (2, 2), "multiclass": (self.num_classes or 0,) * 2, "multilabel": (self.num_labels or 0, 2, 2)}
        self.counts = np.zeros(shapes[self.task], np.int64)

    def update(self, output: Any, target: Any) -> None:
        if self.task == "multiclass":
            output, target, known = labelled(self, output, target)
            chosen = output.astype(np.int64) if output.ndim == 1 else output.argmax(1)
            size = max(known, len(self.counts), 1 + max(target.max(initial=-1), chosen.max(initial=-1)))
            self.counts = padded(self.counts, size) + np.bincount(target * size + chosen, minlength=size * size).reshape(size, size)
            return
        output, target, kept = two_sided(self, output, target, self.task == "multilabel")
        chosen = output > self.threshold if output.dtype.kind == "f" else output.astype(bool)
        cell = target * 2 + chosen
        counts = np.stack([((cell == i) & kept).sum(0) for i in range(4)], -1)
        counts = counts.reshape(2, 2) if self.task == "binary" else counts.reshape(-1, 2, 2)
        self.counts = counts + (self.counts if self.counts.size else 0)

    def compute(self) -> np.ndarray:
        if self.normalize in (None, "none"):
            return self.counts.copy()
        axes = {"true": (-1,), "pred": (-2,), "all": (-1, -2)}[self.normalize]
        return ratio(self.counts, self.counts.sum(axes, keepdims=True))
