# SPDX-License-Identifier: MIT
"""Rotation and other affine maps of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import InterpolationMode, Transform, channels_of, mode_of, size_of, span
from .geometry import Rng, _resample


def inverse_matrix(
    center: tuple[float, float], angle: float, translate: Sequence[float], scale: float, shear: Sequence[float]
) -> np.ndarray:
    """(2, 3): from a place (x, y) in the result to the one in the source, of the map that scales, shears, turns by
    `angle` (clockwise) around `center` and then moves by `translate`. Angles in degrees."""
    turn, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    a, c = math.cos(turn - sy) / math.cos(sy), math.sin(turn - sy) / math.cos(sy)
    forward = scale * np.array(
        [[a, -a * math.tan(sx) - math.sin(turn)], [c, -c * math.tan(sx) + math.cos(turn)]]
    )
    back = np.linalg.inv(forward)
    at = np.array(center, np.float64)
    return np.column_stack([back, at - back @ (at + np.asarray(translate, np.float64))])


def warp_array(x: np.ndarray, back: np.ndarray, size: tuple[int, int], mode: str, fill: Any) -> np.ndarray:
    """(..., C, H, W) seen through `back`, the (2, 3) of inverse_matrix; outside is `fill` (a number, or one per channel)."""
    h, w = x.shape[-2:]
    cols, rows = np.arange(size[1]) + 0.5, (np.arange(size[0]) + 0.5)[:, None]
    sx, sy = (back[i, 0] * cols + back[i, 1] * rows + back[i, 2] for i in (0, 1))
    outside = np.asarray(fill, x.dtype if x.dtype.kind == "f" else np.float64).reshape(-1, 1, 1)
    inside = (sx >= 0) & (sx < w) & (sy >= 0) & (sy < h)
    if mode == "nearest":
        i, j = np.clip(sy, 0, h - 1).astype(np.int64), np.clip(sx, 0, w - 1).astype(np.int64)
        return np.where(inside, x[..., i, j], outside.astype(x.dtype))
    sx, sy = sx - 0.5, sy - 0.5
    x0, y0 = np.floor(sx).astype(np.int64), np.floor(sy).astype(np.int64)
    fx, fy = (sx - x0).astype(np.float32), (sy - y0).astype(np.float32)

    def at(i: np.ndarray, j: np.ndarray) -> np.ndarray:  # the edge goes on for half a pixel, as in Pillow
        return x[..., np.clip(i, 0, h - 1), np.clip(j, 0, w - 1)].astype(np.float32)

    y = (1 - fy) * ((1 - fx) * at(y0, x0) + fx * at(y0, x0 + 1)) + fy * ((1 - fx) * at(y0 + 1, x0) + fx * at(y0 + 1, x0 + 1))
    y = np.where(inside, y, outside.astype(np.float32))
    return np.rint(y).astype(x.dtype) if x.dtype.kind != "f" else y.astype(x.dtype)


class _Warp(Transform):
    """An affine map; params gives the inverse matrix and the size of the result."""

    interpolation: str
    fill: Any

    def on_pil(self, image: Any, params: Any) -> Any:
        from ..image_folder import _pillow

        back, (h, w) = params
        n = channels_of(image)
        fill = np.resize(np.asarray(self.fill), n).astype(int).tolist()
        data = tuple(back.reshape(-1).tolist())
        return image.transform(
            (w, h), _pillow().Transform.AFFINE, data, _resample(self.interpolation), fillcolor=fill[0] if n == 1 else tuple(fill)
        )

    def on_array(self, x: np.ndarray, params: Any) -> np.ndarray:
        fills = np.asarray(self.fill)
        if fills.size not in (1, x.shape[-3]):
            raise ValueError(
                f"[{type(self).__name__}] fill must be a number or one per channel ({x.shape[-3]}), got {self.fill}"
            )
        return warp_array(x, params[0], params[1], self.interpolation, self.fill)

    def _angles(self, op: str, name: str, value: Any) -> tuple[float, float]:
        if isinstance(value, int | float):
            if value < 0:
                raise ValueError(f"[{op}] {name} must not be negative where it is one number, got {value}")
            return -float(value), float(value)
        return span(op, name, value)

    def _mode(self, interpolation: Any) -> str:
        op = type(self).__name__
        mode = mode_of(op, interpolation)
        if mode == "bicubic":
            raise ValueError(f"[{op}] interpolation must be 'nearest' or 'bilinear', got 'bicubic'")
        return mode


class RandomRotation(_Warp):
    """Turned by an angle from `degrees`, (least, greatest) or one number for both sides, counter-clockwise, around
    `center` (x, y; default the middle). expand: the result holds all of the turned image."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        self.degrees = self._angles("RandomRotation", "degrees", degrees)
        self.interpolation, self.expand, self.center, self.fill = self._mode(interpolation), expand, center, fill

    def params(self, rng: Rng, image: Any) -> Any:
        h, w = size_of(image)
        angle = rng().uniform(*self.degrees)
        center = (w / 2, h / 2) if self.center is None else (self.center[0], self.center[1])
        back = inverse_matrix(center, -angle, (0, 0), 1, (0, 0))
        if not self.expand:
            return back, (h, w)
        corners = np.array([[0, w, 0, w], [0, 0, h, h]]) - back[:, 2:]
        x, y = np.linalg.inv(back[:, :2]) @ corners
        nw, nh = (math.ceil(round(v.max(), 6)) - math.floor(round(v.min(), 6)) for v in (x, y))
        moved = back.copy()
        moved[:, 2] += back[:, :2] @ [(x.min() + x.max() - nw) / 2, (y.min() + y.max() - nh) / 2]
        return moved, (nh, nw)

    def on_batch(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        if self.expand:
            raise ValueError("[RandomRotation] expand must be False for the images of a batch: sizes would differ")
        return super().on_batch(x, rng)


class RandomAffine(_Warp):
    """Turned (clockwise), moved, scaled and sheared at random around `center`.

    translate: greatest shares of width and height; scale: (least, greatest); shear: degrees along x, one number for
    both sides, (least, greatest), or four numbers for x and y.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        op = "RandomAffine"
        self.degrees = self._angles(op, "degrees", degrees)
        if translate is not None and (len(translate) != 2 or not all(0 <= t <= 1 for t in translate)):
            raise ValueError(f"[{op}] translate must be two shares in [0, 1], got {translate}")
        self.translate = translate
        self.scale = None if scale is None else span(op, "scale", scale, 1e-9)
        four = isinstance(shear, Sequence) and len(shear) == 4
        self.shear_x = (0.0, 0.0) if shear is None else self._angles(op, "shear", shear[:2] if four else shear)  # type: ignore[index]
        self.shear_y = span(op, "shear", shear[2:]) if four else (0.0, 0.0)  # type: ignore[index]
        self.interpolation, self.fill, self.center = self._mode(interpolation), fill, center

    def params(self, rng: Rng, image: Any) -> Any:
        h, w = size_of(image)
        random = rng()
        angle, move = random.uniform(*self.degrees), (0, 0)
        if self.translate is not None:
            most = self.translate[0] * w, self.translate[1] * h
            move = round(random.uniform(-most[0], most[0])), round(random.uniform(-most[1], most[1]))
        scale = 1.0 if self.scale is None else random.uniform(*self.scale)
        shear = random.uniform(*self.shear_x), random.uniform(*self.shear_y)
        center = (w / 2, h / 2) if self.center is None else (self.center[0], self.center[1])
        return inverse_matrix(center, angle, move, scale, shear), (h, w)
