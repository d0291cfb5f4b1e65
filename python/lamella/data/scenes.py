# SPDX-License-Identifier: MIT
"""Pictures with several objects in them, made from labelled ones: to learn detection, segmentation and captions on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .dataset import Dataset, Indices
from .sample import philox

COLOURS = {"red": (230, 60, 50), "green": (70, 200, 80), "blue": (70, 110, 250), "yellow": (240, 220, 70),
           "violet": (190, 90, 230), "white": (245, 245, 245)}  # fmt: skip

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Scenes(Dataset):
    """Item i: a noisy picture (3, size, size) float32 in [0, 1] with `objects` (least, most) of the given pictures on it,
    each of a random colour and of `extent` (least, most) pixels, none overlapping another; and a dict of

    boxes (K, 4): corners x1, y1, x2, y2 of the strokes, in units of the picture; labels (K);
    mask (size, size): 0 where there is background, label + 1 where there is an object.

    images: uint8 (N, 1, h, w), light on black, and labels (N), such as `load_images(...).train.tensors`. What is in item i is
    a function of seed and i alone. A batch is (pictures (N, 3, size, size), list of dicts), with target="mask" (pictures,
    masks (N, size, size)).

    >>> from lamella.data import digits
    >>> picture, target = Scenes(*digits().tensors, length=100)[7]
    >>> picture.shape, len(target["labels"]) == len(target["boxes"])
    ((3, 96, 96), True)
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        length: int = 1000,
        *,
        size: int = 96,
        objects: Sequence[int] = (1, 4),
        extent: Sequence[int] = (20, 40),
        noise: float = 0.15,
        target: str = "boxes",
        seed: int = 0,
    ) -> None:
        x, y = np.asarray(images), np.asarray(labels)
        if x.ndim != 4 or x.shape[1] != 1 or y.shape != (len(x),):
            raise ValueError(f"[Scenes] images and labels must have shapes (N, 1, h, w) and (N,), got {x.shape} and {y.shape}")
        if not 1 <= objects[0] <= objects[1] or not 4 <= extent[0] <= extent[1] <= size:
            got = f"{tuple(objects)} and {tuple(extent)}"
            raise ValueError(f"[Scenes] objects and extent must be (least, most), of at least 1 and of 4 to {size} pixels, got {got}")
        if target not in ("boxes", "mask"):
            raise ValueError(f"[Scenes] target must be 'boxes' or 'mask', got {target!r}")
        self.images = x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1)
        self.labels, self.length, self.size, self.noise = y.astype(np.int64), length, size, noise
        self.objects, self.extent, self.target, self.seed = tuple(objects), tuple(extent), target, seed

    def __len__(self) -> int:
        return self.length

    def _make(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(picture, boxes, labels, mask)"""
        from .transforms.geometry import resize_array

        rng, size = philox(self.seed, 0, index, 4), self.size
        picture = (self.noise * rng.random((3, size, size))).astype(np.float32)
        mask, boxes, labels = np.zeros((size, size), np.int64), [], []
        for _ in range(rng.integers(self.objects[0], self.objects[1] + 1)):
            which, extent = int(rng.integers(len(self.images))), int(rng.integers(self.extent[0], self.extent[1] + 1))
            colour = np.array(list(COLOURS.values())[rng.integers(len(COLOURS))], np.float32) / 255
            strokes = np.clip(resize_array(self.images[which], (extent, extent), "bilinear")[0], 0, 1)
            for _ in range(20):  # tries to find room
                top, left = (int(rng.integers(size - extent + 1)) for _ in range(2))
                here = (slice(top, top + extent), slice(left, left + extent))
                inked = strokes > 0.3
                if not inked.any() or mask[here].any():
                    continue
                picture[:, *here] += strokes * (colour[:, None, None] - picture[:, *here])
                mask[here][inked] = self.labels[which] + 1
                rows, cols = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
                boxes.append([left + cols[0], top + rows[0], left + cols[-1] + 1, top + rows[-1] + 1])
                labels.append(self.labels[which])
                break
        return picture, np.array(boxes, np.float32).reshape(-1, 4) / size, np.array(labels, np.int64), mask

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any]]:
        from ..ops import from_numpy

        if not -self.length <= index < self.length:
            raise IndexError(f"[Scenes] index must be in [{-self.length}, {self.length}), got {index}")
        picture, *rest = self._make(index % self.length)
        return from_numpy(picture), {k: from_numpy(v) for k, v in zip(("boxes", "labels", "mask"), rest, strict=True)}

    def batch(self, indices: Indices) -> tuple[Any, Any]:
        from ..ops import stack

        items = [self[int(i)] for i in indices]
        targets = [target for _, target in items]
        return stack([x for x, _ in items]), targets if self.target == "boxes" else stack([t["mask"] for t in targets])


class CaptionedDigits(Dataset):
    """Item: (picture (3, h, w) float32 of one digit in a colour, its words "COLOUR DIGIT", their number).

    `captions`: all the words there are, by number: colour * 10 + digit. without: words that never occur, so that one can see
    whether a model puts known colours and digits together. images: uint8 (N, 1, h, w), labels (N) from 0 to 9.

    >>> from lamella.data import digits
    >>> picture, words, number = CaptionedDigits(*digits().tensors)[0]
    >>> CaptionedDigits.captions[number] == words
    True
    """

    captions = [f"{colour} {name}" for colour in COLOURS for name in DIGITS]

    def __init__(self, images: Any, labels: Any, *, without: Sequence[str] = (), seed: int = 0) -> None:
        x, y = np.asarray(images), np.asarray(labels)
        if x.ndim != 4 or x.shape[1] != 1 or y.shape != (len(x),) or y.min() < 0 or y.max() > 9:
            raise ValueError(f"[CaptionedDigits] images must have shape (N, 1, h, w) and labels be (N) from 0 to 9, got {x.shape} and {y.shape}")
        unknown = [w for w in without if w not in self.captions]
        if unknown:
            raise ValueError(f"[CaptionedDigits] without must be words such as {self.captions[0]!r}, got {unknown[0]!r}")
        banned = {self.captions.index(w) for w in without}
        self.images, rng = x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1), philox(seed, 0, 0, 4)
        allowed = {d: [c for c in range(len(COLOURS)) if c * 10 + d not in banned] for d in range(10)}
        self.numbers = np.array([allowed[d][rng.integers(len(allowed[d]))] * 10 + d for d in y.tolist()])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, str, int]:
        number = int(self.numbers[index])
        colour = np.array(list(COLOURS.values())[number // 10], np.float32) / 255
        return self.images[index] * colour[:, None, None], self.captions[number], number
