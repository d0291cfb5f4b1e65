# SPDX-License-Identifier: MIT
"""NumPy's functions on Tensors: a ufunc that lamella has as an op runs as that op, with its gradient; everything else runs
in NumPy on the Tensor's memory and gives a Tensor (ufuncs) or what NumPy gives (functions)."""

from __future__ import annotations

from typing import Any

from . import _core, ops
from ._numpy import np

# NumPy's names that differ from lamella's.
_NAMES = {
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "absolute": "abs",
    "equal": "eq",
    "greater": "gt",
    "greater_equal": "ge",
    "invert": "bitwise_not",
    "left_shift": "bitwise_left_shift",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "power": "pow",
    "rint": "round",
    "right_shift": "bitwise_right_shift",
}


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) or isinstance(x, np.generic)


def array_ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Tensor.__array_ufunc__"""
    op = getattr(ops, _NAMES.get(ufunc.__name__, ufunc.__name__), None)
    if method == "__call__" and op is not None and not kwargs:
        values = [x.item() if isinstance(x, np.generic) else ops.as_tensor(x) if _is_array(x) else x for x in inputs]
        return op(*values)
    out = kwargs.get("out")
    if out is not None:
        kwargs["out"] = tuple(o.numpy() if isinstance(o, _core.TensorBase) else o for o in out)
    y = getattr(ufunc, method)(*(x.numpy() if isinstance(x, _core.TensorBase) else x for x in inputs), **kwargs)
    if out is not None:
        return out[0] if len(out) == 1 else out
    return tuple(map(_back, y)) if isinstance(y, tuple) else _back(y)


def _back(y: Any) -> Any:
    return ops.as_tensor(y) if _is_array(y) and y.dtype.kind in "fiub" else y


def _plain(x: Any) -> Any:
    if isinstance(x, _core.TensorBase):
        return np.asarray(x)
    if isinstance(x, list | tuple) and any(isinstance(v, _core.TensorBase | list | tuple) for v in x):
        return type(x)(map(_plain, x)) if type(x) in (list, tuple) else x
    return x


def array_function(self: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Tensor.__array_function__"""
    return function(*map(_plain, args), **{k: _plain(v) for k, v in kwargs.items()})
