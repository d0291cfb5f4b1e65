# SPDX-License-Identifier: MIT
"""A run on trial: whatever happens inside, model, optimiser and random streams are afterwards as they were."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..ops.random import get_rng_state, set_rng_state
from ..tensor import Tensor


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else copy.copy(value)


class Trial:
    """`with Trial(model, optimizer, others):` puts back, at its end, weights, buffers, gradients, `requires_grad`, modes,
    the optimiser's state and options, the random streams of lamella, NumPy and Python, and what `others` (a schedule, a
    scaler: whatever has state_dict and load_state_dict) had. `again()` does the same within, gradients being None.
    """

    def __init__(self, model: Any, optimizer: Any = None, others: tuple[Any, ...] = ()) -> None:
        self.model, self.optimizer, self.others = model, optimizer, others

    def __enter__(self) -> Trial:
        own = list(self.model.parameters())
        known = [p for g in self.optimizer.param_groups for p in g["params"]] if self.optimizer is not None else []
        self._parameters = list({id(p): p for p in (*own, *known)}.values())
        self._grads = [p.grad for p in self._parameters]
        self._values = [(p.detach().clone(), p.requires_grad) for p in self._parameters]
        self._modules = [
            (m, m.training, [(n, b, b.detach().clone()) for n, b in m._own_buffers()]) for m in self.model.modules()
        ]
        if self.optimizer is not None:
            self._state = self.optimizer.state
            self._options = [{k: copy.copy(v) for k, v in g.items() if k != "params"} for g in self.optimizer.param_groups]
            self._called = self.optimizer._opt_called
        self._others = [copy.deepcopy(o.state_dict()) for o in self.others]
        self._random = (get_rng_state(), np.random.get_state(), random.getstate())
        self.again()
        return self

    def again(self) -> None:
        """Back to the start: the optimiser's state is a copy, the one it came with is not touched."""
        self._rewind()
        for p in self._parameters:
            p.grad = None
        if self.optimizer is not None:
            self.optimizer.state = defaultdict(dict)
            for p, state in self._state.items():
                self.optimizer.state[p] = {k: _copied(v) for k, v in state.items()}

    def _rewind(self) -> None:
        with no_grad():
            for p, (value, wanted) in zip(self._parameters, self._values, strict=True):
                p.requires_grad = wanted
                p.copy_(value)
            for module, training, buffers in self._modules:
                module.training = training
                for name, tensor, value in buffers:
                    tensor.copy_(value)
                    module.__dict__[name] = tensor
        if self.optimizer is not None:
            for group, options in zip(self.optimizer.param_groups, self._options, strict=True):
                group.update({k: copy.copy(v) for k, v in options.items()})
        for other, state in zip(self.others, self._others, strict=True):
            other.load_state_dict(copy.deepcopy(state))
        lamella, numpy, python = self._random
        set_rng_state(lamella)
        np.random.set_state(numpy)
        random.setstate(python)

    def __exit__(self, *exc: object) -> None:
        self._rewind()
        for p, grad in zip(self._parameters, self._grads, strict=True):
            p.grad = grad
        if self.optimizer is not None:
            self.optimizer.state = self._state
            self.optimizer._opt_called = self._called
