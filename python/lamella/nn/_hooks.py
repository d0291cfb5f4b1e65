# SPDX-License-Identifier: MIT
"""Hooks of a Module. A module without any has `_hooks` None, and its call does not come here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ..autograd import record
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module


class RemovableHandle:
    """Takes its hook away: by `remove()`, or at the end of a `with` block."""

    def __init__(self, module: Module, kind: str, hook: object) -> None:
        self._module, self._kind, self._hook = module, kind, hook

    def remove(self) -> None:
        hooks = self._module._hooks
        if hooks is None:
            return
        setattr(hooks, self._kind, [entry for entry in getattr(hooks, self._kind) if entry is not self._hook])
        if not (hooks.pre or hooks.post or hooks.backward or hooks.backward_pre):
            self._module._hooks = None  # back to the lean call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module; an entry is (hook, with_kwargs)."""

    def __init__(self) -> None:
        self.pre: list[tuple[Callable, bool]] = []
        self.post: list[tuple[Callable, bool]] = []
        self.backward: list[tuple[Callable, bool]] = []
        self.backward_pre: list[tuple[Callable, bool]] = []

    @staticmethod
    def add(module: Module, kind: str, hook: Callable, prepend: bool, with_kwargs: bool) -> RemovableHandle:
        if module._hooks is None:
            module._hooks = Hooks()
        entry = (hook, with_kwargs)
        entries = getattr(module._hooks, kind)
        setattr(module._hooks, kind, [entry, *entries] if prepend else [*entries, entry])
        return RemovableHandle(module, kind, entry)


def call_with_hooks(module: Module, hooks: Hooks, args: tuple, kwargs: dict[str, Any]) -> Any:
    for hook, with_kwargs in hooks.pre:
        result = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if result is None:
            continue
        if with_kwargs:
            args, kwargs = result
        else:
            args = result if isinstance(result, tuple) else (result,)
    watch = _Watch(module, hooks) if hooks.backward or hooks.backward_pre else None
    if watch:
        args = watch.inputs(args)
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in hooks.post:
        result = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        if result is not None:
            output = result
    return watch.outputs(output) if watch else output


class _Watch:
    """Identity nodes around one forward: that of the outputs sees grad_output, that of the inputs then runs the hooks."""

    def __init__(self, module: Module, hooks: Hooks) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks.backward, hooks.backward_pre
        self.grad_output: tuple = ()
        self.count = 0  # of positional inputs; the hooks see one grad_input for each
        self.slots: list[int] = []  # which of them need a gradient

    def inputs(self, args: tuple) -> tuple:
        self.count = len(args)
        self.slots = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not self.slots:
            return args
        passed = _identity([args[i] for i in self.slots], lambda node, *dys: self.run(dys))
        filled = list(args)
        for i, tensor in zip(self.slots, passed, strict=True):
            filled[i] = tensor
        return tuple(filled)

    def outputs(self, output: Any) -> Any:
        several = isinstance(output, (tuple, list))
        tensors = list(output) if several else [output]
        wanted = [i for i, t in enumerate(tensors) if isinstance(t, Tensor) and t.requires_grad]
        if not wanted:
            return output

        def seen(node: Any, *dys: Any) -> tuple:
            grads: list[Any] = [None] * len(tensors)
            for i, dy in zip(wanted, dys, strict=True):
                grads[i] = dy
            self.grad_output = tuple(grads)
            for hook, _ in self.pre_hooks:
                result = hook(self.module, self.grad_output)
                if result is not None:
                    self.grad_output = result if isinstance(result, tuple) else (result,)
            if not self.slots:
                self.run(())
            return tuple(self.grad_output[i] for i in wanted)

        for i, tensor in zip(wanted, _identity([tensors[i] for i in wanted], seen), strict=True):
            tensors[i] = tensor
        return type(output)(tensors) if several else tensors[0]

    def run(self, dys: tuple) -> tuple:
        grads: list[Any] = [None] * self.count
        for i, dy in zip(self.slots, dys, strict=True):
            grads[i] = dy
        grad_input: Any = tuple(grads)
        for hook, _ in self.hooks:
            result = hook(self.module, grad_input, self.grad_output)
            if result is not None:
                grad_input = result if isinstance(result, tuple) else (result,)
        return tuple(grad_input[i] for i in self.slots)


def _identity(tensors: list[Tensor], rule: Callable) -> tuple[Tensor, ...]:
    if len(tensors) == 1:
        return (record(tensors[0].detach(), rule, tuple(tensors)),)
    return record(tuple(t.detach() for t in tensors), rule, tuple(tensors))
