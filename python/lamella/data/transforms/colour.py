# SPDX-License-Identifier: MIT
"""What values pixels have: conversion, scaling, colour, erasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import _core
from ...tensor import Tensor
from ..image_folder import _pillow, pixels_of
from .base import Transform, channels_of, is_pil, probability, size_of, span, to_pil, to_tensor
from .geometry import Rng

GRAY = np.array([0.2989, 0.587, 0.114], np.float32).reshape(3, 1, 1)  # luma of ITU-R BT.601


def _pixels(op: str, image: Any) -> np.ndarray:
    """(C, H, W) of a Pillow image, or of an array (H, W, C) or (H, W)."""
    if is_pil(image):
        return pixels_of(image)
    if isinstance(image, np.ndarray):
        if image.ndim not in (2, 3):
            raise ValueError(f"[{op}] array must be (H, W) or (H, W, C), got {image.shape}")
        return np.ascontiguousarray(image[None] if image.ndim == 2 else image.transpose(2, 0, 1))
    raise TypeError(f"[{op}] input must be a Pillow image, an array or a Tensor, got {type(image).__name__}")


class ToImage(Transform):
    """The Tensor (C, H, W) of a Pillow image or an array (H, W, C), values as they are; Tensors pass."""

    def transform(self, image: Any) -> Any:
        return image if isinstance(image, Tensor) else to_tensor(_pixels(type(self).__name__, image))

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        return x


class PILToTensor(ToImage):
    """ToImage under its older name."""


class ToDtype(Transform):
    """As `dtype`; with scale, values keep their meaning: [0, 255] of uint8 is [0, 1] of floats.

    >>> ToDtype(lamella.float32, scale=True)(lamella.full((1, 1, 1), 51, dtype=lamella.uint8)).item()
    0.20000000298023224
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        self.dtype, self.scale = dtype, scale

    def transform(self, image: Any) -> Any:
        self.check(image)
        x = ToImage().transform(image)
        if not self.scale or x.dtype is self.dtype or x.dtype.is_floating_point == self.dtype.is_floating_point:
            if self.scale and x.dtype is not self.dtype and not x.dtype.is_floating_point:
                raise TypeError(f"[ToDtype] dtypes must not both be integers to be scaled, got {x.dtype} and {self.dtype}")
            return x.to(self.dtype)
        if self.dtype.is_floating_point:
            most = np.float32(np.iinfo(x.numpy().dtype).max)
            return to_tensor(np.divide(x.numpy(), most, dtype=np.float32)).to(self.dtype)
        most = float(np.iinfo(_core_name(self.dtype)).max)
        # (most + 1 - eps): every integer has an equal share of [0, 1]
        return to_tensor(np.clip(x.numpy() * (most + 1 - 1e-3), 0, most)).to(self.dtype)

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        return self.transform(to_tensor(x)).numpy()


def _core_name(dtype: Any) -> str:
    return str(dtype).rsplit(".", 1)[-1]


class ConvertImageDtype(ToDtype):
    """ToDtype with scaling."""

    def __init__(self, dtype: Any = _core.float32) -> None:
        super().__init__(dtype, scale=True)


class ToTensor(Transform):
    """The float32 Tensor (C, H, W) of a Pillow image or an array (H, W, C); uint8 is scaled to [0, 1], Tensors too.

    >>> import numpy as np
    >>> ToTensor()(np.full((2, 3, 1), 255, np.uint8)).shape
    (1, 2, 3)
    """

    def transform(self, image: Any) -> Any:
        x = image.detach().numpy() if isinstance(image, Tensor) else _pixels("ToTensor", image)
        return to_tensor(np.divide(x, 255, dtype=np.float32) if x.dtype == np.uint8 else x)

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        return self.transform(to_tensor(x)).numpy()


class ToPILImage(Transform):
    """The Pillow image of a Tensor (C, H, W), uint8 or floating in [0, 1], with 1, 3 or 4 channels."""

    def transform(self, image: Any) -> Any:
        if is_pil(image):
            return image
        x = image.detach().numpy() if isinstance(image, Tensor) else _pixels("ToPILImage", image)
        return to_pil(np.clip(np.rint(x * 255), 0, 255).astype(np.uint8) if x.dtype.kind == "f" else x)


class Normalize(Transform):
    """(x - mean) / std of a floating Tensor, one value per channel or one for all.

    >>> Normalize([0.5], [0.5])(lamella.ones(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """

    def __init__(self, mean: Sequence[float] | float, std: Sequence[float] | float, inplace: bool = False) -> None:
        self.mean, self.std = (np.atleast_1d(np.asarray(v, np.float32)) for v in (mean, std))
        self.inplace = inplace
        if (self.std <= 0).any() or self.mean.ndim > 1 or self.std.ndim > 1:
            raise ValueError(f"[Normalize] std must be positive numbers, got {std}")

    def check(self, image: Any) -> None:
        if is_pil(image):
            raise TypeError("[Normalize] input must be a Tensor, got a Pillow image: put ToTensor before it")
        super().check(image)
        if not image.dtype.is_floating_point:
            raise TypeError(f"[Normalize] input must be floating, got {image.dtype}: put ToTensor before it")

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        for name, value in (("mean", self.mean), ("std", self.std)):
            if len(value) not in (1, x.shape[-3]):
                raise ValueError(
                    f"[Normalize] {name} must have one value or one per channel ({x.shape[-3]}), got {len(value)}"
                )
        mean, std = (v.astype(x.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        y = np.subtract(x, mean, out=x if self.inplace else None)
        y /= std
        return y

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        return self.on_array(x, ())


def grayscale(x: np.ndarray) -> np.ndarray:
    """(..., 1, H, W) of (..., 3, H, W); (..., 1, H, W) passes."""
    if x.shape[-3] == 1:
        return x
    if x.shape[-3] != 3:
        raise ValueError(f"[Grayscale] image must have 1 or 3 channels, got {x.shape[-3]}")
    return (x * GRAY).sum(-3, keepdims=True).astype(x.dtype)


class Grayscale(Transform):
    """Luma (0.2989 R + 0.587 G + 0.114 B), as one channel or three equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(f"[Grayscale] num_output_channels must be 1 or 3, got {num_output_channels}")
        self.num_output_channels = num_output_channels

    def on_pil(self, image: Any, params: Any) -> Any:
        gray = image.convert("L")
        return gray if self.num_output_channels == 1 else gray.convert("RGB")

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        return np.repeat(grayscale(x), self.num_output_channels, -3)


class RandomGrayscale(Transform):
    """Grayscale with chance p; the number of channels stays."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = probability("RandomGrayscale", p)

    def params(self, rng: Rng, image: Any) -> Any:
        return channels_of(image) if rng().random() < self.p else None

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        return np.repeat(grayscale(x), params, -3)


def _most(x: np.ndarray) -> float:
    return 1.0 if x.dtype.kind == "f" else 255.0


def blend(x: np.ndarray, y: np.ndarray | float, ratio: float) -> np.ndarray:
    """ratio x + (1 - ratio) y, clipped to the range of x's dtype."""
    made = x * np.float32(ratio) + np.float32(1 - ratio) * y
    return np.clip(made, 0, _most(x)).astype(x.dtype)


def shift_hue(x: np.ndarray, share: float) -> np.ndarray:
    """Hue moved by `share` of the circle: to HSV and back (Smith 1978), on (..., 3, H, W)."""
    scaled = x.astype(np.float32) / np.float32(_most(x))
    high, low = scaled.max(-3), scaled.min(-3)
    chroma = high - low
    r, g, b = (np.take(scaled, i, -3) for i in range(3))
    safe = np.where(chroma == 0, 1, chroma)
    hue = np.where(high == r, (g - b) / safe % 6, np.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4))
    hue = (hue + 6 * np.float32(share)) % 6
    k = (np.array([5, 3, 1], np.float32).reshape(3, 1, 1) + np.expand_dims(hue, -3)) % 6  # per channel, 6 - distance
    weight = np.clip(np.minimum(k, 4 - k), 0, 1)
    made = np.expand_dims(high, -3) - np.expand_dims(chroma, -3) * weight
    if x.dtype.kind == "f":
        return made.astype(x.dtype)
    return np.rint(made * 255).astype(x.dtype)


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    brightness, contrast, saturation: factors from [max(0, 1 - v), 1 + v], or (least, greatest); hue: share of the
    colour circle from [-v, v] within [-0.5, 0.5], or (least, greatest).
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        self.brightness = self._range("brightness", brightness, 1, 0, math.inf)
        self.contrast = self._range("contrast", contrast, 1, 0, math.inf)
        self.saturation = self._range("saturation", saturation, 1, 0, math.inf)
        self.hue = self._range("hue", hue, 0, -0.5, 0.5)

    def _range(self, name: str, value: Any, middle: float, low: float, high: float) -> tuple[float, float] | None:
        if isinstance(value, int | float):
            if value < 0:
                raise ValueError(f"[ColorJitter] {name} must not be negative where it is one number, got {value}")
            value = max(low, middle - value) if name != "hue" else -value, middle + value
        made = span("ColorJitter", name, value, low)
        if made[1] > high:
            raise ValueError(f"[ColorJitter] {name} must be within [{low:g}, {high:g}], got {value}")
        return None if made == (middle, middle) else made

    def params(self, rng: Rng, image: Any) -> Any:
        names = [n for n in ("brightness", "contrast", "saturation", "hue") if getattr(self, n) is not None]
        if not names:
            return None
        random = rng()
        return [(names[i], random.uniform(*getattr(self, names[i]))) for i in random.permutation(len(names))]

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        if x.shape[-3] not in (1, 3):
            raise ValueError(f"[ColorJitter] image must have 1 or 3 channels, got {x.shape[-3]}")
        for name, value in params:
            if name == "brightness":
                x = blend(x, 0, value)
            elif name == "contrast":
                x = blend(x, grayscale(x).mean((-3, -2, -1), keepdims=True, dtype=np.float32), value)
            elif x.shape[-3] == 3:
                x = blend(x, grayscale(x), value) if name == "saturation" else shift_hue(x, value)
        return x

    def on_pil(self, image: Any, params: Any) -> Any:
        from PIL import ImageEnhance

        kinds = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}
        for name, value in params:
            if name in kinds:
                image = kinds[name](image).enhance(value)
            elif image.mode == "RGB":
                h, s, v = image.convert("HSV").split()
                turned = h.point([(i + round(value * 255)) % 256 for i in range(256)])
                image = _pillow().merge("HSV", (turned, s, v)).convert("RGB")
        return image


class RandomErasing(Transform):
    """A random rectangle is overwritten, with chance p (Zhong et al. 2017).

    scale: its share of the area; ratio: height over width; value: a number, one per channel, or "random" for normal noise.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0.0,
        inplace: bool = False,
    ) -> None:
        op = "RandomErasing"
        self.p, self.scale, self.ratio = probability(op, p), span(op, "scale", scale, 0), span(op, "ratio", ratio, 1e-9)
        if self.scale[1] > 1:
            raise ValueError(f"[{op}] scale must be shares in [0, 1], got {scale}")
        self.value, self.inplace = value, inplace

    def params(self, rng: Rng, image: Any) -> Any:
        random = rng()
        if random.random() >= self.p:
            return None
        rows, cols = size_of(image)
        for _ in range(10):
            area = rows * cols * random.uniform(*self.scale)
            ratio = math.exp(random.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if h < rows and w < cols:
                top, left = int(random.integers(rows - h + 1)), int(random.integers(cols - w + 1))
                channels = channels_of(image)
                if isinstance(self.value, str):
                    return top, left, random.standard_normal((channels, h, w), np.float32)
                value = np.asarray(self.value, np.float32).reshape(-1, 1, 1)
                if len(value) not in (1, channels):
                    raise ValueError(
                        f"[RandomErasing] value must be a number or one per channel ({channels}), got {len(value)}"
                    )
                return top, left, np.broadcast_to(value, (channels, h, w))
        return None

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        top, left, value = params
        out = x if self.inplace else x.copy()
        out[..., top : top + value.shape[1], left : left + value.shape[2]] = value
        return out
