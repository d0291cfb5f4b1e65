# SPDX-License-Identifier: MIT
"""A single-shot detector (Liu et al. 2015): every cell of maps of several sizes says class and place of its anchors."""

from __future__ import annotations

from .. import arange, cat, int64, nn, no_grad, ones, where, zeros
from ..nn import functional as F
from .boxes import anchor_boxes, batched_nms, box_iou, decode_boxes, encode_boxes

__all__ = ["SSD", "match_anchors", "ssd_loss"]


def _stage(channels, filters):
    """(N, C, H, W) -> (N, filters, H / 2, W / 2)."""
    layers = []
    for c in (channels, filters):
        layers += [nn.Conv2d(c, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


class SSD(nn.Module):
    """(N, 3, H, W) -> logits (N, anchors, classes + 1), 0 the background, and offsets (N, anchors, 4) of `encode_boxes`.

    A small backbone: `levels` maps of H / 8, H / 16, ... with anchors from `scales[0]` to `scales[1]` of the picture. Boxes
    are in units of the picture, 0 to 1. ValueError unless 8 * 2^(levels - 1) divides H and W.
    """

    def __init__(self, classes=20, width=32, levels=3, scales=(0.15, 0.9), ratios=(1.0, 2.0, 0.5)):
        super().__init__()
        self.classes, self.ratios = classes, tuple(ratios)
        step = (scales[1] - scales[0]) / levels
        self.scales = [scales[0] + i * step for i in range(levels + 1)]
        self.stem = nn.Sequential(_stage(3, width), _stage(width, 2 * width))  # (N, 2 width, H / 4, W / 4)
        self.stages = nn.ModuleList([_stage((2 if i == 0 else 4) * width, 4 * width) for i in range(levels)])
        each = len(self.ratios) + 1
        self.scores = nn.ModuleList([nn.Conv2d(4 * width, each * (classes + 1), 3, padding=1) for _ in range(levels)])
        self.offsets = nn.ModuleList([nn.Conv2d(4 * width, each * 4, 3, padding=1) for _ in range(levels)])

    def forward(self, x):
        factor = 8 << (len(self.stages) - 1)
        if x.shape[-1] % factor or x.shape[-2] % factor:
            raise ValueError(f"[SSD] x must have height and width divisible by {factor}, got {tuple(x.shape)}")
        n, x, scores, offsets = x.shape[0], self.stem(x), [], []
        for stage, score, offset in zip(self.stages, self.scores, self.offsets, strict=True):
            x = stage(x)  # (N, 4 width, H / 2^i, W / 2^i)
            scores.append(score(x).permute(0, 2, 3, 1).reshape(n, -1, self.classes + 1))
            offsets.append(offset(x).permute(0, 2, 3, 1).reshape(n, -1, 4))
        return cat(scores, 1), cat(offsets, 1)

    def anchors(self, height, width):
        """(anchors, 4), in forward's order, for a picture of that size."""
        parts = []
        for i in range(len(self.stages)):
            size = (height >> (3 + i), width >> (3 + i))
            parts.append(anchor_boxes(*size, self.scales[i], self.scales[i + 1], self.ratios))
        return cat(parts, 0)

    @no_grad()
    def detect(self, x, score_threshold=0.3, iou_threshold=0.45, top=100):
        """For each picture a dict of boxes (K, 4), labels (K) from 0 and scores (K), the best first: the anchors whose
        likeliest class is no background, after non-maximum suppression within each class."""
        logits, offsets = self(x)
        probabilities = F.softmax(logits, -1)[..., 1:]
        boxes = decode_boxes(offsets, self.anchors(*x.shape[2:])).clamp(0, 1)
        found = []
        for p, b in zip(probabilities, boxes, strict=True):
            scores, labels = p.max(-1)
            chosen = (scores >= score_threshold).nonzero().flatten()
            scores, labels, b = scores.index_select(0, chosen), labels.index_select(0, chosen), b.index_select(0, chosen)
            kept = batched_nms(b, scores, labels, iou_threshold)[:top]
            found.append({"boxes": b[kept], "labels": labels[kept], "scores": scores[kept]})
        return found


def match_anchors(anchors, boxes, labels, iou_threshold=0.5):
    """(classes (A), offsets (A, 4)) that a picture with these boxes (K, 4) and labels (K), from 0, asks of its anchors: class
    label + 1 where an anchor's best box overlaps by the threshold, or the anchor is the best of a box; 0 elsewhere."""
    count = anchors.shape[0]
    if boxes.shape[0] == 0:
        return zeros(count, dtype=int64), zeros(count, 4)
    iou = box_iou(anchors, boxes)  # (A, K)
    overlap, box = iou.max(1)
    best = iou.argmax(0)  # the best anchor of each box
    box[best] = arange(boxes.shape[0])
    overlap[best] = ones(boxes.shape[0])
    classes = where(overlap >= iou_threshold, labels[box] + 1, 0)
    return classes, encode_boxes(boxes[box], anchors)


def ssd_loss(logits, offsets, anchors, targets, negatives=3):
    """Cross-entropy of classes plus smooth L1 of offsets, per anchor that has a box. targets: for each picture a dict of
    boxes (K, 4) and labels (K). Of the background's anchors only the worst count, `negatives` times as many as have a box
    in that picture (hard negative mining), and at least as many in a picture without one.
    """
    matched = [match_anchors(anchors, t["boxes"], t["labels"]) for t in targets]
    n, a, c = logits.shape
    classes = cat([m[0] for m in matched], 0).reshape(n, a)
    wanted = cat([m[1] for m in matched], 0).reshape(n, a, 4)
    loss = F.cross_entropy(logits.reshape(-1, c), classes.reshape(-1), reduction="none").reshape(n, a)
    positive = classes > 0
    background = loss.detach().masked_fill(positive, -1.0)
    rank = background.argsort(1, descending=True).argsort(1)  # 0: the worst
    count = (positive.sum(1, keepdim=True) * negatives).clamp(min=negatives)
    mined = (positive | ((rank < count) & ~positive)).to(loss.dtype)
    boxed = max(1, int(positive.sum().item()))
    place = F.smooth_l1_loss(offsets, wanted, reduction="none").sum(-1)  # (N, A)
    return ((loss * mined).sum() + where(positive, place, zeros(())).sum()) / boxed
