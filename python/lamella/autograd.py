# SPDX-License-Identifier: MIT
"""Automatic differentiation: switches, `grad`, `Function`, and what ops use to record themselves.

The tape itself is in the extension (cpp/bindings/node.cpp and engine.cpp); the rules stand below each op in lamella.ops.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import _core

is_grad_enabled = _core.is_grad_enabled
prepare_inplace = _core.prepare_inplace
record = _core.record
record_inplace = _core.record_inplace

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]


class set_grad_enabled:
    """Switches recording on this thread, at once and until the end of a `with` block; also a decorator.

    >>> with lamella.set_grad_enabled(training):
    ...     loss = model(x)
    """

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.before = _core.set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        _core.set_grad_enabled(self.mode)

    def __exit__(self, *exc: object) -> None:
        _core.set_grad_enabled(self.before)


class _GradMode:
    """A context manager and decorator that sets recording to `on` inside."""

    on = False
    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = _core.set_grad_enabled(self.on)

    def __exit__(self, *exc: object) -> None:
        _core.set_grad_enabled(self._before)

    def __new__(cls, function: Callable[..., Any] | bool | None = None) -> Any:
        self = super().__new__(cls)
        return self(function) if callable(function) else self

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        cls = type(self)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with cls():
                return function(*args, **kwargs)

        return wrapper


class no_grad(_GradMode):
    """Ops inside are not recorded. `with no_grad():` or `@no_grad()`."""


class inference_mode(_GradMode):
    """Same as `no_grad`: tensors made inside need no extra flag here, they simply have no history."""


class enable_grad(_GradMode):
    """Ops inside are recorded, also within `no_grad`."""

    on = True


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
    """Adds the gradient of `tensors` (weighted by `grad_tensors`; ones for scalars) to `.grad` of every leaf.

    Raises RuntimeError if a tensor does not require gradient, is not a scalar and has no weight, if the graph was freed
    by an earlier call without `retain_graph`, or if a saved tensor was changed in place.
    """
    tensors = _tuple(tensors)
    weights = _tuple(grad_tensors) if grad_tensors is not None else (None,) * len(tensors)
    if len(weights) != len(tensors):
        raise ValueError(f"[backward] grad_tensors must be one per tensor ({len(tensors)}), got {len(weights)}")
    _core.run_backward(tensors, weights, None, create_graph if retain_graph is None else retain_graph, create_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` (weighted by `grad_outputs`) with respect to `inputs`, as a tuple; `.grad` stays alone.

    With `create_graph` the gradients are themselves recorded, to any order. Raises RuntimeError if an input was not used
    (unless `allow_unused`, which gives None, or `materialize_grads`, which gives zeros) or does not require gradient.
    """
    outputs, inputs = _tuple(outputs), _tuple(inputs)
    weights = _tuple(grad_outputs) if grad_outputs is not None else (None,) * len(outputs)
    if len(weights) != len(outputs):
        raise ValueError(f"[grad] grad_outputs must be one per output ({len(outputs)}), got {len(weights)}")
    for i, x in enumerate(inputs):
        if not getattr(x, "requires_grad", False):
            raise RuntimeError(f"[grad] inputs must require gradient, got one that does not at position {i}")
    retain = create_graph if retain_graph is None else retain_graph
    grads = _core.run_backward(outputs, weights, inputs, retain, create_graph)
    if materialize_grads:
        from .ops.creation import zeros_like

        return tuple(zeros_like(x) if g is None else g for g, x in zip(grads, inputs, strict=True))
    if not allow_unused and any(g is None for g in grads):
        i = next(i for i, g in enumerate(grads) if g is None)
        raise RuntimeError(f"[grad] inputs must be used by the outputs, got an unused one at position {i}: allow_unused=True")
    return grads


def vjp(function: Callable[..., Any], inputs: Sequence[Any], *dy: Any) -> tuple[Any, ...]:
    """Gradients of `function(*inputs)`, weighted by `dy`, one per input (None for what takes none), themselves recorded.

    For rules of fused ops: `return vjp(op_unfused, (x, weight), dy)` is the rule in differentiable ops.
    """
    from .ops.view import alias

    is_input = [getattr(x, "requires_grad", False) for x in inputs]
    with enable_grad():
        fresh = [alias(x) if wanted else x for x, wanted in zip(inputs, is_input, strict=True)]
        outputs = function(*fresh)
        pairs = [(y, d) for y, d in zip(_tuple(outputs), dy, strict=True) if d is not None and y.requires_grad]
        wanted = [x for x, w in zip(fresh, is_input, strict=True) if w]
        if not pairs or not wanted:
            return (None,) * len(is_input)
        ys, ds = zip(*pairs, strict=True)
        grads = iter(grad(ys, wanted, ds, create_graph=True, allow_unused=True))
    return tuple(next(grads) if w else None for w in is_input)


class Function:
    """An op of your own: static methods `forward(ctx, *args)` and `backward(ctx, *dy)`; call it by `apply`.

    `ctx.save_for_backward(*tensors)` in forward, `ctx.saved_tensors` in backward; any other attribute may be set on ctx.
    backward returns one gradient per argument of forward (None for non-tensors). Differentiable again if backward is
    written in lamella's ops.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise TypeError("[Function] forward must be defined by the subclass")

    @staticmethod
    def backward(ctx: Any, *dy: Any) -> Any:
        raise TypeError("[Function] backward must be defined by the subclass")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        ctx = _Context()
        with no_grad():
            output = cls.forward(ctx, *args)
        several = isinstance(output, tuple)
        outputs = tuple(y.detach() if any(y is a for a in args) else y for y in _tuple(output))
        ctx.needs_input_grad = tuple(getattr(a, "requires_grad", False) for a in args)
        saved, kept = [], {}
        for t in ctx._to_save:  # outputs are kept by the node, everything else goes into its ctx
            position = next((i for i, y in enumerate(outputs) if y is t), None)
            kept[len(saved)] = position
            saved.append(None if position is not None else t)
        ctx._kept = kept

        def rule(node: Any, *dy: Any) -> Any:
            ctx._saved = node.ctx
            ctx.needs_input_grad = node.needs
            ctx._outputs = _tuple(node.output) if any(p is not None for p in kept.values()) else ()
            grads = _tuple(cls.backward(ctx, *dy))
            ctx._saved = ctx._outputs = ()
            if len(grads) != len(args):
                raise RuntimeError(f"[{cls.__name__}] backward must return {len(args)} gradients, one per argument of forward, got {len(grads)}")
            return grads

        rule.__name__ = cls.__name__
        keep = any(p is not None for p in kept.values())
        record(outputs if several else outputs[0], rule, args, tuple(saved), keep)
        return outputs if several else outputs[0]


class _Context:
    _to_save: tuple[Any, ...] = ()
    _saved: tuple[Any, ...] = ()
    _outputs: tuple[Any, ...] = ()
    _kept: dict[int, int | None] = {}

    def save_for_backward(self, *tensors: Any) -> None:
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if not self._saved and self._to_save:
            return self._to_save
        return tuple(
            t if self._kept[i] is None else self._outputs[self._kept[i]] for i, t in enumerate(self._saved)
        )


def _current_line() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and "/lamella/" in frame.f_code.co_filename.replace("\\", "/"):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


class detect_anomaly:
    """Inside, every recorded op keeps the line that called it, and errors in backward name that line."""

    def __enter__(self) -> None:
        _core.set_anomaly(_current_line)

    def __exit__(self, *exc: object) -> None:
        _core.set_anomaly(None)
