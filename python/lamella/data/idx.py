# SPDX-License-Identifier: MIT
"""IDX files, the format of MNIST (LeCun, Cortes, Burges) and Fashion-MNIST, raw or gzipped.

The file: two zero bytes, a type code, the number of dimensions; each size as uint32; the elements. All big-endian.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from .dataset import TensorDataset

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file. ValueError names the file and what is wrong with it."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"[read_idx] {path}: damaged gzip data: {error}") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise ValueError(f"[read_idx] {path}: not an IDX file: it begins with {data[:4].hex(' ') or 'nothing'}")
    dtype, ndim = np.dtype(_TYPES[data[2]]), data[3]
    start = 4 + 4 * ndim
    if ndim > 8 or len(data) < start:
        raise ValueError(f"[read_idx] {path}: header of {ndim} dimensions is cut short or has more than 8")
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        what = "truncated" if len(data) - start < expected else "too long"
        raise ValueError(f"[read_idx] {path}: {what}: shape {shape} takes {expected} bytes, got {len(data) - start}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=True)


def _find(folder: Path, stem: str) -> Path | None:
    for name in (stem, stem + ".gz", stem.replace("-idx", ".idx"), stem.replace("-idx", ".idx") + ".gz"):
        if (folder / name).is_file():
            return folder / name
    return None


def read_idx_pair(folder: str | os.PathLike[str], split: str) -> tuple[np.ndarray, np.ndarray]:
    """(images (n, rows, cols) uint8, labels (n) int64) of the split "train" or "t10k" in `folder`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"[read_idx] {folder} is not a folder")
    images, labels = (_find(folder, f"{split}-{what}-ubyte") for what in ("images-idx3", "labels-idx1"))
    if images is None or labels is None:
        missing = "images-idx3" if images is None else "labels-idx1"
        raise ValueError(f"[read_idx] {folder} must hold {split}-{missing}-ubyte, as it is or with .gz")
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or x.dtype != np.uint8:
        raise ValueError(f"[read_idx] {images}: images must be uint8 (n, rows, cols), got {x.dtype} {x.shape}")
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(f"[read_idx] {labels}: labels must be integers (n), got {y.dtype} {y.shape}")
    if len(x) != len(y):
        raise ValueError(f"[read_idx] {folder}: {len(x)} images in {images.name}, but {len(y)} labels in {labels.name}")
    return x, y.astype(np.int64)


def mnist(folder: str | os.PathLike[str], split: str = "train") -> TensorDataset:
    """(image (1, rows, cols) float32 in [0, 1], label) of the IDX files in `folder`; split: "train" or "test"."""
    from ..ops import from_numpy

    names = {"train": "train", "test": "t10k"}
    if split not in names:
        raise ValueError(f"[mnist] split must be 'train' or 'test', got {split!r}")
    x, y = read_idx_pair(folder, names[split])
    return TensorDataset(from_numpy(np.divide(x[:, None], 255, dtype=np.float32)), from_numpy(y))
