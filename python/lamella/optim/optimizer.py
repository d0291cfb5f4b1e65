# SPDX-License-Identifier: MIT
"""The base class of all optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .. import _core
from ..autograd import enable_grad


class Optimizer:
    """Holds parameters in groups, each a dict with `params` and its own options, and per-parameter `state`.

    `params`: an iterable of tensors, of (name, tensor) pairs, or of dicts {"params": ..., option: value}. Subclasses
    write `_step_group(group, params)` for those parameters of a group that have a gradient.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Any, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups = [params] if isinstance(params, _core.TensorBase) else list(params)
        if not groups:
            raise ValueError(f"[{type(self).__name__}] params must hold at least one tensor, got none")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group; options it does not name take the defaults. ValueError for tensors that are here already."""
        op = type(self).__name__
        group = dict(param_group)
        params = group["params"]
        params = [params] if isinstance(params, _core.TensorBase) else list(params)
        if params and isinstance(params[0], tuple):
            group["param_names"] = [name for name, _ in params]
            params = [p for _, p in params]
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, _core.TensorBase):
                raise TypeError(f"[{op}] params must be Tensors, got {type(p).__name__} at position {i}")
            if not p.is_leaf:
                raise ValueError(f"[{op}] params must be leaves, got the result of an op at position {i}")
            if id(p) in known:
                raise ValueError(f"[{op}] params must be given once, got one again at position {i}")
            known.add(id(p))
        group["params"] = params
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops every gradient, or writes zeros into it."""
        for group in self.param_groups:
            if set_to_none:
                _core.clear_grads(group["params"])
                continue
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; `closure`, if given, computes the loss first and it is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._step_group(group, params)
        return loss

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        raise TypeError(f"[{type(self).__name__}] _step_group must be defined by the subclass")

    # ---- saving ------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {...}}, "param_groups": [...]} with parameters numbered in order, as PyTorch's."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            groups.append({k: [numbers[id(p)] for p in v] if k == "params" else v for k, v in group.items()})
        state = {numbers[id(p)]: dict(s) for p, s in self.state.items()}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict()` gave. ValueError where groups or shapes differ; nothing is changed then."""
        op = type(self).__name__
        groups, saved = self.param_groups, state_dict["param_groups"]
        if len(groups) != len(saved):
            raise ValueError(f"[{op}] state_dict must have {len(groups)} param_groups, got {len(saved)}")
        params: dict[int, Any] = {}
        for group, old in zip(groups, saved, strict=True):
            if len(group["params"]) != len(old["params"]):
                raise ValueError(
                    f"[{op}] state_dict must have {len(group['params'])} parameters in a group, got {len(old['params'])}"
                )
            params.update(zip(old["params"], group["params"], strict=True))
        state: dict[Any, dict[str, Any]] = {}
        for number, values in state_dict["state"].items():
            p = params[int(number)]
            for name, value in values.items():
                if isinstance(value, _core.TensorBase) and value.ndim and value.shape != p.shape:
                    raise ValueError(f"[{op}] {name} of parameter {number} must have shape {p.shape}, got {value.shape}")
            state[p] = {k: v.detach().clone() if isinstance(v, _core.TensorBase) else v for k, v in values.items()}
        for group, old in zip(groups, saved, strict=True):
            group.update({k: v for k, v in old.items() if k != "params"})
        self.state = state

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def check_option(op: str, name: str, value: float, low: float, high: float = float("inf"), open_high: bool = False) -> None:
    """ValueError unless low <= value <= high (value < high if `open_high`)."""
    if not (low <= value < high if open_high else low <= value <= high):
        bound = f"[{low}, {high}{')' if open_high else ']'}" if high != float("inf") else f"at least {low}"
        raise ValueError(f"[{op}] {name} must be {'in ' if high != float('inf') else ''}{bound}, got {value}")
