# SPDX-License-Identifier: MIT
"""The base classes of all optimisers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .. import _core
from ..autograd import enable_grad, no_grad
from ..device import captured_graph
from ..ops.creation import tensor
from ..tensor import RemovableHandle

# Values of a state that are numbers here and 0-d tensors in PyTorch's state dicts.
_SCALARS = ("step", "mu_product", "eta", "mu")


class Optimizer:
    """Holds parameters in groups, each a dict with `params` and its own options, and per-parameter `state`.

    `params`: an iterable of tensors, of (name, tensor) pairs, or of dicts {"params": ..., option: value}. Subclasses
    write `_step_group(group, params)` for those parameters of a group that have a gradient. Of PyTorch's options that
    choose between implementations, `foreach`, `fused`, `capturable` and `differentiable`, there is no choice here: they
    are accepted, kept in the groups and without effect.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._step_hooks: tuple[dict[int, Any], dict[int, Any]] = ({}, {})
        self._opt_called = False
        if isinstance(params, (set, frozenset)):
            raise TypeError(f"[{type(self).__name__}] params must be in an order that stays, got a {type(params).__name__}")
        groups = [params] if isinstance(params, (_core.TensorBase, dict)) else list(params)
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
        for name, value in group.items():
            if isinstance(value, _core.TensorBase):  # lr as a scalar tensor
                group[name] = value.item()
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
        before, after = self._step_hooks
        for hook in list(before.values()):
            changed = hook(self, (closure,), {})
            if changed is not None:
                (closure,) = changed[0]
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                params = _core.with_grads(group["params"])
                if params:
                    self._step_group(group, params)
        self._opt_called = True
        for hook in list(after.values()):
            hook(self, (closure,), {})
        return loss

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        raise TypeError(f"[{type(self).__name__}] _step_group must be defined by the subclass")

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(optimizer, args, kwargs) before every step; what it returns, if anything, replaces (args, kwargs)."""
        return RemovableHandle(self._step_hooks[0], hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """hook(optimizer, args, kwargs) after every step."""
        return RemovableHandle(self._step_hooks[1], hook)

    # ---- saving ------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {...}}, "param_groups": [...]} with parameters numbered in order, as PyTorch's."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            groups.append({k: [numbers[id(p)] for p in v] if k == "params" else v for k, v in group.items()})
        state = {numbers[id(p)]: dict(s) for p, s in self.state.items() if s}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any], by_name: bool = False) -> None:
        """Takes over what `state_dict()` gave. ValueError where groups or shapes differ; nothing is changed then.

        Parameters are matched in order; with `by_name` by their names, for optimisers made from named_parameters(): those
        without a saved state start anew, and options are taken group by group where there are as many.
        """
        op = type(self).__name__
        groups, saved = self.param_groups, state_dict["param_groups"]
        params = self._by_name(saved) if by_name else self._by_order(saved)
        state: dict[Any, dict[str, Any]] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            if int(number) in params:
                p = params[int(number)]
                state[p] = {k: _own(op, number, p, k, v) for k, v in values.items() if v is not None}
        if len(groups) == len(saved):
            for group, old in zip(groups, saved, strict=True):
                group.update({k: v for k, v in old.items() if k not in (("params", "param_names") if by_name else ("params",))})
        self.state = state

    def _by_order(self, saved: list[dict[str, Any]]) -> dict[int, Any]:
        op, groups = type(self).__name__, self.param_groups
        if len(groups) != len(saved):
            raise ValueError(f"[{op}] state_dict must have {len(groups)} param_groups, got {len(saved)}")
        params: dict[int, Any] = {}
        for group, old in zip(groups, saved, strict=True):
            if len(group["params"]) != len(old["params"]):
                raise ValueError(
                    f"[{op}] state_dict must have {len(group['params'])} parameters in a group, got {len(old['params'])}"
                )
            params.update(zip(old["params"], group["params"], strict=True))
        return params

    def _by_name(self, saved: list[dict[str, Any]]) -> dict[int, Any]:
        op = type(self).__name__
        if not all("param_names" in group for group in (*self.param_groups, *saved)):
            raise ValueError(f"[{op}] by_name must have names on both sides: make the optimiser from named_parameters()")
        here = {n: p for group in self.param_groups for n, p in zip(group["param_names"], group["params"], strict=True)}
        there = {n: i for group in saved for n, i in zip(group["param_names"], group["params"], strict=True)}
        return {i: here[n] for n, i in there.items() if n in here}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _own(op: str, number: Any, p: Any, name: str, value: Any) -> Any:
    """A saved value as a state of p: its own copy, in p's dtype, where p lies."""
    if not isinstance(value, _core.TensorBase):
        return value
    if name in _SCALARS and value.numel() == 1:
        number = value.item()
        return int(number) if name == "step" else number
    if value.shape != p.shape:
        raise ValueError(f"[{op}] {name} of parameter {number} must have shape {p.shape}, got {value.shape}")
    return value.detach().to(p.device, p.dtype).clone().contiguous()


class KernelOptimizer(Optimizer):
    """An optimiser whose step over a group is one call of the extension: a rule of cpp/kernels/optim_rules.h.

    Subclasses say the names of a parameter's buffers and, from the options and the scalars of its state, the rule, its
    numbers, and (decay, shrink): d = gradient + decay p, p <- shrink p come before the formula.
    """

    _scalars: dict[str, Any] = {"step": 0}  # of a new state

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        raise TypeError(f"[{type(self).__name__}] _buffers must be defined by the subclass")

    def _update(self, group: dict[str, Any], s: dict[str, Any]) -> tuple[str, tuple[float, ...], float, float]:
        """(rule, numbers, decay, shrink), for a state whose `step` counts this step already."""
        raise TypeError(f"[{type(self).__name__}] _update must be defined by the subclass")

    def _advance(self, group: dict[str, Any], s: dict[str, Any]) -> dict[str, Any]:
        """The other scalars after a step whose `_update` was made from s; shared by all parameters that had s."""
        return {}

    def _initial(self, group: dict[str, Any], name: str) -> float:
        return 0.0

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        names, state = self._buffers(group), self.state
        expected, last = len(names) + len(self._scalars), names[-1]
        states = [state[p] for p in params]
        for i in [i for i, s in enumerate(states) if last not in s or len(s) < expected]:
            self._begin(group, params[i], states[i], names)
        if len(self._scalars) == 1:
            keys = [s["step"] for s in states]
        else:
            keys = list(zip(*([s[k] for s in states] for k in self._scalars), strict=True))
        if keys.count(keys[0]) == len(keys):
            self._run(group, params, states, names)
            return
        for key in dict.fromkeys(keys):  # some parameters missed gradients
            chosen = [i for i, k in enumerate(keys) if k == key]
            self._run(group, [params[i] for i in chosen], [states[i] for i in chosen], names)

    def _begin(self, group: dict[str, Any], p: Any, s: dict[str, Any], names: tuple[str, ...]) -> None:
        for name, value in self._scalars.items():
            s.setdefault(name, group["lr"] if value is None else value)
        for name in names:
            if name not in s:
                s[name] = new_buffer(type(self).__name__, p, self._initial(group, name))

    def _run(self, group: dict[str, Any], params: list[Any], states: list[dict[str, Any]], names: tuple[str, ...]) -> None:
        def update() -> tuple[str, tuple[float, ...], float, float]:
            step = states[0]["step"] + 1
            for s in states:
                s["step"] = step
            constants = self._update(group, states[0])
            changed = self._advance(group, states[0])
            if changed:
                for s in states:
                    s.update(changed)
            return constants

        before = [{k: s[k] for k in self._scalars} for s in states] if _is_captured(params[0]) else []
        run_rule(type(self).__name__, params, None, states, names, update, group["maximize"])
        for s, scalars in zip(states, before, strict=False):  # a capture is no step: replays are
            s.update(scalars)


# ---- what optimisers of one launch share ---------------------------------------------------------------------------------
def _is_captured(p: Any) -> bool:
    return p.is_cuda and captured_graph() is not None


def new_buffer(op: str, p: Any, value: float = 0.0) -> Any:
    """A buffer of p's state. RuntimeError inside a captured graph, of which every replay would make it anew."""
    if _is_captured(p):
        raise RuntimeError(f"[{op}] step must have been called before it is captured in a graph: its state is made by the first")
    return _core.full(p.shape, value, p.dtype, p)


def run_rule(
    op: str,
    params: list[Any],
    grads: list[Any] | None,
    states: list[dict[str, Any]],
    names: tuple[str, ...],
    update: Callable[[], tuple[str, tuple[float, ...], float, float]],
    maximize: bool = False,
) -> None:
    """One step of a rule of cpp/kernels/optim_rules.h over all params, in one launch; update() gives (rule, numbers, decay,
    shrink). Inside a captured graph these lie on the GPU, and every replay asks update() for those of its step."""
    rule, numbers, decay, shrink = update()
    live = None
    if _is_captured(params[0]):
        graph = captured_graph()
        live = graph._constants_of(2 + len(numbers))

        def before_replay() -> None:
            now, numbers, decay, shrink = update()
            if now != rule:
                raise RuntimeError(f"[{op}] options must stay those of the capture's rule {rule!r}, got ones of {now!r}")
            _core.copy_(live, tensor([decay, shrink, *numbers], dtype=_core.float64, device="cpu"))

        graph._before_replay.append(before_replay)
    _core.optim_step(op, rule, params, grads, states, names, numbers, decay, shrink, maximize, live)


def check_option(op: str, name: str, value: float, low: float, high: float = float("inf"), open_high: bool = False) -> None:
    """ValueError unless low <= value <= high (value < high if `open_high`)."""
    value = float(value)
    if not (low <= value < high if open_high else low <= value <= high):
        bound = f"[{low}, {high}{')' if open_high else ']'}" if high != float("inf") else f"at least {low}"
        raise ValueError(f"[{op}] {name} must be {'in ' if high != float('inf') else ''}{bound}, got {value}")


def check_options(op: str, betas: tuple[float, float] | None = None, **options: float) -> None:
    """ValueError for an option below zero, or a beta outside of [0, 1)."""
    for name, value in options.items():
        check_option(op, name, value, 0)
    for i, beta in enumerate(betas or ()):
        check_option(op, f"betas[{i}]", beta, 0, 1, open_high=True)
