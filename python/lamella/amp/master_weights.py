# SPDX-License-Identifier: MIT
"""MasterWeights: an optimiser that updates float32 copies of 16-bit parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .. import _core, ops
from ..autograd import enable_grad, no_grad
from ..optim import Optimizer
from .grad_scaler import unscale

__all__ = ["MasterWeights"]


class MasterWeights(Optimizer):
    """`optimizer`, of a model held in bfloat16 or float16, steps on float32 copies of the parameters and of their gradients;
    the parameters are those copies, rounded (Micikevicius et al. 2018). Without, a step smaller than half of the spacing of
    16-bit numbers, 1 / 256 of a weight in bfloat16, is lost.

    An Optimizer in all: schedules, GradScaler, gradient clipping and state_dict go with it. Groups hold the model's
    parameters; those in float32 are updated as ever. The state of a parameter also has its copy, "master", in state_dict.
    A parameter that somebody else changes, by load_state_dict say, is read again.

    >>> w = nn.Parameter(lamella.tensor([1.0], dtype=lamella.bfloat16))
    >>> optimizer = lamella.amp.MasterWeights(lamella.optim.SGD([w], lr=0.001))
    >>> for _ in range(5):
    ...     w.grad = lamella.ones(1, dtype=lamella.bfloat16)
    ...     optimizer.step()
    >>> w.item(), round(optimizer.master_parameters()[0].item(), 4)
    (0.99609375, 0.995)
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer) or isinstance(optimizer, MasterWeights):
            raise TypeError(f"[MasterWeights] optimizer must be an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self._step_hooks: tuple[dict[int, Any], dict[int, Any]] = ({}, {})
        self._opt_called = False
        self._masters: dict[int, Any] = {}  # by id of the parameter
        self._written: dict[int, int] = {}  # version of the parameter that its master was last in step with
        self._gathered: dict[int, tuple[Any, int]] = {}  # gradient of the parameter, and its version, that its master has
        saved = optimizer.state_dict()
        self._add_masters()
        with self._on_masters():
            optimizer.load_state_dict(saved)

    # The wrapped optimiser's own, so that whoever holds either sees the same.
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)
    state = property(lambda self: self.optimizer.state)

    def _parameters(self) -> list[Any]:
        return [p for group in self.param_groups for p in group["params"]]

    def _pairs(self) -> list[tuple[Any, Any]]:
        return [(p, self._masters[id(p)]) for p in self._parameters() if id(p) in self._masters]

    def _add_masters(self) -> None:
        for p in self._parameters():
            if p.dtype in (_core.bfloat16, _core.float16) and id(p) not in self._masters:
                master = p.detach().to(_core.float32)
                master.requires_grad = True
                self._masters[id(p)], self._written[id(p)] = master, p._version

    @contextlib.contextmanager
    def _on_masters(self) -> Iterator[None]:
        """The wrapped optimiser's groups hold the masters inside."""
        kept = [group["params"] for group in self.param_groups]
        try:
            for group in self.param_groups:
                group["params"] = [self._masters.get(id(p), p) for p in group["params"]]
            yield
        finally:
            for group, params in zip(self.param_groups, kept, strict=True):
                group["params"] = params

    def master_parameters(self) -> list[Any]:
        """The float32 tensors that are updated, in the order of the groups: copies of 16-bit parameters, and the others."""
        return [self._masters.get(id(p), p) for p in self._parameters()]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group to the wrapped optimiser, and masters of its 16-bit parameters."""
        self.optimizer.add_param_group(param_group)
        self._add_masters()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops every gradient, or writes zeros into it."""
        self.optimizer.zero_grad(set_to_none)
        self._forget_gradients()

    def _forget_gradients(self) -> None:
        for _, master in self._pairs():
            master.grad = None
        self._gathered.clear()

    def gather_gradients(self, factor: float = 1.0) -> None:
        """Gives the masters the gradients of their parameters times `factor`, and multiplies these, too. `step` does so, with
        factor 1, where it was not done, or where a gradient has changed since (by clipping, say)."""
        with no_grad():
            for p, master in self._pairs():
                seen, version = self._gathered.get(id(p), (None, 0))
                if p.grad is None:
                    master.grad = None
                elif factor != 1.0 or seen is not p.grad or version != p.grad._version:
                    master.grad = p.grad.to(_core.float32)
                    if factor != 1.0:
                        ops.scale_([master.grad], factor)
            grads = [p.grad for p in self._parameters() if p.grad is not None]
            if factor != 1.0 and grads:
                unscale(grads, factor)
            for p, _ in self._pairs():
                if p.grad is not None:
                    self._gathered[id(p)] = (p.grad, p.grad._version)

    def _reread(self) -> None:
        """Masters of parameters that somebody changed: anew where they differ by more than rounding."""
        for p, master in self._pairs():
            if self._written[id(p)] != p._version:
                rounded = master.detach().to(p.dtype)
                master.detach().copy_(ops.where(rounded == p.detach(), master.detach(), p.detach().to(_core.float32)))
                self._written[id(p)] = p._version

    def _write(self) -> None:
        for p, master in self._pairs():
            p.detach().copy_(master.detach())
            self._written[id(p)] = p._version

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates the masters and rounds them into the parameters; `closure`, if given, computes the loss first."""
        before, after = self._step_hooks
        for hook in list(before.values()):
            hook(self, (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self.gather_gradients()
        with no_grad():
            self._reread()
            with self._on_masters():
                self.optimizer.step()
            self._write()
        self._forget_gradients()
        self._opt_called = True
        for hook in list(after.values()):
            hook(self, (closure,), {})
        return loss

    # ---- saving ------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """The wrapped optimiser's, with "master" in the state of each 16-bit parameter."""
        with no_grad():
            self._reread()
        with self._on_masters():
            saved = self.optimizer.state_dict()
        for number, p in enumerate(self._parameters()):
            if id(p) in self._masters:
                saved["state"].setdefault(number, {})["master"] = self._masters[id(p)].detach()
        saved["state"] = dict(sorted(saved["state"].items()))
        return saved

    def load_state_dict(self, state_dict: dict[str, Any], by_name: bool = False) -> None:
        """Takes over what `state_dict()` gave, and writes the masters into the parameters; what was saved without masters
        starts from the parameters as they are. ValueError where groups or shapes differ."""
        state, masters = {}, {}
        for number, values in state_dict["state"].items():
            state[number] = {k: v for k, v in values.items() if k != "master"}
            if "master" in values:
                masters[int(number)] = values["master"]
        saved = {**state_dict, "state": {k: v for k, v in state.items() if v}}
        params = (self.optimizer._by_name if by_name else self.optimizer._by_order)(saved["param_groups"])
        for number, value in masters.items():
            if number in params and value.shape != params[number].shape:
                raise ValueError(
                    f"[MasterWeights] master of parameter {number} must have shape {params[number].shape}, got {value.shape}"
                )
        with self._on_masters():
            self.optimizer.load_state_dict(saved, by_name)
        with no_grad():
            self._reread()
            for number, value in masters.items():
                if number in params and id(params[number]) in self._masters:
                    self._masters[id(params[number])].detach().copy_(value)
            self._write()

    def __repr__(self) -> str:
        return f"MasterWeights({self.optimizer!r})"
