# SPDX-License-Identifier: MIT
"""The UCI optical digits, inside the package: 1,797 images of 8 x 8 (see DIGITS.md for source and licence)."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from .dataset import TensorDataset
from .sampler import permutation

HELD_OUT = 360  # of 1,797


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """(images (1797, 8, 8) uint8 with values 0 to 16, labels (1797) int64), in the order of the source."""
    text = gzip.decompress((Path(__file__).parent / "digits.csv.gz").read_bytes()).decode()
    table = np.array([line.split(",") for line in text.split()], dtype=np.float64).astype(np.int64)
    return table[:, :64].astype(np.uint8).reshape(-1, 8, 8), np.ascontiguousarray(table[:, 64])


def digits(split: str = "train") -> TensorDataset:
    """(image (1, 8, 8) float32 in [0, 1], label); split "train" (1,437) or "test" (360 held out, always the same)."""
    from ..ops import from_numpy

    if split not in ("train", "test"):
        raise ValueError(f"[digits] split must be 'train' or 'test', got {split!r}")
    x, y = read_digits()
    order = permutation(len(x), seed=0, epoch=0)
    chosen = order[:-HELD_OUT] if split == "train" else order[-HELD_OUT:]
    return TensorDataset(from_numpy(np.divide(x[chosen, None], 16, dtype=np.float32)), from_numpy(y[chosen]))
