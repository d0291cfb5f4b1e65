# SPDX-License-Identifier: MIT
"""Function: ops of one's own, with PyTorch's protocol."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import _core

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What forward and backward of a Function share. Any attribute may be set on it.

    `saved_tensors` are those given to `save_for_backward`; backward raises RuntimeError if one was changed in place since.
    `needs_input_grad` tells, per argument of forward, whether its gradient is wanted.
    """

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads = True
    _to_save: tuple[Any, ...] = ()
    _saved: tuple[Any, ...] | None = None
    _places: tuple[int | None, ...] = ()  # of each saved Tensor: which output it is, or None
    _constant: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps Tensors (or None) for backward; the way to keep inputs and outputs."""
        self._to_save = tensors

    def mark_non_differentiable(self, *args: Any) -> None:
        """These outputs take no gradient."""
        self._constant = args

    def mark_dirty(self, *args: Any) -> None:
        """These inputs were changed in place, and are outputs."""
        self._dirty = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for an output that got no gradient."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        return self._to_save if self._saved is None else self._saved


class Function:
    """An op of one's own: static methods `forward(ctx, *args)` and `backward(ctx, *grad_outputs)`; call it by `apply`.

    Or `forward(*args)` and `setup_context(ctx, inputs, output)`. forward is not recorded; backward returns one gradient per
    argument of forward (None for non-tensors), and is differentiable itself where it is written in lamella's ops.

    >>> class Cube(lamella.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, dy):
    ...         (x,) = ctx.saved_tensors
    ...         return dy * 3 * x * x
    >>> x = lamella.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    setup_context: Callable[..., None] | None = None

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise TypeError("[Function] forward must be defined by the subclass")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise TypeError("[Function] backward must be defined by the subclass")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(getattr(a, "requires_grad", False) for a in args)
        before = _core.set_grad_enabled(False)
        try:
            if cls.setup_context is None:
                output = cls.forward(ctx, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
        finally:
            _core.set_grad_enabled(before)
        if not before or not any(ctx.needs_input_grad):
            return output
        return _recorded(cls, ctx, args, output)


def _is_one_of(x: Any, several: tuple[Any, ...]) -> bool:
    return any(x is y for y in several)


def _recorded(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], output: Any) -> Any:
    several = isinstance(output, tuple | list)
    outputs = tuple(output) if several else (output,)
    found = []
    for y in outputs:  # an input that comes back as it is becomes a Tensor of its own, unless it was changed in place
        if _is_one_of(y, args) and not _is_one_of(y, ctx._dirty) and isinstance(y, _core.TensorBase):
            y = y.detach()
        found.append(y)
    ctx._places = tuple(next((i for i, y in enumerate(outputs) if y is t), None) for t in ctx._to_save)
    keep = any(p is not None for p in ctx._places)
    kept = tuple(t if p is None else None for t, p in zip(ctx._to_save, ctx._places, strict=True))
    likes = tuple((y.shape, y.dtype) if isinstance(y, _core.TensorBase) else None for y in outputs)

    def rule(node: Any, *dy: Any) -> Any:
        made = node.output if keep else None
        made = made if isinstance(made, tuple) else (made,)
        ctx._saved = tuple(t if p is None else made[p] for t, p in zip(node.ctx, ctx._places, strict=True))
        ctx.needs_input_grad = node.needs
        if ctx.materialize_grads:
            dy = tuple(
                _core.full(like[0], 0.0, like[1]) if d is None and like and like[1].is_floating_point else d
                for d, like in zip(dy, likes, strict=True)
            )
        try:
            grads = cls.backward(ctx, *dy)
        finally:
            ctx._saved = ()
        grads = tuple(grads) if isinstance(grads, tuple | list) else (grads,)
        while len(grads) > len(args) and grads[-1] is None:
            grads = grads[:-1]
        if len(grads) != len(args):
            raise RuntimeError(
                f"[{cls.__name__}] backward must return {len(args)} gradients, one per argument of forward, got {len(grads)}"
            )
        return grads

    rule.__name__ = cls.__name__
    targets = tuple(None if _is_one_of(y, ctx._constant) else z for y, z in zip(outputs, found, strict=True))
    ctx._to_save = ()
    if ctx._dirty and not several and _is_one_of(found[0], ctx._dirty):
        place = next(i for i, a in enumerate(args) if a is found[0])
        order = (place, *(i for i in range(len(args)) if i != place))

        def reordered(node: Any, dy: Any) -> Any:
            node = _Reordered(node, order)
            grads = rule(node, dy)
            return tuple(grads[i] for i in order)

        reordered.__name__ = cls.__name__
        _core.record_inplace(found[0], reordered, tuple(args[i] for i in order), kept, keep)
        return found[0]
    _core.record(targets if several else targets[0], rule, args, kept, keep)
    return type(output)(found) if several and type(output) in (tuple, list) else tuple(found) if several else found[0]


class _Reordered:
    """A node whose inputs were recorded in another order."""

    def __init__(self, node: Any, order: tuple[int, ...]) -> None:
        self.ctx, self.output = node.ctx, node.output
        needs = dict(zip(order, node.needs, strict=True))
        self.needs = tuple(needs[i] for i in range(len(order)))


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a backward that is not made of differentiable ops: differentiating its result raises RuntimeError."""

    @functools.wraps(function)
    def wrapper(ctx: Any, *grad_outputs: Any) -> Any:
        before = _core.set_grad_enabled(False)
        try:
            grads = function(ctx, *grad_outputs)
        finally:
            _core.set_grad_enabled(before)
        if not before:
            return grads
        several = isinstance(grads, tuple)
        tied = tuple(ctx.saved_tensors) + grad_outputs
        found = []
        for g in grads if several else (grads,):
            if isinstance(g, _core.TensorBase):
                g = _core.record(g.detach(), _refuse, tied)
            found.append(g)
        return tuple(found) if several else found[0]

    return wrapper


def _refuse(node: Any, *dy: Any) -> Any:
    raise RuntimeError("[once_differentiable] backward must be differentiated once only, got a second derivative")
