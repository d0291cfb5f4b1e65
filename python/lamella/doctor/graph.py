# SPDX-License-Identifier: MIT
"""Reading the recorded graph of a loss: which parameters it reaches, what feeds the loss, how activations lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..tensor import Tensor
from .data import arrays

PASS = set(
    "view reshape transpose permute squeeze unsqueeze flatten alias cast contiguous clone copy getitem index narrow select identity".split()
) | {"seen"}  # ops that move values and keep them; "seen" is a hook's
LEAF = "AccumulateGrad"


def walk(node: Any, limit: int = 200_000) -> list[Any]:
    """All nodes that lead to `node`, none twice, each after all that use it."""
    order, seen, stack = [], set(), [(node, False)]
    while stack and len(seen) < limit:
        n, done = stack.pop()
        if done:
            order.append(n)
        elif n is not None and n not in seen:
            seen.add(n)
            stack.append((n, True))
            if n.name() != LEAF:
                stack.extend((m, False) for m, _ in n.next_functions)
    return order[::-1]


def leaves(nodes: list[Any]) -> set[int]:
    """ids of the leaf tensors among them."""
    return {id(n.variable) for n in nodes if n.name() == LEAF}


def _previous(node: Any) -> Any:
    return next((m for m, _ in node.next_functions if m is not None), None) if node.name() != LEAF else None


def back(node: Any, through: set[str] = PASS) -> Iterator[Any]:
    """The nodes before `node`, along first inputs, as long as they are in `through`; and the one after them."""
    n = _previous(node)
    while n is not None:
        yield n
        if n.name() not in through:
            return
        n = _previous(n)


@dataclass
class LossNode:
    """A loss in the graph: its kind, what it compares, how it reduces, and the softmaxes and sigmoids right before it,
    the nearest first."""

    kind: str  # cross_entropy, nll, soft (a log_softmax times probabilities), or an element-wise one: mse, bce, bce_logits, ...
    input: Tensor
    target: Tensor | None
    reduction: str = "mean"
    ignore: int = -100
    before: list[str] = field(default_factory=list)

    @property
    def classes(self) -> int:
        """How many there are, for a loss that has any."""
        return self.input.shape[1 if self.input.ndim > 1 else 0] if self.kind in ("cross_entropy", "nll") else 0

    def sums_to_one(self) -> bool:
        """Whether what comes from the softmax before it is a distribution over the classes."""
        p = arrays(self.input).astype(np.float64)
        p = np.exp(p) if self.kind == "nll" or self.before[0] == "log_softmax" else p
        return bool(np.abs(p.sum(1 if p.ndim > 1 else 0) - 1).max(initial=0) < 0.01)


_SQUASH = ("softmax", "log_softmax", "sigmoid", "logsigmoid")
_BETWEEN = PASS | {"log", "add", "clamp", *_SQUASH}


def loss_nodes(nodes: list[Any]) -> list[LossNode]:
    """The classification and element-wise losses among the nodes."""
    found = []
    for n in nodes:
        name, ctx = n.name(), n.ctx if n.name() != LEAF else None
        if name == "cross_entropy":
            x, target, _, _, _, ignore, reduction, _, log_probs = ctx
            loss = LossNode("nll" if log_probs else "cross_entropy", x, target, reduction, ignore)
        elif name == "pointwise" and len(ctx) >= 5 and isinstance(ctx[0], Tensor) and isinstance(ctx[1], Tensor):
            loss = LossNode(str(ctx[2]), ctx[0], ctx[1], str(ctx[4]))
        elif name == "log_softmax" and any(m.name() == "softmax" for m in back(n)):
            loss = LossNode("soft", n.output, None)
        else:
            continue
        loss.before = [m.name() for m in back(n, _BETWEEN) if m.name() in _SQUASH]
        found.append(loss)
    return found


@dataclass
class Softmax:
    """A softmax inside the model: its axis, of how many, and whether a product over the last axis uses it (attention)."""

    dim: int
    ndim: int
    shape: tuple[int, ...]
    attention: bool
    where: str


def inner_softmaxes(nodes: list[Any], names: dict[Any, str]) -> list[Softmax]:
    """The softmaxes among the nodes."""
    users: dict[Any, list[Any]] = {}
    for n in nodes:
        if n.name() == "matmul":
            first = n.next_functions[0][0]
            while first is not None and first.name() == "dropout":
                first = _previous(first)
            if first is not None:
                users.setdefault(first, []).append(n)
    found = []
    for n in nodes:
        if n.name() in ("softmax", "log_softmax") and n.output is not None:
            shape = tuple(n.output.shape)
            found.append(Softmax(n.ctx[0] % max(1, len(shape)), len(shape), shape, n in users, label(n, names)))
    return found


def label(node: Any, names: dict[Any, str]) -> str:
    """The module that made it, or the nearest one before: "fc1", "relu after fc1"."""
    if node in names:
        return names[node]
    n, steps = _previous(node), 0
    while n is not None and steps < 50:
        if n in names:
            return f"{node.name()} after {names[n]}"
        n, steps = _previous(n), steps + 1
    return node.name()


@dataclass
class Units:
    """How an activation function's outputs lie: the share of units that are 0 for the whole batch, or of flat values."""

    where: str
    kind: str  # relu, sigmoid, tanh
    count: int
    dead: float = 0.0
    flat: float = 0.0
    values: int = 0


def _axis(node: Any, ndim: int) -> int:
    """Which axis of an activation's output counts units: 1 after convolutions and batch norms, else the last."""
    n, steps = node, 0
    while n is not None and steps < 8:
        name = n.name()
        if "conv" in name or "batch_norm" in name or "pool" in name:
            return 1 if ndim > 1 else 0
        if "linear" in name or name in ("matmul", "layer_norm", "recurrent", "embedding"):
            return ndim - 1
        n, steps = _previous(n), steps + 1
    return 1 if ndim >= 4 else ndim - 1


def units(nodes: list[Any], names: dict[Any, str]) -> list[Units]:
    """Of every ReLU, sigmoid and tanh whose output the graph keeps, those nearest to the input first."""
    found = []
    for n in reversed(nodes):
        kind = {"linear_relu": "relu", "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh"}.get(n.name())
        y = n.output if kind else None
        if not isinstance(y, Tensor) or y.ndim < 2 or y.numel() == 0 or y.shape[0] < 2:
            continue
        a = arrays(y)
        u = Units(label(n, names), kind, 0, values=a.size)
        if kind == "relu":
            axis = _axis(n, y.ndim)
            peak = a.max(tuple(i for i in range(a.ndim) if i != axis))
            u.count, u.dead = peak.size, float((peak <= 0).mean())
        else:
            a = a.reshape(-1)[:: max(1, a.size // 200_000)]
            low = 0.0 if kind == "sigmoid" else -1.0
            u.count, u.flat = y.shape[-1], float(((a > 0.98) | (a < low + 0.02)).mean())
        found.append(u)
    return found


def origin_of_nan(nodes: list[Any], names: dict[Any, str]) -> str:
    """Where a NaN or infinity came from, as far as the graph has kept values: "" if all that is kept is finite."""
    for n in reversed(nodes):
        if n.name() == LEAF:
            continue
        inputs = [
            t for t in (n.ctx if isinstance(n.ctx, tuple) else ()) if isinstance(t, Tensor) and t.dtype.is_floating_point
        ]
        bad = next((t for t in inputs if not np.isfinite(arrays(t)).all()), None)
        if bad is not None:
            which = next((t for t, _ in n.next_functions if t is not None and t.name() == LEAF and t.variable is bad), None)
            return (
                f"a weight of {label(n, names)}" if which is not None else f"what goes into {label(n, names)}, {n.name()}"
            )
        outputs = n.output if isinstance(n.output, tuple) else (n.output,)
        if any(isinstance(t, Tensor) and not np.isfinite(arrays(t)).all() for t in outputs):
            return f"{label(n, names)}, {n.name()}"
    return ""
