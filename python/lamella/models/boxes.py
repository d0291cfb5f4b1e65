# SPDX-License-Identifier: MIT
"""Boxes: (x1, y1, x2, y2), corners with x1 <= x2 and y1 <= y2, in any unit; names as in torchvision.ops."""

from __future__ import annotations

from .. import cat, exp, int64, log, maximum, minimum, tensor

__all__ = ["batched_nms", "box_area", "box_iou", "center_to_corners", "corners_to_center", "decode_boxes", "encode_boxes", "nms"]

VARIANCES = (0.1, 0.1, 0.2, 0.2)  # of the offsets of centre and size, by which SSD (Liu et al. 2015) scales them


def box_area(boxes):
    """(x2 - x1) (y2 - y1): (..., 4) -> (...)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes1, boxes2):
    """Area of the intersection / of the union of each with each: (N, 4), (M, 4) -> (N, M); 0 where both are empty.

    >>> models.box_iou(lamella.tensor([[0.0, 0.0, 2.0, 2.0]]), lamella.tensor([[1.0, 0.0, 3.0, 2.0]])).tolist()
    [[0.3333333432674408]]
    """
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"[box_iou] {name} must have shape (N, 4), got {tuple(boxes.shape)}")
    a, b = boxes1.unsqueeze(1), boxes2.unsqueeze(0)
    size = (minimum(a[..., 2:], b[..., 2:]) - maximum(a[..., :2], b[..., :2])).clamp(min=0)  # (N, M, 2)
    both = size[..., 0] * size[..., 1]
    union = box_area(a) + box_area(b) - both
    return both / union.masked_fill(union <= 0, 1.0)


def nms(boxes, scores, iou_threshold):
    """Indices of the boxes (N, 4) that stay, by falling score (N): one goes if its IoU with a better one that stays is
    above the threshold (greedy non-maximum suppression)."""
    if boxes.ndim != 2 or boxes.shape[1] != 4 or tuple(scores.shape) != (boxes.shape[0],):
        got = f"{tuple(boxes.shape)} and {tuple(scores.shape)}"
        raise ValueError(f"[nms] boxes and scores must have shapes (N, 4) and (N,), got {got}")
    if boxes.shape[0] == 0:
        return tensor([], dtype=int64)
    order = scores.argsort(descending=True)
    chosen = boxes.detach().index_select(0, order)
    close = (box_iou(chosen, chosen) > iou_threshold).cpu().numpy()
    alive, kept = close.diagonal() | True, []
    for i in range(len(close)):  # each depends on those before it
        if alive[i]:
            kept.append(i)
            alive &= ~close[i]
    return order.index_select(0, tensor(kept, dtype=int64))


def batched_nms(boxes, scores, idxs, iou_threshold):
    """`nms` within each class idxs (N): boxes of different classes do not meet, since each class is moved elsewhere."""
    if boxes.shape[0] == 0:
        return tensor([], dtype=int64)
    span = (boxes.max() - boxes.min()).item() + 1
    return nms(boxes + (idxs.to(boxes.dtype) * span).unsqueeze(1), scores, iou_threshold)


def corners_to_center(boxes):
    """(x1, y1, x2, y2) -> (cx, cy, w, h)."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return cat([(low + high) / 2, high - low], -1)


def center_to_corners(boxes):
    """(cx, cy, w, h) -> (x1, y1, x2, y2)."""
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return cat([middle - half, middle + half], -1)


def encode_boxes(boxes, anchors, variances=VARIANCES):
    """What a detector is to give for boxes (..., 4) at anchors (..., 4): the centre's offset in anchor sizes and the log of
    the size's ratio, each divided by its variance (Girshick et al. 2013, appendix C)."""
    b, a, v = corners_to_center(boxes), corners_to_center(anchors), tensor(variances)
    return cat([(b[..., :2] - a[..., :2]) / a[..., 2:], log(b[..., 2:] / a[..., 2:])], -1) / v


def decode_boxes(offsets, anchors, variances=VARIANCES):
    """The boxes that `encode_boxes` gave these offsets for."""
    a, d = corners_to_center(anchors), offsets * tensor(variances)
    return center_to_corners(cat([a[..., :2] + d[..., :2] * a[..., 2:], a[..., 2:] * exp(d[..., 2:])], -1))


def anchor_boxes(height, width, scale, next_scale, ratios):
    """Anchors of a map of height x width cells, (height width (len(ratios) + 1), 4), in units of the picture: at each cell
    one of each ratio, of size scale sqrt(r) by scale / sqrt(r), and one square of the mean size to the next map's."""
    sizes = [(scale * r**0.5, scale / r**0.5) for r in ratios] + [((scale * next_scale) ** 0.5,) * 2]
    cells = [((j + 0.5) / width, (i + 0.5) / height) for i in range(height) for j in range(width)]
    centers = tensor(cells).unsqueeze(1).expand(-1, len(sizes), -1)
    sizes = tensor(sizes).unsqueeze(0).expand(len(cells), -1, -1)
    return center_to_corners(cat([centers, sizes], -1)).reshape(-1, 4)
