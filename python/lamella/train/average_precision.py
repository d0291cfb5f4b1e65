# SPDX-License-Identifier: MIT
"""Mean average precision of a detector."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["average_precision", "mean_average_precision"]


def average_precision(scores: Any, hits: Any, positives: int) -> float:
    """The area under the curve of precision over recall, where precision is made not to rise with recall (VOC from 2010 on):
    scores (K) of detections, hits (K) whether each is right, and how many there are to find. NaN where there is none.

    >>> train.average_precision([0.9, 0.8, 0.7], [True, False, True], 2)
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


def _match(found: Any, truth: Any, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(scores, hits) of one picture's detections of one class: by falling score each takes the box it overlaps most, which
    it must by the threshold, and which no better one may have taken."""
    from ..models.boxes import box_iou

    boxes, scores = found
    order = np.argsort(-scores.numpy(), kind="stable")
    hits = np.zeros(len(order), bool)
    if truth.shape[0] and len(order):
        iou = box_iou(boxes, truth).numpy()
        taken = np.zeros(truth.shape[0], bool)
        for i, k in enumerate(order):
            best = int(iou[k].argmax())
            if iou[k, best] >= threshold and not taken[best]:
                hits[i] = taken[best] = True
    return scores.numpy()[order], hits


def mean_average_precision(predictions: Any, targets: Any, iou_thresholds: Any = 0.5) -> float:
    """The mean over thresholds, and over classes that occur in targets, of average precision: mAP as PASCAL VOC has it, with
    iou_thresholds=np.arange(0.5, 1, 0.05) nearly COCO's. predictions: for each picture a dict of boxes (K, 4), labels (K)
    and scores (K); targets: boxes and labels. NaN without any target, ValueError where their numbers differ."""
    if len(predictions) != len(targets):
        raise ValueError(
            f"[mean_average_precision] predictions must be as many as targets, got {len(predictions)} and {len(targets)}"
        )
    classes = sorted({int(label) for t in targets for label in t["labels"].numpy()})
    values = []
    for threshold in np.atleast_1d(iou_thresholds):
        for c in classes:
            scores, hits, positives = [], [], 0
            for p, t in zip(predictions, targets, strict=True):
                chosen, truth = p["labels"] == c, t["boxes"][t["labels"] == c]
                s, h = _match((p["boxes"][chosen], p["scores"][chosen]), truth, float(threshold))
                scores.append(s)
                hits.append(h)
                positives += truth.shape[0]
            values.append(average_precision(np.concatenate(scores), np.concatenate(hits), positives))
    return float(np.mean(values)) if values else float("nan")
