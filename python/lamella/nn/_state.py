# SPDX-License-Identifier: MIT
"""Loading a state_dict: everything is checked before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..autograd import no_grad
from ..ops.creation import from_numpy
from ..tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


class LoadResult(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_state(module: Module, state: dict[str, Any], strict: bool, assign: bool) -> LoadResult:
    if not hasattr(state, "keys"):
        raise TypeError(f"[load_state_dict] state_dict must map names to tensors, got {type(state).__name__}")
    for path, part in module.named_modules():
        if hasattr(part, "_infer_from_state"):  # a lazy layer takes its sizes from the values
            part._infer_from_state(state, path + "." if path else "")
    own = module.state_dict(keep_vars=True)
    result = LoadResult([name for name in own if name not in state], [name for name in state if name not in own])
    problems = []
    if strict and result.unexpected_keys:
        problems.append(f"Unexpected key(s) in state_dict: {_quoted(result.unexpected_keys)}. ")
    if strict and result.missing_keys:
        problems.append(f"Missing key(s) in state_dict: {_quoted(result.missing_keys)}. ")
    problems += [
        f"size mismatch for {name}: copying a param with shape {tuple(state[name].shape)} from checkpoint, "
        f"the shape in current model is {tuple(own[name].shape)}."
        for name in own
        if name in state and tuple(state[name].shape) != tuple(own[name].shape)
    ]
    if problems:
        raise RuntimeError(
            f"[load_state_dict] Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(problems)
        )
    with no_grad():
        for name, tensor in own.items():
            if name not in state:
                continue
            value = state[name] if isinstance(state[name], Tensor) else from_numpy(state[name])
            if assign:
                _put(module, name, tensor, value)
            else:
                tensor.copy_(value)
    return result


def _put(module: Module, path: str, held: Tensor, value: Tensor) -> None:
    """`value` in place of the parameter or buffer `held` at `path`."""
    owner, _, name = path.rpartition(".")
    if isinstance(held, Parameter) and not isinstance(value, Parameter):
        value = Parameter(value, requires_grad=held.requires_grad)
    module.get_submodule(owner).__dict__[name] = value


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
