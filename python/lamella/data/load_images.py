# SPDX-License-Identifier: MIT
"""A labelled set of images, whatever lies in the folder, decoded once into memory as uint8."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .cifar import read_cifar
from .dataset import TensorDataset
from .digits import digits
from .idx import read_idx_pair
from .image_folder import ImageFolder, read_image
from .sampler import permutation

Split = tuple[np.ndarray, np.ndarray]  # images uint8 (N, C, H, W), labels int64 (N)


class ImageData(NamedTuple):
    """Items of `train` and `test` are (image uint8 (C, H, W), label); `classes`: the names of the labels."""

    train: TensorDataset
    test: TensorDataset
    classes: list[str]

    def moments(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of each channel over the training images, in [0, 1]."""
        values = np.arange(256) / 255
        means, deviations = [], []
        for c in range(self.train.tensors[0].shape[1]):
            count = np.bincount(self.train.tensors[0].numpy()[:, c].ravel(), minlength=256)  # exact, and no float copy
            mean = float(count @ values / count.sum())
            means.append(mean)
            deviations.append(max(float(count @ (values - mean) ** 2 / count.sum()) ** 0.5, 1e-3))
        return means, deviations

    def describe(self) -> dict[str, Any]:
        """What a model of these images must remember: classes, channels, size (rows, cols), mean and std. JSON can hold it,
        and `read_like` makes an input of a file from it."""
        mean, std = self.moments()
        _, channels, *size = self.train.tensors[0].shape
        return {"classes": self.classes, "channels": channels, "size": size, "mean": mean, "std": std}

    def loaders(self, batch: int, augment: Sequence[Any] = (), scale: Any = None, **options: Any) -> tuple[Any, Any]:
        """DataLoaders of train, shuffled and augmented (each image by itself), and of test: floating batches, normalised by
        `scale`: (mean, std) of each channel, default `moments()`."""
        from .. import float32
        from . import transforms as T
        from .loader import DataLoader

        mean, std = self.moments() if scale is None else scale
        last = [T.ToDtype(float32, scale=True), T.Normalize(mean, std)]
        train = DataLoader(
            self.train, batch, shuffle=True, batch_transform=T.EachImage(T.Compose([*augment, *last])), **options
        )
        test = DataLoader(self.test, max(batch, 250), batch_transform=T.EachImage(T.Compose(last)))
        return train, test


def read_like(path: str | os.PathLike[str], described: dict[str, Any]) -> Any:
    """An image file, or an array (C, H, W) or (H, W) in a .npy file, as the input (1, C, H, W) of a model trained on data
    that `ImageData.describe` described. Where those were dark and grey, such as digits, a light picture is inverted."""
    from ..ops import from_numpy

    channels, (rows, cols) = described["channels"], described["size"]
    if os.fspath(path).endswith(".npy"):
        x = np.load(path, allow_pickle=False)
        x = x[None] if x.ndim == 2 else x
        if x.shape != (channels, rows, cols):
            raise ValueError(f"[read_like] {os.fspath(path)}: must have shape {(channels, rows, cols)}, got {x.shape}")
    else:
        x = read_image(path, (rows, cols), "L" if channels == 1 else "RGB")
    x = np.divide(x, 255 if x.dtype == np.uint8 else 1, dtype=np.float32)
    mean, std = (np.array(described[name], np.float32)[:, None, None] for name in ("mean", "std"))
    if channels == 1 and mean.item() < 0.4 and x.mean() > 0.5:
        x = 1 - x
    return from_numpy(((x - mean) / std)[None])


# ---- readers ---------------------------------------------------------------------------------------------------------
def decode_folder(folder: ImageFolder, size: tuple[int, int] | None, mode: str, limit: int | None = None) -> Split:
    """All images of an ImageFolder, or `limit` of them evenly over it, decoded by several threads. size None: that of the
    first image, which all must have; ValueError names the file that has another."""
    from concurrent.futures import ThreadPoolExecutor

    samples = folder.samples
    if limit is not None and limit < len(samples):
        samples = [samples[i] for i in np.linspace(0, len(samples) - 1, limit).astype(int)]
    first = read_image(samples[0][0], size, mode)
    images = np.empty((len(samples), *first.shape), np.uint8)

    def some(start: int) -> None:
        for i in range(start, min(start + 64, len(samples))):
            image = read_image(samples[i][0], size, mode)
            if image.shape != first.shape:
                shapes = f"{first.shape[1:]}, the size of the first image, got {image.shape[1:]}"
                raise ValueError(f"[load_images] {samples[i][0]}: must have {shapes}: give a size to scale all images to")
            images[i] = image

    with ThreadPoolExecutor() as pool:
        list(pool.map(some, range(0, len(samples), 64)))
    return images, np.array([label for _, label in samples], np.int64)


def _folders(root: Path, size: tuple[int, int] | None, mode: str, limit: int | None) -> tuple[Split, Split | None, list[str]]:
    if not ((root / "train").is_dir() and (root / "test").is_dir()):
        found = ImageFolder(root)
        return decode_folder(found, size, mode, limit), None, found.classes
    train, test = ImageFolder(root / "train"), ImageFolder(root / "test")
    if train.classes != test.classes:
        raise ValueError(f"[load_images] {root}: train and test must have the same classes, got {train.classes} and {test.classes}")
    held = None if limit is None else max(1, limit // 5)
    made = decode_folder(train, size, mode, limit)
    return made, decode_folder(test, made[0].shape[2:], mode, held), train.classes


def _idx(root: Path) -> tuple[Split, Split | None, list[str]]:
    def split(name: str) -> Split | None:
        if not any(root.glob(f"{name}-images*")):
            return None
        x, y = read_idx_pair(root, name)
        return x[:, None], y

    train, test = split("train"), split("t10k")
    if train is None:
        train, test = test, None
    classes = int(train[1].max(initial=0)) + 1
    return train, test, [str(i) for i in range(max(classes, 2))]


def _cifar(root: Path) -> tuple[Split, Split | None, list[str]]:
    parts = [read_cifar(f) for f in sorted(root.glob("data_batch_*.bin"))]
    names = root / "batches.meta.txt"
    classes = names.read_text().split() if names.is_file() else [str(i) for i in range(10)]
    train = np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
    return train, read_cifar(root / "test_batch.bin"), classes


def _digits() -> tuple[Split, Split | None, list[str]]:
    def split(name: str) -> Split:
        x, y = digits(name).tensors
        return np.rint(x.numpy() * 255).astype(np.uint8), y.numpy()

    return split("train"), split("test"), [str(i) for i in range(10)]


def _fit(x: np.ndarray, size: tuple[int, int] | None, mode: str | None) -> np.ndarray:
    """In the size and with the channels asked for."""
    from .transforms.colour import Grayscale
    from .transforms.geometry import resize_array

    if size is not None:
        x = resize_array(x, size, "bilinear")
    if mode == "RGB" and x.shape[1] == 1:
        return np.repeat(x, 3, 1)
    return Grayscale().on_batch(x, None) if mode == "L" and x.shape[1] == 3 else x


def _checked(split: Split, classes: list[str], where: str) -> Split:
    x, y = split
    if len(x) == 0:
        raise ValueError(f"[load_images] {where}: must hold images, found none")
    if y.min() < 0 or y.max() >= len(classes):
        at = int(((y < 0) | (y >= len(classes))).argmax())
        raise ValueError(f"[load_images] {where}: labels must be in [0, {len(classes)}), got {y[at]} for image {at}")
    return x, y


def load_images(
    folder: str | os.PathLike[str] | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    mode: str | None = None,
    limit: int | None = None,
    held_out: float = 0.2,
) -> ImageData:
    """All images of `folder`, which holds IDX files (MNIST), CIFAR-10's .bin files, one folder per class, or train/ and test/
    with such folders; None: the digits that come with the package.

    Where there is no test split, the last `held_out` of the data is one (of class folders, in a fixed random order).
    size: pixels (rows, cols), or of a square, that all are scaled to; mode: "L" or "RGB", default the data's own, of folders
    RGB; limit: at most so many training images. ValueError names the file or folder that does not fit, and a class without
    images.

    >>> images = load_images(size=16)
    >>> len(images.train), len(images.test), images.train[0][0].shape
    (1437, 360, (1, 16, 16))
    """
    if mode not in (None, "L", "RGB"):
        raise ValueError(f"[load_images] mode must be 'L' or 'RGB', got {mode!r}")
    if not 0 < held_out < 1:
        raise ValueError(f"[load_images] held_out must be between 0 and 1, got {held_out}")
    if limit is not None and limit < 2:
        raise ValueError(f"[load_images] limit must be at least 2, got {limit}")
    if isinstance(size, int):
        size = (size, size)
    if size is not None and min(size) < 1:
        raise ValueError(f"[load_images] size must be positive, got {size}")
    where = "the digits" if folder is None else os.fspath(folder)
    if folder is None:
        train, test, classes = _digits()
    elif not Path(folder).is_dir():
        raise ValueError(f"[load_images] {where} is not a folder")
    elif any(Path(folder).glob("*-images*")):
        train, test, classes = _idx(Path(folder))
    elif any(Path(folder).glob("data_batch_*.bin")):
        train, test, classes = _cifar(Path(folder))
    else:
        train, test, classes = _folders(Path(folder), size, mode or "RGB", limit)
        if test is None:
            order = permutation(len(train[0]), 0, 0)
            train = train[0][order], train[1][order]
    if len(classes) < 2:
        raise ValueError(f"[load_images] {where} must hold at least two classes, got {', '.join(classes)}")
    if test is None:
        cut = len(train[0]) - max(1, int(len(train[0]) * held_out))
        train, test = (train[0][:cut], train[1][:cut]), (train[0][cut:], train[1][cut:])
    made = []
    for x, y in (_checked(train, classes, where), _checked(test, classes, where)):
        most = limit if not made else None
        made.append(_tensors(_fit(x[:most], size, mode), y[:most]))
    if made[0].tensors[0].shape[1:] != made[1].tensors[0].shape[1:]:
        shapes = [tuple(m.tensors[0].shape[1:]) for m in made]
        raise ValueError(f"[load_images] {where}: train and test must have one shape, got {shapes[0]} and {shapes[1]}: give a size")
    return ImageData(made[0], made[1], classes)


def _tensors(x: np.ndarray, y: np.ndarray) -> TensorDataset:
    from ..ops import from_numpy

    return TensorDataset(from_numpy(np.ascontiguousarray(x)), from_numpy(y))
