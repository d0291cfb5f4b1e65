# SPDX-License-Identifier: MIT
"""What every image transform is made of.

An image is a Pillow image or a Tensor (..., C, H, W), uint8 in [0, 255] or floating in [0, 1]. A transform draws its
parameters once per call (`params`) and applies them (`on_pil`, `on_array`): a batch given as one Tensor is changed alike,
as in torchvision; EachImage gives every image of it parameters of its own. Randomness is that of the item which a
DataLoader is making (lamella.data.sample_generator), else that of manual_seed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...tensor import Tensor
from ..image_folder import pixels_of
from ..sample import random_source


class InterpolationMode(enum.Enum):
    """How pixels between pixels are found; transforms take the word, too."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


def mode_of(op: str, interpolation: Any) -> str:
    word = interpolation.value if isinstance(interpolation, InterpolationMode) else interpolation
    if word not in ("nearest", "bilinear", "bicubic"):
        raise ValueError(f"[{op}] interpolation must be 'nearest', 'bilinear' or 'bicubic', got {interpolation!r}")
    return word


def is_pil(x: Any) -> bool:
    return hasattr(x, "getbands") and hasattr(x, "mode")


def size_of(image: Any) -> tuple[int, int]:
    """(rows, cols)"""
    return (image.height, image.width) if is_pil(image) else (image.shape[-2], image.shape[-1])


def channels_of(image: Any) -> int:
    return len(image.getbands()) if is_pil(image) else image.shape[-3]


def to_tensor(array: np.ndarray) -> Tensor:
    from ...ops import from_numpy

    return from_numpy(np.ascontiguousarray(array))


def to_pil(pixels: np.ndarray) -> Any:
    """The Pillow image of uint8 (C, H, W) with 1, 3 or 4 channels."""
    from ..image_folder import _pillow

    shape = pixels.shape
    if pixels.ndim != 3 or shape[0] not in (1, 3, 4) or pixels.dtype != np.uint8:
        raise ValueError(f"[to_pil] pixels must be uint8 (1, 3 or 4, rows, cols), got {pixels.dtype} {shape}")
    return _pillow().fromarray(np.ascontiguousarray(pixels[0] if shape[0] == 1 else pixels.transpose(1, 2, 0)))


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """(rows, cols) of one int or two."""
    made = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    if len(made) == 1:
        made *= 2
    if len(made) != 2 or any(int(v) != v or v < 1 for v in made):
        raise ValueError(f"[{op}] {name} must be one or two positive integers, got {value!r}")
    return int(made[0]), int(made[1])


def probability(op: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"[{op}] p must be in [0, 1], got {p}")
    return p


def span(op: str, name: str, value: Sequence[float], low: float = -np.inf) -> tuple[float, float]:
    """(least, greatest)"""
    if len(value) != 2 or not low <= value[0] <= value[1]:
        raise ValueError(f"[{op}] {name} must be (least, greatest){'' if low == -np.inf else f' from {low:g} on'}, got {value}")
    return float(value[0]), float(value[1])


class Transform:
    """Subclasses define on_array(array, params), and on_pil where Pillow can do it, and params where there are any.

    Given a tuple or list, such as (image, label), or several arguments, it changes the first and keeps the others.
    """

    def __call__(self, *inputs: Any) -> Any:
        x = inputs[0] if len(inputs) == 1 else inputs
        if isinstance(x, tuple | list):
            rest = list(x[1:])
            return type(x)([self.transform(x[0]), *rest])
        return self.transform(x)

    def transform(self, image: Any) -> Any:
        self.check(image)
        params = self.params(random_source, image)
        return image if params is None else self.apply(image, params)

    def check(self, image: Any) -> None:
        if is_pil(image):
            return
        if not isinstance(image, Tensor):
            raise TypeError(
                f"[{type(self).__name__}] input must be a Tensor (..., C, H, W) or a Pillow image, "
                f"got {type(image).__name__}"
            )
        if image.ndim < 3:
            raise ValueError(f"[{type(self).__name__}] input must be (..., C, H, W), got {tuple(image.shape)}")

    def params(self, rng: Callable[[], np.random.Generator], image: Any) -> Any:
        """What is drawn for one call; None where the image stays as it is. rng() gives the random numbers."""
        return ()

    def apply(self, image: Any, params: Any) -> Any:
        if is_pil(image):
            return self.on_pil(image, params)
        return to_tensor(self.on_array(image.detach().numpy(), params))

    def on_pil(self, image: Any, params: Any) -> Any:
        return to_pil(self.on_array(pixels_of(image), params))

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define on_array")

    def on_batch(self, x: np.ndarray, rng: Callable[[], np.random.Generator]) -> np.ndarray:
        """(N, C, H, W), each image with parameters of its own."""
        made = []
        for image in x:
            params = self.params(rng, image)
            made.append(image if params is None else self.on_array(image, params))
        return np.stack(made)

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({shown})"


class Compose(Transform):
    """The transforms, one after the other.

    >>> Compose([lambda x: x + 1, lambda x: 2 * x])(3)
    8
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        if not transforms:
            raise ValueError("[Compose] transforms must not be empty")
        self.transforms = list(transforms)

    def __call__(self, *inputs: Any) -> Any:
        x = inputs[0] if len(inputs) == 1 else inputs
        for transform in self.transforms:
            x = transform(x)
        return x

    def on_batch(self, x: np.ndarray, rng: Callable[[], np.random.Generator]) -> np.ndarray:
        for transform in self.transforms:
            x = EachImage(transform).on_batch(x, rng)
        return x


class EachImage(Transform):
    """Applies a transform to a batch (N, C, H, W) with parameters of its own for each image; whole-batch code where
    there is some (flips, crops, erasing, everything without parameters).

    For data in memory: DataLoader(..., batch_transform=EachImage(Compose([RandomCrop(32, padding=4), ...]))).
    """

    def __init__(self, transform: Callable[..., Any]) -> None:
        self.inner = transform

    def transform(self, image: Any) -> Any:
        self.check(image)
        if is_pil(image) or image.ndim != 4:
            raise ValueError("[EachImage] input must be a batch (N, C, H, W) in one Tensor")
        return to_tensor(self.on_batch(image.detach().numpy(), random_source))

    def on_batch(self, x: np.ndarray, rng: Callable[[], np.random.Generator]) -> np.ndarray:
        if isinstance(self.inner, Transform):
            return self.inner.on_batch(x, rng) if len(x) else x
        return np.stack([self.inner(to_tensor(image)).numpy() for image in x])


class Lambda(Transform):
    """A function as a transform."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"[Lambda] lambd must be callable, got {type(lambd).__name__}")
        self.lambd = lambd

    def transform(self, image: Any) -> Any:
        return self.lambd(image)

    def on_batch(self, x: np.ndarray, rng: Callable[[], np.random.Generator]) -> np.ndarray:
        return np.stack([self.lambd(to_tensor(image)).numpy() for image in x])


class _Some(Transform):
    """Some of several transforms."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        if not transforms:
            raise ValueError(f"[{type(self).__name__}] transforms must not be empty")
        self.transforms = list(transforms)

    def chosen(self, rng: np.random.Generator) -> Sequence[int]:
        return range(len(self.transforms))

    def transform(self, image: Any) -> Any:
        for i in self.chosen(random_source()):
            image = self.transforms[i](image)
        return image

    def on_batch(self, x: np.ndarray, rng: Callable[[], np.random.Generator]) -> np.ndarray:
        return np.stack([self.transform(to_tensor(image)).numpy() for image in x])


class RandomApply(_Some):
    """All of the transforms with chance p, or none."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: float = 0.5) -> None:
        super().__init__(transforms)
        self.p = probability("RandomApply", p)

    def chosen(self, rng: np.random.Generator) -> Sequence[int]:
        return range(len(self.transforms) if rng.random() < self.p else 0)


class RandomChoice(_Some):
    """One of the transforms; p: their chances (any scale), default equal."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        weights = np.ones(len(self.transforms)) if p is None else np.asarray(p, np.float64)
        if len(weights) != len(self.transforms) or (weights < 0).any() or not weights.sum() > 0:
            raise ValueError(f"[RandomChoice] p must be {len(self.transforms)} weights, none negative, got {p}")
        self.p = weights / weights.sum()

    def chosen(self, rng: np.random.Generator) -> Sequence[int]:
        return [min(int(np.searchsorted(np.cumsum(self.p), rng.random(), side="right")), len(self.p) - 1)]


class RandomOrder(_Some):
    """All of the transforms in a random order."""

    def chosen(self, rng: np.random.Generator) -> Sequence[int]:
        return rng.permutation(len(self.transforms)).tolist()
