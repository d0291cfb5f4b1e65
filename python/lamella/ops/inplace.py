# SPDX-License-Identifier: MIT
"""In-place forms: `x.exp_()` writes exp(x) into x, counts the write, and is recorded like any op."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .. import _core
from .layout import clone
from .view import copy_

# Elementwise ops write into their operand at once.
_DIRECT = """
mul div pow floor_divide remainder neg abs sign square exp expm1 log log1p sqrt rsqrt reciprocal sin cos tanh erf sigmoid
relu floor ceil trunc logical_not logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor
bitwise_left_shift bitwise_right_shift eq ne lt le gt ge atan2 fmod hypot copysign xlogy gcd tan asin acos atan sinh cosh
asinh acosh atanh sinc exp2 log2 log10 erfc erfinv lgamma digamma
""".split()
# Others are computed, then copied into it.
_COPIED = """
masked_fill clamp_min clamp_max lerp addcmul addcdiv addmm addmv addr addbmm baddbmm cumsum cumprod tril triu frac
nan_to_num logit heaviside ldexp float_power lcm mvlgamma deg2rad rad2deg bitwise_not renorm index_reduce
""".split()
# The Tensor takes over another view of its elements.
_VIEWED = "transpose swapaxes swapdims t squeeze unsqueeze".split()
_ALIASES = {
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "subtract": "sub",
    "negative": "neg",
    "absolute": "abs",
    "fix": "trunc",
    "sgn": "sign",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "not_equal": "ne",
    "arctan2": "atan2",
    **{f"arc{f}": f"a{f}" for f in ("cos", "sin", "tan", "cosh", "sinh", "tanh")},
}


def _find(name: str) -> Callable[..., Any]:
    return getattr(sys.modules[__package__], name)


def _named(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    f.__name__ = f.__qualname__ = name + "_"
    f.__doc__ = f"`{name}`, written into this Tensor."
    return f


def _direct(name: str) -> Callable[..., Any]:
    write_into, op = getattr(_core, name).inplace, _find(name)

    def method(self: Any, *args: Any, **names: Any) -> Any:
        return copy_(self, op(_before(self), *args, **names)) if names else write_into(self, *args)

    return _named(method, name)


def _before(x: Any) -> Any:
    """x's elements, with x's history, safe from a write into x."""
    return clone(x)


def _copied(name: str) -> Callable[..., Any]:
    op = _find(name)

    def method(self: Any, *args: Any, **names: Any) -> Any:
        recorded = _core.is_grad_enabled() and any([getattr(t, "requires_grad", False) for t in (self, *args, *names.values())])
        y = op(_before(self) if recorded else self, *args, **names)
        if y.shape != self.shape:
            raise ValueError(f"[{name}_] in-place result must have shape {tuple(self.shape)}, got {tuple(y.shape)}")
        if y.dtype is not self.dtype:
            kinds = [2 if t.is_floating_point else 0 if t is _core.bool else 1 for t in (y.dtype, self.dtype)]
            if kinds[0] > kinds[1]:
                raise TypeError(f"[{name}_] in-place result must fit {self.dtype.name}, got {y.dtype.name}")
        return copy_(self, y)

    return _named(method, name)


def _viewed(name: str) -> Callable[..., Any]:
    op = _find(name)

    def method(self: Any, *args: Any, **names: Any) -> Any:
        if self.requires_grad and self.is_leaf and _core.is_grad_enabled():
            raise RuntimeError(f"[{name}_] tensor must not be a leaf that requires gradient: write under no_grad(), or out of place")
        return self._become(op(self, *args, **names))

    return _named(method, name)


def methods() -> dict[str, Callable[..., Any]]:
    """All in-place forms by their names."""
    found = {n + "_": _direct(n) for n in _DIRECT}
    found |= {n + "_": _copied(n) for n in _COPIED}
    found |= {n + "_": _viewed(n) for n in _VIEWED}
    return found


def aliases() -> dict[str, str]:
    """Second names of in-place forms."""
    return {a + "_": n + "_" for a, n in _ALIASES.items()}
