# SPDX-License-Identifier: MIT
"""What dtypes hold, and which one a mixture of them gives."""

from __future__ import annotations

from typing import Any

from . import _core

__all__ = ["can_cast", "finfo", "iinfo", "promote_types", "result_type"]

_core.dtype.__doc__ = """A kind of element: float64 (double), float32 (float), float16 (half), bfloat16, int64 (long), int32 (int), int16
(short), int8, uint8, bool. Attributes: name, itemsize (bytes), is_floating_point, is_signed, is_complex (False)."""

# bits of the mantissa, greatest exponent, least exponent of a normal number
_FORMATS = {"float64": (52, 1023, -1022), "float32": (23, 127, -126), "float16": (10, 15, -14), "bfloat16": (7, 127, -126)}


def _default() -> Any:
    from .ops.creation import get_default_dtype

    return get_default_dtype()


class finfo:
    """Limits of a floating dtype (the default one where none is given): bits, eps (from 1 to the next number), max, min,
    tiny and smallest_normal, resolution (10^-digits), dtype (its name).

    >>> lamella.finfo(lamella.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, dtype: Any = None) -> None:
        dtype = _default() if dtype is None else dtype
        if getattr(dtype, "name", None) not in _FORMATS:
            raise TypeError(f"[finfo] dtype must be floating, got {dtype!r}")
        mantissa, high, low = _FORMATS[dtype.name]
        self.dtype, self.bits = dtype.name, 8 * dtype.itemsize
        self.eps = 2.0**-mantissa
        self.max = (2.0 - self.eps) * 2.0**high
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**low
        self.resolution = float(f"1e-{int(mantissa * 0.30102999566398120)}")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype: bits, max, min, dtype (its name).

    >>> lamella.iinfo(lamella.int8).min
    -128
    """

    def __init__(self, dtype: Any) -> None:
        if not isinstance(dtype, _core.dtype) or dtype.is_floating_point or dtype is _core.bool:
            raise TypeError(f"[iinfo] dtype must be an integer dtype, got {dtype!r}")
        self.dtype, self.bits = dtype.name, 8 * dtype.itemsize
        self.min = -(2 ** (self.bits - 1)) if dtype.is_signed else 0
        self.max = 2 ** (self.bits - (1 if dtype.is_signed else 0)) - 1

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest dtype that holds both: bool < uint8, int8 < ... < int64 < float16, bfloat16 < float32 < float64.

    >>> lamella.promote_types(lamella.int32, lamella.float16)
    lamella.float16
    """
    return _core.promote(type1, type2)


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype of an operation on both, Tensors or numbers: numbers and 0-d Tensors count only where their kind (bool <
    integer < float) is higher."""
    return _core.result_type(tensor1, tensor2)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether the kind of `from_` (bool < integer < float) is no higher than that of `to`.

    >>> lamella.can_cast(lamella.float64, lamella.int32)
    False
    """
    kind = lambda t: 2 if t.is_floating_point else 0 if t is _core.bool else 1  # noqa: E731
    return kind(from_) <= kind(to)
