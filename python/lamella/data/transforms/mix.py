# SPDX-License-Identifier: MIT
"""Mixing the images and labels of a batch: for DataLoader's batch_transform, or in the training loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...tensor import Tensor
from ..sample import random_source
from .base import to_tensor


class _Mix:
    """(images (N, C, H, W), labels) -> (mixed images, labels (N, num_classes)): each image with the one before it."""

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        if not alpha > 0:
            raise ValueError(f"[{type(self).__name__}] alpha must be positive, got {alpha}")
        if num_classes is not None and num_classes < 1:
            raise ValueError(f"[{type(self).__name__}] num_classes must be positive, got {num_classes}")
        self.alpha, self.num_classes = float(alpha), num_classes

    def __call__(self, *inputs: Any) -> Any:
        batch = inputs[0] if len(inputs) == 1 else inputs
        op = type(self).__name__
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise TypeError(f"[{op}] input must be a batch (images, labels), got {type(batch).__name__}")
        images, labels, *rest = batch
        if not isinstance(images, Tensor) or images.ndim != 4 or not images.dtype.is_floating_point:
            raise ValueError(f"[{op}] images must be a floating Tensor (N, C, H, W)")
        targets = self._one_hot(op, labels, len(images))
        random = random_source()
        share = float(random.beta(self.alpha, self.alpha))
        x = images.detach().numpy()
        mixed, share = self.mix(x, np.roll(x, 1, 0), share, random)
        y = np.float32(share) * targets + np.float32(1 - share) * np.roll(targets, 1, 0)
        return type(batch)([to_tensor(mixed), to_tensor(y), *rest])

    def _one_hot(self, op: str, labels: Any, n: int) -> np.ndarray:
        y = labels.numpy() if isinstance(labels, Tensor) else np.asarray(labels)
        if y.ndim == 2 and y.dtype.kind == "f" and len(y) == n:
            return y.astype(np.float32)
        if y.shape != (n,) or y.dtype.kind not in "iu":
            raise ValueError(f"[{op}] labels must be {n} class indices or ({n}, classes) shares, got {y.dtype} {y.shape}")
        if self.num_classes is None:
            raise ValueError(f"[{op}] num_classes must be given where labels are class indices")
        if n and (y.min() < 0 or y.max() >= self.num_classes):
            bad = y[(y < 0) | (y >= self.num_classes)][0]
            raise ValueError(f"[{op}] labels must be in [0, {self.num_classes}), got {bad}")
        return np.eye(self.num_classes, dtype=np.float32)[y]

    def mix(self, x: np.ndarray, other: np.ndarray, share: float, random: Any) -> tuple[np.ndarray, float]:
        raise TypeError(f"{type(self).__name__} must define mix")


class MixUp(_Mix):
    """share x + (1 - share) other, with share ~ Beta(alpha, alpha); labels alike (Zhang et al. 2017).

    >>> x, y = MixUp(num_classes=3)(lamella.ones(2, 1, 4, 4), lamella.tensor([0, 2]))
    >>> y.shape, x.sum().item()
    ((2, 3), 32.0)
    """

    def mix(self, x: np.ndarray, other: np.ndarray, share: float, random: Any) -> tuple[np.ndarray, float]:
        return x * x.dtype.type(share) + other * x.dtype.type(1 - share), share


class CutMix(_Mix):
    """A rectangle of the other image, of area 1 - share, is pasted in; labels mix by the areas (Yun et al. 2019)."""

    def mix(self, x: np.ndarray, other: np.ndarray, share: float, random: Any) -> tuple[np.ndarray, float]:
        h, w = x.shape[-2:]
        row, col = int(random.integers(h)), int(random.integers(w))
        half = 0.5 * math.sqrt(1 - share)
        top, bottom = max(int(row - half * h), 0), min(int(row + half * h), h)
        left, right = max(int(col - half * w), 0), min(int(col + half * w), w)
        out = x.copy()
        out[..., top:bottom, left:right] = other[..., top:bottom, left:right]
        return out, 1 - (bottom - top) * (right - left) / (h * w)
