# SPDX-License-Identifier: MIT
"""Padding layers: `functional.pad` over the last one, two or three dimensions."""

from __future__ import annotations

from . import functional as F
from .module import Module

__all__ = [f"{kind}Pad{d}d" for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero") for d in (1, 2, 3)]


class _Pad(Module):
    _dims, _mode = 0, "constant"

    def __init__(self, padding):
        self.padding = (padding,) * (2 * self._dims) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self._dims:
            raise ValueError(f"[{type(self).__name__}] padding must be a number or {2 * self._dims} numbers, got {padding}")

    def forward(self, input):
        if input.ndim not in (self._dims + 1, self._dims + 2):
            raise ValueError(
                f"[{type(self).__name__}] input must have {self._dims + 1} or {self._dims + 2} dimensions, "
                f"got {tuple(input.shape)}"
            )
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self):
        return f"{self.padding}"


class _Constant(_Pad):
    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class _Zero(_Constant):
    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


def _layer(base, kind, dims, mode, doc):
    where = ("(..., L)", "(..., H, W)", "(..., D, H, W)")[dims - 1]
    doc = f"{where} with {doc}; padding: a number, or both sides of each dimension, the last first."
    return type(f"{kind}Pad{dims}d", (base,), {"_dims": dims, "_mode": mode, "__doc__": doc, "__module__": __name__})


ZeroPad1d, ZeroPad2d, ZeroPad3d = (_layer(_Zero, "Zero", d, "constant", "zeros around") for d in (1, 2, 3))
ConstantPad1d, ConstantPad2d, ConstantPad3d = (
    _layer(_Constant, "Constant", d, "constant", "`value` around") for d in (1, 2, 3)
)
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = (
    _layer(_Pad, "Reflection", d, "reflect", "its mirror image around, the edge not repeated") for d in (1, 2, 3)
)
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = (
    _layer(_Pad, "Replication", d, "replicate", "its edge repeated around") for d in (1, 2, 3)
)
CircularPad1d, CircularPad2d, CircularPad3d = (
    _layer(_Pad, "Circular", d, "circular", "its other end around") for d in (1, 2, 3)
)
