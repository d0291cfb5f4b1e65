# SPDX-License-Identifier: MIT
"""Mean average precision of a detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Metric

__all__ = ["MeanAveragePrecision"]


def interpolated(scores: Any, hits: Any, positives: int) -> float:
    """The area under the curve of precision over recall, where precision is made not to rise with recall (VOC from 2010 on):
    scores (K) of detections, hits (K) whether each is right, and how many there are to find. NaN where there is none.

    >>> interpolated([0.9, 0.8, 0.7], [True, False, True], 2)
    0.8333333333333333
    """
    if positives == 0:
        return float("nan")
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    right = np.cumsum(np.asarray(hits, bool)[order])
    precision = right / np.arange(1, len(order) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = np.concatenate([[0.0], right / positives])
    return float((np.diff(recall) * precision).sum())


def _match(iou: np.ndarray, threshold: float) -> np.ndarray:
    """Hits (K) of one picture's detections of one class by falling score, iou (K, targets): each takes the box it overlaps
    most, which it must by the threshold, and which no better one may have taken."""
    hits, taken = np.zeros(len(iou), bool), np.zeros(iou.shape[1], bool)
    if iou.shape[1]:
        best = iou.argmax(1)
        for i in np.flatnonzero(iou.max(1, initial=0) >= threshold):
            hits[i] = not taken[best[i]]
            taken[best[i]] = True
    return hits


class MeanAveragePrecision(Metric):
    """The mean over thresholds, and over classes that occur in targets, of average precision: mAP as PASCAL VOC has it, with
    iou_thresholds=np.arange(0.5, 1, 0.05) nearly COCO's.

    `update(predictions, targets)`: for each picture a dict of boxes (K, 4), labels (K) and scores (K), and one of boxes and
    labels. Scores and hits are kept, boxes are not. NaN without any target, ValueError where their numbers differ.

    >>> box = lamella.tensor([[0.1, 0.1, 0.5, 0.5]])
    >>> found = {"boxes": box, "labels": lamella.tensor([3]), "scores": lamella.tensor([0.9])}
    >>> MeanAveragePrecision()([found], [{"boxes": box, "labels": lamella.tensor([3])}])
    1.0
    """

    def __init__(self, iou_thresholds: Any = 0.5, *, name: str | None = None) -> None:
        self.iou_thresholds = np.atleast_1d(np.asarray(iou_thresholds, np.float64))
        super().__init__(name)

    def reset(self) -> None:
        self.found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}  # by class: scores (K), hits (thresholds, K)
        self.positives: dict[int, int] = {}

    def update(self, output: Any, target: Any) -> None:
        from ..models.boxes import box_iou

        if len(output) != len(target):
            raise self._wrong(f"predictions must be as many as targets, got {len(output)} and {len(target)}")
        for p, t in zip(output, target, strict=True):
            present, said = t["labels"].cpu().numpy(), p["labels"].cpu().numpy()
            for c in np.union1d(present, said).tolist():
                truth, chosen = t["boxes"][t["labels"] == c], p["labels"] == c
                scores = p["scores"][chosen].cpu().numpy()
                order = np.argsort(-scores, kind="stable")
                iou = np.zeros((len(scores), 0))
                if len(scores) and truth.shape[0]:
                    iou = box_iou(p["boxes"][chosen], truth).cpu().numpy()[order]
                hits = np.stack([_match(iou, threshold) for threshold in self.iou_thresholds])
                self.found.setdefault(c, []).append((scores[order], hits))
                self.positives[c] = self.positives.get(c, 0) + truth.shape[0]

    def compute(self) -> float:
        values = []
        for c in sorted(c for c, n in self.positives.items() if n):
            scores, hits = (np.concatenate(x, -1) for x in zip(*self.found[c], strict=True))
            values += [interpolated(scores, row, self.positives[c]) for row in hits]
        return float(np.mean(values)) if values else float("nan")
