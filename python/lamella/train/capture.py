# SPDX-License-Identifier: MIT
"""What happens inside a model: the outputs of its layers, their gradients, the weights of its attention, and how all these
are distributed while it trains."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .. import nn
from ..metrics.base import array
from ..nn import functional as F
from ..ops.attention import attend
from ..tensor import Tensor
from .callbacks.base import Callback

__all__ = ["Capture", "Distribution", "Histograms", "capture"]

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def tensors(value: Any) -> Iterator[Tensor]:
    """Those in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)


class Capture:
    """What `capture` collects: dicts from the path of a module to its outputs (`activations`), to the gradients of these
    (`gradients`, after backward), and to the weights of attention (`attention`, (N, heads, L, S)), each a list with one
    tensor a call. `capture[path]` is the last activation."""

    def __init__(self, model: Any, which: Any = None, gradients: bool = False, attention: bool = False) -> None:
        self.model, self.keep_gradients, self.keep_attention = model, gradients, attention
        self.paths = list(_chosen(model, which)) if which is not None or not attention else []
        self.activations: dict[str, list[Tensor]] = {}
        self.gradients: dict[str, list[Tensor]] = {}
        self.attention: dict[str, list[Tensor]] = {}
        self._handles: list[Any] = []
        self._watched: list[Any] = []  # outputs in the graph, whose hooks are taken away at the end

    def __getitem__(self, path: str) -> Tensor:
        if path not in self.activations:
            raise KeyError(f"[capture] path must be among {', '.join(self.activations) or 'none yet'}, got {path!r}")
        return self.activations[path][-1]

    def clear(self) -> None:
        """Drops what was collected so far."""
        for kept in (self.activations, self.gradients, self.attention):
            kept.clear()

    def __enter__(self) -> Self:
        modules = dict(self.model.named_modules())
        for path in self.paths:
            self._handles.append(modules[path].register_forward_hook(self._keeper(path)))
        if self.keep_attention:
            self._watch_attention(modules)
        return self

    def __exit__(self, *_: object) -> None:
        for handle in reversed(self._handles):
            handle.remove()
        self._handles.clear()

    def _keeper(self, path: str) -> Any:
        def keep(module: Any, args: Any, output: Any) -> None:
            first = next(tensors(output), None)
            if first is None:
                return
            self.activations.setdefault(path, []).append(first.detach())
            if self.keep_gradients and first.requires_grad:
                first.register_hook(lambda dy: self.gradients.setdefault(path, []).append(dy.detach()))

        return keep

    def _watch_attention(self, modules: dict[str, Any]) -> None:
        """MultiheadAttention is asked for its weights; other modules' come from F.scaled_dot_product_attention, which is
        replaced meanwhile. They belong to the innermost module that runs."""
        stack: list[str] = []
        fused = F.scaled_dot_product_attention

        def entering(path: str) -> Any:
            def enter(module: Any, args: Any) -> None:
                stack.append(path)

            return enter

        def leave(module: Any, args: Any, output: Any) -> None:
            stack.pop()

        def ask(module: Any, args: Any, kwargs: Any) -> Any:
            asked = {"need_weights": True, "average_attn_weights": False}
            names = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            wanted.append((given.get("need_weights", True), given.get("average_attn_weights", True)))
            return (), {**given, **asked}

        wanted: list[tuple[bool, bool]] = []

        def answer(module: Any, args: Any, output: Any) -> Any:
            y, weights = output
            self._attended(names_of[id(module)], weights if weights.ndim == 4 else weights[None])
            need, average = wanted.pop()
            return y, (weights.mean(-3) if average else weights) if need else None

        def watched(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
                    scale: Any = None, enable_gqa: bool = False) -> Any:  # fmt: skip
            y, weights = attend(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, weights=True)
            self._attended(stack[-1] if stack else "", weights)
            return y

        names_of = {id(m): path for path, m in modules.items()}
        for path, module in modules.items():
            if isinstance(module, nn.MultiheadAttention):
                self._handles.append(module.register_forward_pre_hook(ask, with_kwargs=True))
                self._handles.append(module.register_forward_hook(answer))
            else:
                self._handles.append(module.register_forward_pre_hook(entering(path)))
                self._handles.append(module.register_forward_hook(leave))
        F.scaled_dot_product_attention = watched
        self._handles.append(_Restore(fused))

    def _attended(self, path: str, weights: Tensor) -> None:
        self.attention.setdefault(path, []).append(weights.detach())


@dataclass
class _Restore:
    fused: Any

    def remove(self) -> None:
        F.scaled_dot_product_attention = self.fused


def _chosen(model: Any, which: Any) -> Iterator[str]:
    """Paths of modules by name (patterns as of files), by type, or all that have no modules of their own."""
    modules = dict(model.named_modules())
    if which is None:
        yield from (path for path, m in modules.items() if path and next(m.children(), None) is None)
        return
    wanted = which if isinstance(which, Iterable) and not isinstance(which, str) else [which]
    for one in wanted:
        if isinstance(one, str):
            found = [path for path in modules if path == one or fnmatch.fnmatchcase(path, one)]
        elif isinstance(one, type):
            found = [path for path, m in modules.items() if isinstance(m, one)]
        else:
            found = [path for path, m in modules.items() if m is one]
        if not found:
            raise ValueError(f"[capture] names must be of modules ({', '.join(list(modules)[1:9])}, ...), got {one!r}")
        yield from found


def capture(model: Any, which: Any = None, *, gradients: bool = False, attention: bool = False) -> Capture:
    """A context in which the outputs of some modules of `model` are collected.

    which: paths (with * as in file names), types or modules, or a list of them; all modules without modules of their own
    unless given. gradients: also the gradient of each output, once backward has run inside the context. attention: the weights
    of every MultiheadAttention and F.scaled_dot_product_attention, each head apart, as they were used (dropout included);
    with nothing else given, only these.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> with train.capture(model, nn.Linear, gradients=True) as seen:
    ...     model(lamella.rand(3, 4)).sum().backward()
    >>> seen["0"].shape, list(seen.gradients), seen.gradients["2"][0].shape
    ((3, 8), ['2', '0'], (3, 2))
    >>> layer = nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = lamella.rand(1, 5, 8)
    >>> with train.capture(layer, attention=True) as seen:
    ...     y, _ = layer(x, x, x, need_weights=False)
    >>> seen.attention[""][0].shape
    (1, 2, 5, 5)
    """
    return Capture(model, which, gradients, attention)


# ---- distributions ---------------------------------------------------------------------------------------------------
@dataclass
class Distribution:
    """How `size` values are spread: counts, of those that are not exactly 0, between edges (the outermost 0.1 % are in the first
    and last bin), quantiles (`QUANTILES`), mean and standard deviation, the shares that are 0 and that are not finite (which are in nothing
    else); step, when."""

    counts: np.ndarray
    edges: np.ndarray
    quantiles: np.ndarray
    mean: float
    std: float
    zeros: float
    not_finite: float
    size: int
    step: int | None = None

    @classmethod
    def of(cls, values: Any, bins: int = 60, step: int | None = None) -> Distribution:
        """Of a tensor or array.

        >>> train.Distribution.of([0.0, 0.0, 1.0, 3.0]).zeros
        0.5
        """
        x = array(values).astype(np.float32).reshape(-1)
        good = x[np.isfinite(x)]
        if not len(good):
            empty = np.full(len(QUANTILES), np.nan)
            return cls(np.zeros(bins, np.int64), np.linspace(0, 1, bins + 1), empty, np.nan, np.nan, 0.0, 1.0 if len(x) else 0.0, len(x), step)
        q = np.quantile(good, (*QUANTILES, 0.001, 0.999))
        low, high = q[-2:]
        if low == high:
            low, high = q[0], q[len(QUANTILES) - 1]
        seen = np.clip(good[good != 0], low, high)
        counts, edges = np.histogram(seen, bins, (low, high) if low < high else (low - 0.5, high + 0.5))
        return cls(
            counts, edges, q[: len(QUANTILES)], float(good.mean(dtype=np.float64)), float(good.std(dtype=np.float64)),
            float((good == 0).mean()), 1 - len(good) / len(x), len(x), step,
        )  # fmt: skip


class Histograms(Callback):
    """Keeps the `Distribution` of the activations and of their gradients of layers, every so many steps (and at the first):
    `.activations` and `.gradients`, {path: [Distribution, ...]}, which `lamella.plots.histograms` draws.

    which: as in `capture`. Between those steps the model runs without hooks, at full speed.
    """

    def __init__(self, every: int = 100, which: Any = None, bins: int = 60) -> None:
        if every < 1:
            raise ValueError(f"[Histograms] every must be positive, got {every}")
        self.every, self.which, self.bins = every, which, bins
        self.activations: dict[str, list[Distribution]] = {}
        self.gradients: dict[str, list[Distribution]] = {}
        self._open: Capture | None = None

    def on_batch_start(self, trainer: Any, batch: Any) -> None:
        if self._open is None and trainer.steps_done % self.every == 0:
            self._open = capture(trainer.model, self.which, gradients=True).__enter__()

    def on_step_end(self, trainer: Any, figures: dict[str, Any]) -> None:
        if self._open is not None:
            self._close(trainer.steps_done)

    def on_evaluate_start(self, trainer: Any) -> None:
        if self._open is not None:
            self._open.__exit__()
            self._open = None

    def on_fit_end(self, trainer: Any) -> None:
        self.on_evaluate_start(trainer)

    def _close(self, step: int) -> None:
        assert self._open is not None
        self._open.__exit__()
        for kept, seen in ((self.activations, self._open.activations), (self.gradients, self._open.gradients)):
            for path in self._open.paths:  # in the model's order, which backward reverses
                if path in seen:
                    values = np.concatenate([array(t).reshape(-1) for t in seen[path]])
                    kept.setdefault(path, []).append(Distribution.of(values, self.bins, step))
        self._open = None
