# SPDX-License-Identifier: MIT
"""Interpolation of (N, C, ...): a linear map along each spatial dimension, so its adjoint is its gradient of any order."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from .pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

__all__ = ["interpolate"]

_KINDS = {  # mode: (the map along a dimension, how many of them; 0: any)
    "nearest": ("nearest", 0),
    "nearest-exact": ("nearest-exact", 0),
    "linear": ("linear", 1),
    "bilinear": ("linear", 2),
    "trilinear": ("linear", 3),
    "bicubic": ("cubic", 2),
}
_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


def _resize(x, size, options):
    return record(_core.resize(x, size, *options), resize_vjp, (x,), (x.shape, options))


def resize_vjp(node, dy):
    return (_resize_adjoint(dy, *node.ctx),)


def _resize_adjoint(dy, shape, options):
    return record(_core.resize_grad(dy, shape, *options), adjoint_vjp, (dy,), (dy.shape[2:], options))


def adjoint_vjp(node, ddx):
    return (_resize(ddx, *node.ctx),)


def interpolate(
    input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False
):
    """(N, C, ...) with one to three spatial dimensions resampled to `size`, or to floor(scale_factor * its size).

    mode: "nearest" (floor(o step)), "nearest-exact" (floor((o + 0.5) step)), "linear", "bilinear", "trilinear", "bicubic"
    (Keys 1981, slope -0.75) or "area" (the mean of what falls on a pixel). Output o lies at (o + 0.5) step - 0.5, where step is
    1 / scale_factor, or the ratio of the sizes where size is given or recompute_scale_factor says so; with align_corners at
    o (n - 1) / (m - 1). antialias (bilinear, bicubic): the filter is as wide as the step where it makes images smaller.
    ValueError for what does not fit together.

    >>> F.interpolate(lamella.tensor([[[1.0, 3.0]]]), scale_factor=2, mode="linear").tolist()
    [[[1.0, 1.5, 2.5, 3.0]]]
    """
    op, dims = "[interpolate]", input.ndim - 2
    if not 1 <= dims <= 3:
        raise ValueError(f"{op} input must have 3 to 5 dimensions, got {tuple(input.shape)}")
    if mode != "area" and mode not in _KINDS:
        raise ValueError(f"{op} mode must be one of {', '.join(_KINDS)} or area, got {mode!r}")
    kind, wanted = _KINDS.get(mode, ("area", 0))
    if wanted not in (0, dims):
        raise ValueError(f"{op} input must have {wanted + 2} dimensions for mode {mode!r}, got {tuple(input.shape)}")
    if align_corners is not None and kind not in ("linear", "cubic"):
        raise ValueError(f"{op} align_corners must be None for mode {mode!r}, got {align_corners}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"{op} antialias must be False for mode {mode!r}, got {antialias}")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op} one of size and scale_factor must be given, got {size} and {scale_factor}")
    scales = ()
    if size is not None:
        if recompute_scale_factor:
            raise ValueError(f"{op} recompute_scale_factor must be None or False where size is given")
        size = _each(op, "size", size, dims)
    else:
        scales = tuple(float(s) for s in _each(op, "scale_factor", scale_factor, dims))
        size = tuple(int(n * s) for n, s in zip(input.shape[2:], scales, strict=True))
    if mode == "area":
        return _AREA[dims](input, size)
    if recompute_scale_factor or (scales and align_corners):
        scales = ()
    return _resize(input, size, (kind, bool(align_corners), list(scales), bool(antialias)))


def _each(op, name, value, dims):
    value = (value,) * dims if isinstance(value, (int, float)) else tuple(value)
    if len(value) != dims:
        raise ValueError(f"{op} {name} must be a number or {dims} numbers, got {value}")
    return value
