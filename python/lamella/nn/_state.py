# SPDX-License-Identifier: MIT
"""Loading a state_dict: everything is checked before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..autograd import no_grad
from ..ops.creation import from_numpy
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

_SHOWN = 6  # names per kind in the message


class LoadResult(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"LoadResult(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_state(module: Module, state: dict[str, Any], strict: bool) -> LoadResult:
    if not hasattr(state, "keys"):
        raise TypeError(f"[load_state_dict] state_dict must map names to tensors, got {type(state).__name__}")
    own = module.state_dict(keep_vars=True)
    result = LoadResult([name for name in own if name not in state], [name for name in state if name not in own])
    shapes = [name for name in own if name in state and tuple(state[name].shape) != tuple(own[name].shape)]
    problems = []
    if strict and result.missing_keys:
        problems.append("missing " + _names([f"{n} {tuple(own[n].shape)}" for n in result.missing_keys]))
    if strict and result.unexpected_keys:
        problems.append("unexpected " + _names([f"{n} {tuple(state[n].shape)}" for n in result.unexpected_keys]))
    if shapes:
        problems.append("other shapes " + _names([f"{n} {tuple(state[n].shape)}, not {tuple(own[n].shape)}" for n in shapes]))
    if problems:
        kind = type(module).__name__
        raise RuntimeError(f"[load_state_dict] state_dict must be that of this {kind}, got: " + "; ".join(problems))
    with no_grad():
        for name, tensor in own.items():
            if name in state:
                value = state[name]
                tensor.copy_(value if isinstance(value, Tensor) else from_numpy(value))
    return result


def _names(names: list[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
