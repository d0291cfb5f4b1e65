# SPDX-License-Identifier: MIT
"""Heads: a new one for a new task, several on one trunk, and the weights of their losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import nn, ops
from ..autograd import grad, no_grad
from .freeze import _near

__all__ = ["GradNorm", "MultiHead", "MultiTaskLoss", "UncertaintyWeights", "replace_head"]


def replace_head(model: Any, classes: int, name: str | None = None) -> Any:
    """Puts a fresh layer with `classes` outputs in the place of the model's last Linear (or of the Linear or convolution at
    path `name`), in the same dtype, and returns it. ValueError where there is none.

    >>> model = models.create("small_lenet")
    >>> transfer.replace_head(model, 3)
    Linear(in_features=64, out_features=3, bias=True)
    """
    modules = dict(model.named_modules())
    if name is None:
        linear = [path for path, m in modules.items() if path and isinstance(m, nn.Linear)]
        if not linear:
            raise ValueError(f"[replace_head] model must have a Linear inside, got {type(model).__name__}: name the layer")
        name = linear[-1]
    if name not in modules or not name:
        raise ValueError(f"[replace_head] name must be the path of a layer, got {name!r}: {_near(name, modules)}")
    old = modules[name]
    if type(old) is nn.Linear:
        new = nn.Linear(old.in_features, classes, old.bias is not None, dtype=old.weight.dtype)
    elif type(old) is nn.Conv2d:
        new = nn.Conv2d(
            old.in_channels, classes, old.kernel_size, old.stride, old.padding, old.dilation, bias=old.bias is not None,
            dtype=old.weight.dtype,
        )  # fmt: skip
    else:
        raise ValueError(f"[replace_head] layer must be a Linear or a Conv2d, got {type(old).__name__} at {name!r}")
    parent, _, last = name.rpartition(".")
    setattr(modules[parent], last, new.train(old.training))
    return new


class MultiHead(nn.Module):
    """Several heads, by name, on one trunk: {name: head(trunk(input))}, or one of them where `task` is given.

    >>> model = transfer.MultiHead(nn.Linear(4, 8), {"kind": nn.Linear(8, 3), "size": nn.Linear(8, 1)})
    >>> {name: tuple(y.shape) for name, y in model(lamella.ones(2, 4)).items()}
    {'kind': (2, 3), 'size': (2, 1)}
    """

    def __init__(self, trunk: Any, heads: Mapping[str, Any]) -> None:
        if not heads:
            raise ValueError("[MultiHead] heads must hold at least one, got none")
        self.trunk, self.heads = trunk, nn.ModuleDict(heads)

    def forward(self, input: Any, task: str | None = None) -> Any:
        if task is not None and task not in self.heads:
            raise ValueError(f"[MultiHead] task must be one of {self.heads.keys()}, got {task!r}")
        shared = self.trunk(input)
        return {name: head(shared) for name, head in self.heads.items()} if task is None else self.heads[task](shared)


class MultiTaskLoss(nn.Module):
    """The weighted sum of losses {task: function(output, target)}: of dicts of outputs and of targets.

    weights: {task: number} (1 where not given), or UncertaintyWeights, or GradNorm, or any function {task: loss} -> total.
    `parts` are the losses of the last call, unweighted. A task whose target is None is left out.

    >>> criterion = transfer.MultiTaskLoss({"kind": F.cross_entropy, "size": F.mse_loss}, {"size": 0.5})
    >>> total = criterion({"size": lamella.ones(2)}, {"size": lamella.zeros(2), "kind": None})
    >>> total.item(), criterion.parts["size"].item()
    (0.5, 1.0)
    """

    def __init__(self, losses: Mapping[str, Callable[[Any, Any], Any]], weights: Any = None) -> None:
        self.losses = dict(losses)
        if weights is None or isinstance(weights, Mapping):
            unknown = set(weights or ()) - set(losses)
            if unknown:
                raise ValueError(f"[MultiTaskLoss] weights must be of {sorted(losses)}, got {sorted(unknown)}")
            weights = {name: float((weights or {}).get(name, 1.0)) for name in losses}
        self.weights = weights
        self.parts: dict[str, Any] = {}

    def forward(self, outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        given = [name for name in self.losses if targets.get(name) is not None]
        if not given:
            raise ValueError(f"[MultiTaskLoss] targets must hold one of {sorted(self.losses)}, got {sorted(targets)}")
        missing = [name for name in given if name not in outputs]
        if missing:
            raise ValueError(f"[MultiTaskLoss] outputs must hold {', '.join(missing)}, got {sorted(outputs)}")
        losses = {name: self.losses[name](outputs[name], targets[name]) for name in given}
        self.parts = {name: loss.detach() for name, loss in losses.items()}
        if not isinstance(self.weights, dict):
            return self.weights(losses)
        total = None
        for name, loss in losses.items():
            part = loss * self.weights[name]
            total = part if total is None else total + part
        return total


class UncertaintyWeights(nn.Module):
    """Weights that are learned with the model (Kendall, Gal and Cipolla 2018): the sum of e^-s L + s / 2 over tasks, with
    s = log sigma^2 a parameter of each, and L / 2 for `regression` tasks, as squared errors are Gaussian likelihoods.

    Its parameters, `log_variances`, must be the optimiser's, too.
    """

    def __init__(self, tasks: Any, regression: Any = ()) -> None:
        self.tasks, self.regression = tuple(tasks), frozenset(regression)
        unknown = self.regression - set(self.tasks)
        if unknown:
            raise ValueError(f"[UncertaintyWeights] regression must be among {self.tasks}, got {sorted(unknown)}")
        self.log_variances = nn.Parameter(ops.zeros(len(self.tasks)))

    def forward(self, losses: Mapping[str, Any]) -> Any:
        total = None
        for i, name in enumerate(self.tasks):
            if name in losses:
                s = self.log_variances[i]
                part = (-s).exp() * losses[name] * (0.5 if name in self.regression else 1.0) + 0.5 * s
                total = part if total is None else total + part
        return total


class GradNorm(nn.Module):
    """Weights that keep the tasks' gradients of like norm, larger for tasks that lag behind (Chen et al. 2018).

    shared: the parameters whose gradients are compared, such as the last shared layer's weight. Each call makes one step of
    size lr on the weights: of |w_i g_i - mean(w g) r_i^alpha|, where g_i is the norm of L_i's gradient and r_i how far L_i
    has fallen, L_i / L_i at the first call, over the mean of that. The weights sum to the number of tasks. They are a buffer,
    as are the first losses: part of the state_dict. Not changed where gradients are off.
    """

    def __init__(self, tasks: Any, shared: Any, alpha: float = 1.5, lr: float = 0.025) -> None:
        self.tasks, self.alpha, self.lr = tuple(tasks), alpha, lr
        self._shared = (shared,) if hasattr(shared, "requires_grad") else tuple(shared)  # in a tuple: not this module's
        self.register_buffer("weights", ops.ones(len(self.tasks)))
        self.register_buffer("first", ops.zeros(len(self.tasks)))

    def forward(self, losses: Mapping[str, Any]) -> Any:
        values = [losses[name] for name in self.tasks]
        if all(v.requires_grad for v in values):
            self._update(values)
        total = None
        for w, v in zip(self.weights.tolist(), values, strict=True):
            total = w * v if total is None else total + w * v
        return total

    def _update(self, values: list[Any]) -> None:
        norms = [
            sum(float((g * g).sum().item()) for g in grad(v, self._shared, retain_graph=True)) ** 0.5 for v in values
        ]
        with no_grad():
            if not self.first.any().item():
                self.first.copy_(ops.tensor([v.item() for v in values]))
            fallen = [v.item() / f for v, f in zip(values, self.first.tolist(), strict=True)]
            weights, mean = self.weights.tolist(), sum(fallen) / len(fallen)
            scaled = [w * g for w, g in zip(weights, norms, strict=True)]
            common = sum(scaled) / len(scaled)
            stepped = []
            for w, g, s, r in zip(weights, norms, scaled, fallen, strict=True):
                off = s - common * (r / mean) ** self.alpha
                stepped.append(max(1e-3, w - self.lr * g * ((off > 0) - (off < 0))))
            self.weights.copy_(ops.tensor([w * len(stepped) / sum(stepped) for w in stepped]))
