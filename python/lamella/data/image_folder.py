# SPDX-License-Identifier: MIT
"""A folder with one folder per class, each full of images that Pillow reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Dataset

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")


def _pillow() -> Any:
    try:
        import PIL.Image
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install 'lamella[demo]'") from None
    return PIL.Image


def open_image(path: str | os.PathLike[str], size: tuple[int, int] | None = None, mode: str = "RGB") -> Any:
    """The decoded Pillow image, resized to `size` (rows, cols) where given; mode "RGB" or "L".

    ValueError names a file that is no image or a damaged one; OSError, one that cannot be opened.
    """
    if mode not in ("RGB", "L"):
        raise ValueError(f"[read_image] mode must be 'RGB' or 'L', got {mode!r}")
    pillow = _pillow()
    with open(path, "rb") as file:
        try:
            with pillow.open(file) as image:
                made = image.convert(mode)  # decodes
        except (OSError, ValueError, SyntaxError, EOFError, pillow.DecompressionBombError) as error:
            raise ValueError(f"[read_image] {os.fspath(path)}: not a readable image: {error}") from None
    if size is not None and made.size != (size[1], size[0]):
        made = made.resize((size[1], size[0]), pillow.Resampling.BILINEAR)
    return made


def pixels_of(image: Any) -> np.ndarray:
    """The pixels of a Pillow image as (channels, rows, cols), uint8 but for modes of wider pixels."""
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1))


def read_image(path: str | os.PathLike[str], size: tuple[int, int] | None = None, mode: str = "RGB") -> np.ndarray:
    """The image as uint8 (channels, rows, cols); arguments and errors as open_image has them."""
    return pixels_of(open_image(path, size, mode))


class ImageFolder(Dataset):
    """(image (channels, rows, cols) float32 in [0, 1], class index) of root/<class>/**/*.{jpg,png,…}.

    Classes are numbered by sorted name; files are sorted, too. transform takes the Pillow image, as torchvision's does
    (see lamella.data.transforms), target_transform the class index. `size` (rows, cols) resizes first, `mode` is "RGB"
    or "L". With skip_unreadable, images that cannot be read are left out when the folder is opened, and `skipped` lists
    them; DataLoader(on_error="skip") leaves them out as it goes.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Any = None,
        target_transform: Any = None,
        *,
        size: tuple[int, int] | None = None,
        mode: str = "RGB",
        allow_empty: bool = False,
        skip_unreadable: bool = False,
    ) -> None:
        _pillow()
        self.root, self.size, self.mode = Path(root), size, mode
        self.transform, self.target_transform = transform, target_transform
        if not self.root.is_dir():
            raise ValueError(f"[ImageFolder] {self.root} is not a folder")
        self.classes = sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith("."))
        if not self.classes:
            raise ValueError(f"[ImageFolder] {self.root} must hold one folder per class, found none")
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples: list[tuple[Path, int]] = []
        for label, name in enumerate(self.classes):
            files = sorted(p for p in (self.root / name).rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
            if not files and not allow_empty:
                raise ValueError(f"[ImageFolder] {self.root / name} holds no image ({', '.join(EXTENSIONS)})")
            self.samples += [(path, label) for path in files]
        self.skipped: list[Path] = []
        if skip_unreadable:
            self._drop_unreadable()

    def _drop_unreadable(self) -> None:
        kept = []
        for path, label in self.samples:
            try:
                read_image(path, None, self.mode)
                kept.append((path, label))
            except (ValueError, OSError):
                self.skipped.append(path)
        if not kept:
            raise ValueError(f"[ImageFolder] {self.root}: none of its {len(self.samples)} images can be read")
        self.samples = kept

    @property
    def targets(self) -> list[int]:
        return [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.samples[index]
        image = open_image(path, self.size, self.mode)
        if self.target_transform is not None:
            label = self.target_transform(label)
        if self.transform is not None:
            return self.transform(image), label
        return np.divide(pixels_of(image), 255, dtype=np.float32), label
