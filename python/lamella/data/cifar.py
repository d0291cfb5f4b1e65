# SPDX-License-Identifier: MIT
"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary form, or as folders of images.

A binary file is records: one label byte (CIFAR-100: coarse, then fine), then 3 x 32 x 32 bytes, channel by channel.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .dataset import TensorDataset
from .image_folder import ImageFolder, read_image

_PIXELS = 3 * 32 * 32


def read_cifar(path: str | os.PathLike[str], classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """(images (n, 3, 32, 32) uint8, labels (n) int64) of one binary file; classes 10, or 100 (fine labels)."""
    if classes not in (10, 100):
        raise ValueError(f"[read_cifar] classes must be 10 or 100, got {classes}")
    data = np.fromfile(path, np.uint8)
    record = _PIXELS + (1 if classes == 10 else 2)
    if len(data) == 0 or len(data) % record:
        raise ValueError(
            f"[read_cifar] {os.fspath(path)}: must hold records of {record} bytes, got {len(data)} bytes in all"
        )
    records = data.reshape(-1, record)
    labels = records[:, record - _PIXELS - 1].astype(np.int64)
    if labels.max() >= classes:
        at = int((labels >= classes).argmax())
        raise ValueError(
            f"[read_cifar] {os.fspath(path)}: labels must be below {classes}, got {labels[at]} in record {at}"
        )
    return np.ascontiguousarray(records[:, record - _PIXELS :]).reshape(-1, 3, 32, 32), labels


def _read_folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from concurrent.futures import ThreadPoolExecutor

    found = ImageFolder(folder)
    images = np.empty((len(found), 3, 32, 32), np.uint8)

    def one(i: int) -> None:
        images[i] = read_image(found.samples[i][0], (32, 32))

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, range(len(found))))
    return images, np.array(found.targets, np.int64)


def cifar(folder: str | os.PathLike[str], split: str = "train", classes: int = 10) -> TensorDataset:
    """(image (3, 32, 32) float32 in [0, 1], label), all in memory; split "train" or "test".

    `folder` holds the binary files (data_batch_1.bin to data_batch_5.bin and test_batch.bin; CIFAR-100: train.bin and
    test.bin), or train/<class>/ and test/<class>/ full of images.
    """
    from ..ops import from_numpy

    if split not in ("train", "test"):
        raise ValueError(f"[cifar] split must be 'train' or 'test', got {split!r}")
    folder = Path(folder)
    if classes == 100:
        files = [folder / f"{split}.bin"]
    else:
        files = sorted(folder.glob("data_batch_*.bin")) if split == "train" else [folder / "test_batch.bin"]
    if files and all(f.is_file() for f in files):
        parts = [read_cifar(f, classes) for f in files]
        x, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    elif (folder / split).is_dir():
        x, y = _read_folder(folder / split)
    else:
        raise ValueError(f"[cifar] {folder} must hold CIFAR's .bin files or a folder {split} with one folder per class")
    return TensorDataset(from_numpy(np.divide(x, 255, dtype=np.float32)), from_numpy(y))
