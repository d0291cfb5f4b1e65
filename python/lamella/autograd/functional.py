# SPDX-License-Identifier: MIT
"""Jacobians, Hessians and their products with vectors, of functions of Tensors.

func takes the Tensors of `inputs` (one, or a tuple) and returns one Tensor or a tuple of them (hessian, hvp, vhp: one
element). create_graph: results can be differentiated. strict: RuntimeError where an output does not depend on an input,
which otherwise gives zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _core
from . import enable_grad, grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _as_tuple(x: Any, op: str, what: str) -> tuple[tuple[Any, ...], bool]:
    several = isinstance(x, tuple | list)
    found = tuple(x) if several else (x,)
    for i, t in enumerate(found):
        if not isinstance(t, _core.TensorBase):
            raise TypeError(f"[{op}] {what} must be Tensors, got {type(t).__name__} at position {i}")
    return found, several


def _fresh(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    from ..ops.view import alias

    return tuple(alias(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in inputs)


def _call(op: str, func: Callable[..., Any], xs: tuple[Any, ...]) -> tuple[tuple[Any, ...], bool]:
    return _as_tuple(func(*xs), op, "outputs of func")


def _zeros(x: Any) -> Any:
    return _core.full(x.shape, 0.0, x.dtype, x)


def _grads(op, ys, xs, weights, create_graph, strict):
    """Gradients of the sum of weights . ys, zeros for what does not depend."""
    if strict and any(not y.requires_grad for y in ys):
        i = next(i for i, y in enumerate(ys) if not y.requires_grad)
        raise RuntimeError(f"[{op}] outputs must depend on the inputs where strict, got output {i} that does not")
    used = [(y, w) for y, w in zip(ys, weights, strict=True) if y.requires_grad]
    if not used:
        return tuple(map(_zeros, xs))
    outputs, ws = zip(*used, strict=True)
    grads = grad(outputs, xs, ws, retain_graph=True, create_graph=create_graph, allow_unused=True)
    if strict and any(g is None for g in grads):
        i = next(i for i, g in enumerate(grads) if g is None)
        raise RuntimeError(f"[{op}] outputs must depend on every input where strict, got none on input {i}")
    return tuple(_zeros(x) if g is None else g for g, x in zip(grads, xs, strict=True))


def _detached(x: Any, create_graph: bool) -> Any:
    return x if create_graph else tuple(map(_no_graph, x)) if isinstance(x, tuple) else _no_graph(x)


def _no_graph(x: Any) -> Any:
    return _detached(x, False) if isinstance(x, tuple) else x.detach()


def _vectors(op: str, v: Any, like: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    from ..ops.creation import ones_like

    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"[{op}] v must be given unless {what} is one element")
        return (ones_like(like[0]),)
    v, _ = _as_tuple(v, op, "v")
    if [t.shape for t in v] != [t.shape for t in like]:
        raise RuntimeError(f"[{op}] v must have the shapes of {what}, {[t.shape for t in like]}, got {[t.shape for t in v]}")
    return v


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """d func / d inputs: for an output of shape s and an input of shape t, (*s, *t). Of several outputs or inputs a tuple of
    them, outputs first. One backward pass per element of the outputs (`vectorize` and `strategy` change nothing).

    >>> x = lamella.tensor([1.0, 2.0])
    >>> lamella.autograd.functional.jacobian(lambda t: t * t, x)
    tensor([[2., 0.],
            [0., 4.]])
    """
    from ..ops.join import stack

    inputs, many_in = _as_tuple(inputs, "jacobian", "inputs")
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        ys, many_out = _call("jacobian", func, xs)
        rows = []
        for y in ys:
            parts = []
            for at in range(y.numel()):
                weight = _zeros(y)
                _core.fill_(_core.select(_core.reshape(weight, (-1,)), 0, at), 1.0)
                parts.append(_grads("jacobian", (y,), xs, (weight,), create_graph, strict))
            shape = tuple(y.shape)
            row = tuple(
                stack(g).reshape(shape + tuple(x.shape)) if g else _core.full(shape + tuple(x.shape), 0.0, x.dtype, x)
                for g, x in zip(zip(*parts, strict=True) if parts else [()] * len(xs), xs, strict=True)
            )
            rows.append(row if many_in else row[0])
    return _detached(tuple(rows) if many_out else rows[0], create_graph)


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The second derivatives of func, which gives one element: for inputs of shapes s and t, (*s, *t); of several inputs a
    tuple of tuples.

    >>> x = lamella.tensor([1.0, 2.0])
    >>> lamella.autograd.functional.hessian(lambda t: (t * t * t).sum(), x)
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _, many = _as_tuple(inputs, "hessian", "inputs")

    def first(*xs):
        (y,), _ = _call("hessian", func, xs)
        if y.numel() != 1:
            raise RuntimeError(f"[hessian] func must give one element, got {tuple(y.shape)}")
        found = _gradient(y, xs, strict)
        return found if many else found[0]

    return jacobian(first, inputs, create_graph, strict)


def _gradient(y, xs, strict):
    from ..ops.creation import ones_like

    return _grads("hessian", (y,), xs, (ones_like(y),), True, strict)


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), v . Jacobian), v of the outputs' shapes (1 where there is one element)."""
    inputs, many_in = _as_tuple(inputs, "vjp", "inputs")
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        ys, many_out = _call("vjp", func, xs)
        found = _grads("vjp", ys, xs, _vectors("vjp", v, ys, "the outputs"), create_graph, strict)
    return _detached(ys if many_out else ys[0], create_graph), _detached(found if many_in else found[0], create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), Jacobian . v), v of the inputs' shapes: by two backward passes, the second through the first."""
    inputs, _ = _as_tuple(inputs, "jvp", "inputs")
    v = _vectors("jvp", v, inputs, "the inputs")
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        ys, many_out = _call("jvp", func, xs)
        dummies = tuple(_zeros(y).requires_grad_() for y in ys)
        first = _grads("jvp", ys, xs, dummies, True, strict)
        found = _grads("jvp", first, dummies, v, create_graph, False)
    return _detached(ys if many_out else ys[0], create_graph), _detached(found if many_out else found[0], create_graph)


def _second(op, func, inputs, v, create_graph, strict):
    inputs, many_in = _as_tuple(inputs, op, "inputs")
    v = _vectors(op, v, inputs, "the inputs")
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        (y,), _ = _call(op, func, xs)
        if y.numel() != 1:
            raise RuntimeError(f"[{op}] func must give one element, got {tuple(y.shape)}")
        first = _gradient(y, xs, strict)
        found = _grads(op, first, xs, v, create_graph, strict)
    return _detached(y, create_graph), _detached(found if many_in else found[0], create_graph)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), Hessian . v): the gradient of (gradient . v), as the Hessian is symmetric."""
    return _second("hvp", func, inputs, v, create_graph, strict)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), v . Hessian)."""
    return _second("vhp", func, inputs, v, create_graph, strict)
