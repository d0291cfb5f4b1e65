# SPDX-License-Identifier: MIT
"""Checks for users' own ops and models: `gradcheck` and `gradgradcheck` (lamella.autograd's), and tensors against tensors.

Names, arguments and defaults of assert_close are those of torch.testing's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .autograd.gradcheck import GradcheckError, _values, gradcheck, gradgradcheck
from .ops.creation import tensor
from .tensor import Tensor

__all__ = ["GradcheckError", "assert_close", "gradcheck", "gradgradcheck"]


# torch.testing's defaults: rtol, atol
_TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: str | None = None,
) -> None:
    """AssertionError, saying where and by how much, unless |actual - expected| <= atol + rtol |expected| everywhere.

    Tensors, NumPy arrays, numbers, and sequences or dicts of these. The default tolerances follow the dtype, the wider
    where the two differ; integers and booleans must be equal. Give both `rtol` and `atol`, or neither.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("[assert_close] rtol and atol must be given together")
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or actual.keys() != expected.keys():
            raise AssertionError(msg or f"keys differ: {sorted(map(str, actual))} and {sorted(map(str, expected))}")
        pairs = [(actual[k], v, f"[{k!r}]") for k, v in expected.items()]
    elif isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple) or len(actual) != len(expected):
            raise AssertionError(msg or f"{len(expected)} items expected, got {actual!r}")
        pairs = [(a, e, f"[{k}]") for k, (a, e) in enumerate(zip(actual, expected, strict=True))]
    else:
        _assert_close(actual, expected, rtol, atol, equal_nan, check_dtype, msg)
        return
    for a, e, where in pairs:
        try:
            assert_close(a, e, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype, msg=msg)
        except AssertionError as error:
            raise AssertionError(msg or f"item {where}: {error}") from None


def _assert_close(
    actual: Any,
    expected: Any,
    rtol: float | None,
    atol: float | None,
    equal_nan: bool,
    check_dtype: bool,
    msg: str | None,
) -> None:
    a, e = (x.detach() if isinstance(x, Tensor) else tensor(x) for x in (actual, expected))
    if tuple(a.shape) != tuple(e.shape):
        raise AssertionError(msg or f"shapes differ: {tuple(a.shape)} and {tuple(e.shape)}")
    names = [str(x.dtype).rsplit(".", 1)[-1] for x in (a, e)]
    if check_dtype and isinstance(actual, Tensor) and isinstance(expected, Tensor) and names[0] != names[1]:
        raise AssertionError(msg or f"dtypes differ: {names[0]} and {names[1]}")
    if rtol is None or atol is None:
        rtol, atol = (max(_TOLERANCES.get(n, (0.0, 0.0))[k] for n in names) for k in (0, 1))
    x, y = (_values(t) for t in (a, e))
    with np.errstate(invalid="ignore"):
        error = np.abs(x - y) if x.dtype.kind == "f" or y.dtype.kind == "f" else (x != y).astype(np.float64)
        close = (x == y) | (error <= atol + rtol * np.abs(y)) | (equal_nan & np.isnan(x) & np.isnan(y))
    if not close.all():
        worst = np.unravel_index(int(np.argmax(np.where(close, -1, np.nan_to_num(error, nan=np.inf)))), y.shape)
        raise AssertionError(
            msg
            or f"{int((~close).sum())} of {y.size} values differ by more than {atol:g} + {rtol:g} |expected|; "
            f"the worst at {tuple(map(int, worst))}: {x[worst]!r}, expected {y[worst]!r}"
        )
