# SPDX-License-Identifier: MIT
"""Feeding a model: an epoch over images in memory, and decoding and augmenting JPEG files with two workers."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .registry import add

IMAGES, BATCH = 60_000, 128


def memory(lib: Any) -> Callable[[], Any]:
    """MNIST's shape: shuffled batches of 128."""
    stored = lib.utils.data.TensorDataset(lib.ones(IMAGES, 28, 28), lib.arange(IMAGES))
    loader = lib.utils.data.DataLoader(stored, batch_size=BATCH, shuffle=True)

    def call() -> None:
        for _ in loader:
            pass

    return call


def slicing(lib: Any) -> Callable[[], Any]:
    """The same by hand: what the loader is held against."""
    x, y = lib.ones(IMAGES, 28, 28), lib.arange(IMAGES)

    def call() -> None:
        order = lib.randperm(IMAGES)
        for i in range(0, IMAGES, BATCH):
            rows = order[i : i + BATCH]
            x[rows], y[rows]

    return call


def photographs(n: int = 256, side: int = 256) -> Path:
    """A folder with two classes of JPEG files, of a size that photographs are often stored in; removed at the end."""
    import numpy as np
    from PIL import Image

    root = Path(tempfile.mkdtemp(prefix="bench-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    rng = np.random.default_rng(0)
    for i in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
        (root / str(i % 2)).mkdir(exist_ok=True)
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(root / str(i % 2) / f"{i}.jpg", quality=90)
    return root


def folder(lib: Any) -> Callable[[], Any]:
    T = lib.data.transforms
    steps = [T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize([0.5] * 3, [0.25] * 3)]
    images = lib.data.ImageFolder(photographs(), T.Compose(steps))
    loader = lib.data.DataLoader(images, 32, shuffle=True, num_workers=2)

    def call() -> None:
        for _ in loader:
            pass

    return call


def folder_torch(lib: Any) -> Callable[[], Any]:
    """The same steps in torch's words (torchvision's code on Pillow images does these), in two worker processes."""
    import math
    import random

    import numpy as np
    from PIL import Image

    files = sorted(photographs().rglob("*.jpg"))
    mean, std = lib.full((3, 1, 1), 0.5), lib.full((3, 1, 1), 0.25)

    class Images(lib.utils.data.Dataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> Any:
            with open(files[i], "rb") as file:
                image = Image.open(file).convert("RGB")
            w, h = image.size
            while True:
                area = w * h * random.uniform(0.08, 1)
                ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
                cw, ch = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
                if cw <= w and ch <= h:
                    break
            left, top = random.randint(0, w - cw), random.randint(0, h - ch)
            image = image.crop((left, top, left + cw, top + ch)).resize((224, 224), Image.Resampling.BILINEAR)
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            x = lib.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div_(255)
            return x.sub_(mean).div_(std), i % 2

    loader = lib.utils.data.DataLoader(Images(), 32, shuffle=True, num_workers=2)

    def call() -> None:
        for _ in loader:
            pass

    return call


moved = 2.0 * IMAGES * (28 * 28 * 4 + 8)
add("data", "loader-memory-60000x28x28", memory, bytes=moved)
add("data", "slicing-memory-60000x28x28", slicing, bytes=moved)
add("data", "loader-folder-256x256-w2", folder, torch=folder_torch)
