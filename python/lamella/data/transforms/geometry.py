# SPDX-License-Identifier: MIT
"""Where pixels go: sizes, crops, flips."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..sample import random_source
from .base import InterpolationMode, Transform, is_pil, mode_of, pair, probability, size_of, span, to_tensor

_PAD_MODES = {"constant": "constant", "edge": "edge", "reflect": "reflect", "symmetric": "symmetric"}
Rng = Callable[[], np.random.Generator]


def _resample(mode: str) -> Any:
    from ..image_folder import _pillow

    return getattr(_pillow().Resampling, mode.upper())


def resize_array(x: np.ndarray, size: tuple[int, int], mode: str, antialias: bool = True) -> np.ndarray:
    """(..., C, H, W) to `size`; integers are rounded and clipped."""
    from ...ops import interpolate

    if x.shape[-2:] == size or 0 in x.shape:
        return x if 0 not in x.shape else np.zeros((*x.shape[:-2], *size), x.dtype)
    if mode == "nearest":
        rows, cols = ((np.arange(n) + 0.5) * old / n for n, old in zip(size, x.shape[-2:], strict=True))
        return x[..., rows.astype(np.int64)[:, None], cols.astype(np.int64)]
    flat = x.reshape(-1, *x.shape[-3:])
    flat = flat if flat.dtype.kind == "f" else flat.astype(np.float32)
    y = interpolate(to_tensor(flat), size, mode=mode, antialias=antialias).numpy().reshape(*x.shape[:-2], *size)
    if x.dtype.kind == "f":
        return y
    limits = np.iinfo(x.dtype)
    return np.clip(np.rint(y), limits.min, limits.max).astype(x.dtype)


class Resize(Transform):
    """To `size`: (rows, cols), or one int for the shorter side (max_size: at most that for the longer). Tensors are
    resized with anti-aliasing as Pillow's images are.

    >>> Resize(8)(lamella.zeros(3, 16, 32)).shape
    (3, 8, 16)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool = True,
    ) -> None:
        self._one = isinstance(size, int) or len(size) == 1
        self.size, self.interpolation = pair("Resize", "size", size), mode_of("Resize", interpolation)
        self.max_size, self.antialias = max_size, antialias
        if max_size is not None and (not self._one or max_size <= self.size[0]):
            raise ValueError(f"[Resize] max_size must be above the one size given, got {max_size} and {size}")

    def target(self, h: int, w: int) -> tuple[int, int]:
        if not self._one:
            return self.size
        short, long = self.size[0], int(self.size[0] * max(h, w) / min(h, w))
        if self.max_size is not None and long > self.max_size:
            short, long = int(self.max_size * short / long), self.max_size
        return (short, long) if h <= w else (long, short)

    def on_pil(self, image: Any, params: Any) -> Any:
        h, w = self.target(*size_of(image))
        return image if (w, h) == image.size else image.resize((w, h), _resample(self.interpolation))

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        return resize_array(x, self.target(*x.shape[-2:]), self.interpolation, self.antialias)

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        return self.on_array(x, ())


class Pad(Transform):
    """Adds a border: padding all around, (left and right, top and bottom), or (left, top, right, bottom)."""

    def __init__(self, padding: int | Sequence[int], fill: float = 0, padding_mode: str = "constant") -> None:
        sides = [padding] * 4 if isinstance(padding, int) else list(padding)
        sides = sides * 4 if len(sides) == 1 else sides * 2 if len(sides) == 2 else sides
        if len(sides) != 4 or min(sides) < 0:
            raise ValueError(f"[Pad] padding must be 1, 2 or 4 integers, none negative, got {padding}")
        if padding_mode not in _PAD_MODES:
            raise ValueError(f"[Pad] padding_mode must be one of {', '.join(_PAD_MODES)}, got {padding_mode!r}")
        self.padding, self.fill, self.padding_mode = tuple(sides), fill, padding_mode

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        left, top, right, bottom = self.padding
        more = {"constant_values": self.fill} if self.padding_mode == "constant" else {}
        around = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
        return np.pad(x, around, mode=self.padding_mode, **more)  # type: ignore[call-overload]

    def on_pil(self, image: Any, params: Any) -> Any:
        if self.padding_mode != "constant":
            return super().on_pil(image, params)
        from PIL import ImageOps

        fill = self.fill if len(image.getbands()) == 1 else (int(self.fill),) * len(image.getbands())
        return ImageOps.expand(image, self.padding, fill)

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        return self.on_array(x, ())


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """Rows top to top + height, columns left to left + width of an array or a Pillow image."""
    if is_pil(image):
        return image.crop((left, top, left + width, top + height))
    return image[..., top : top + height, left : left + width]


class CenterCrop(Transform):
    """The middle of `size`; smaller images are padded with zeros.

    >>> CenterCrop(1)(lamella.arange(9).reshape(1, 3, 3)).tolist()
    [[[4]]]
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = pair("CenterCrop", "size", size)

    def apply(self, image: Any, params: Any) -> Any:
        (h, w), (ch, cw) = size_of(image), self.size
        if h < ch or w < cw:
            dh, dw = max(ch - h, 0), max(cw - w, 0)
            image = Pad([dw // 2, dh // 2, (dw + 1) // 2, (dh + 1) // 2]).apply(image, ())
            h, w = size_of(image)
        return crop(image, round((h - ch) / 2), round((w - cw) / 2), ch, cw)

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        return self.apply(to_tensor(x), ()).numpy()


class RandomCrop(Transform):
    """A part of `size` from a random place, of the image padded as Pad does it (padding None: not at all).

    pad_if_needed: an image that is too small is padded on both sides; without, it is an error.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = pair("RandomCrop", "size", size)
        self.padding, self.pad_if_needed, self.fill, self.padding_mode = padding, pad_if_needed, fill, padding_mode
        self._pad = None if padding is None else Pad(padding, fill, padding_mode)

    def _padded(self, image: Any) -> Any:
        def padded(pad: Pad, image: Any) -> Any:
            return pad.on_array(image, ()) if isinstance(image, np.ndarray) else pad.apply(image, ())

        if self._pad is not None:
            image = padded(self._pad, image)
        (h, w), (ch, cw) = size_of(image), self.size
        if h < ch or w < cw:
            if not self.pad_if_needed:
                raise ValueError(f"[RandomCrop] image must be at least {self.size}, got {(h, w)}: give pad_if_needed=True")
            more = Pad([max(cw - w, 0), max(ch - h, 0)], self.fill, self.padding_mode)
            image = padded(more, image)
        return image

    def transform(self, image: Any) -> Any:
        self.check(image)
        image = self._padded(image)
        (h, w), (ch, cw) = size_of(image), self.size
        rng = random_source()
        return crop(image, int(rng.integers(h - ch + 1)), int(rng.integers(w - cw + 1)), ch, cw)

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        x = self._padded(x)
        (h, w), (ch, cw) = size_of(x), self.size
        tops, lefts = rng().integers(0, [[h - ch + 1], [w - cw + 1]], (2, len(x)))
        out = np.empty((*x.shape[:2], ch, cw), x.dtype)
        for i, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
            out[i] = x[i, :, top : top + ch, left : left + cw]
        return out


class RandomResizedCrop(Transform):
    """A part of random area (scale, of the whole) and aspect ratio (width over height), resized to `size`: Szegedy et
    al., "Going deeper with convolutions" (2015)."""

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool = True,
    ) -> None:
        self.size = pair("RandomResizedCrop", "size", size)
        self.scale, self.ratio = span("RandomResizedCrop", "scale", scale, 0), span("RandomResizedCrop", "ratio", ratio, 1e-9)
        self.interpolation, self.antialias = mode_of("RandomResizedCrop", interpolation), antialias

    def params(self, rng: Rng, image: Any) -> tuple[int, int, int, int]:
        """(top, left, height, width)"""
        h, w = size_of(image)
        random = rng()
        for _ in range(10):
            area = h * w * random.uniform(*self.scale)
            ratio = math.exp(random.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            cw, ch = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < cw <= w and 0 < ch <= h:
                return int(random.integers(h - ch + 1)), int(random.integers(w - cw + 1)), ch, cw
        cw, ch = w, h  # none fits: the middle, of the nearest ratio
        if w / h < self.ratio[0]:
            ch = round(w / self.ratio[0])
        elif w / h > self.ratio[1]:
            cw = round(h * self.ratio[1])
        return (h - ch) // 2, (w - cw) // 2, ch, cw

    def on_pil(self, image: Any, params: Any) -> Any:
        top, left, h, w = params
        return crop(image, top, left, h, w).resize(self.size[::-1], _resample(self.interpolation))

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        return resize_array(np.ascontiguousarray(crop(x, *params)), self.size, self.interpolation, self.antialias)


class _Flip(Transform):
    _dim, _pil = -1, "FLIP_LEFT_RIGHT"

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(type(self).__name__, p)

    def params(self, rng: Rng, image: Any) -> Any:
        return () if rng().random() < self.p else None

    def on_pil(self, image: Any, params: Any) -> Any:
        from ..image_folder import _pillow

        return image.transpose(getattr(_pillow().Transpose, self._pil))

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        return np.flip(x, self._dim)

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        chosen = rng().random(len(x)) < self.p
        out = x.copy()
        out[chosen] = np.flip(x[chosen], self._dim)
        return out


class RandomHorizontalFlip(_Flip):
    """Mirrored left to right with chance p.

    >>> RandomHorizontalFlip(p=1)(lamella.arange(3).reshape(1, 1, 3)).tolist()
    [[[2, 1, 0]]]
    """


class RandomVerticalFlip(_Flip):
    """Mirrored top to bottom with chance p."""

    _dim, _pil = -2, "FLIP_TOP_BOTTOM"
