# SPDX-License-Identifier: MIT
"""Parameters that are functions of others: `layer.weight` is computed each time it is read.

Keys of the state_dict are PyTorch's: parametrizations.weight.original, or original0, original1, ... where right_inverse gives
several tensors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from ...autograd import no_grad
from ...tensor import Tensor
from ..container import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]

_caches: list[dict[tuple[int, str], Tensor]] = []  # one while inside `cached`


@contextlib.contextmanager
def cached():
    """Inside, each parametrised tensor is computed once, when it is first read."""
    _caches.append({})
    try:
        yield
    finally:
        _caches.pop()


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, first to last, and what they start from: `original`, or original0, original1, ...;
    called, it gives the tensor."""

    def __init__(self, modules: list[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        value: Any = original
        with no_grad():
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    value = module.right_inverse(value)
        self.unsafe = unsafe
        self.is_tensor = isinstance(value, Tensor)
        self.ntensors = 1 if self.is_tensor else len(value)
        trained = original.requires_grad
        if self.is_tensor and isinstance(original, Parameter):
            original.data = value.detach() if value is not original else original.data
            self.original = original  # the same object: an optimiser that holds it goes on
        elif self.is_tensor:
            self.register_buffer("original", value)
        else:
            for i, part in enumerate(value):
                if isinstance(original, Parameter):
                    setattr(self, f"original{i}", Parameter(part.detach(), requires_grad=trained))
                else:
                    self.register_buffer(f"original{i}", part)

    def originals(self) -> tuple[Tensor, ...]:
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        return tuple(getattr(self, name) for name in names)

    def forward(self) -> Tensor:
        first, *rest = list(self)
        x = first(*self.originals())
        for module in rest:
            x = module(x)
        return x

    def right_inverse(self, value: Tensor) -> None:
        """Sets the originals so that forward gives `value`, as far as the parametrisations' right_inverse can."""
        with no_grad():
            parts: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"[parametrize] {type(module).__name__} must have right_inverse to be assigned to")
                parts = module.right_inverse(parts)
            for held, part in zip(self.originals(), (parts,) if isinstance(parts, Tensor) else parts, strict=True):
                held.copy_(part)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has parametrisations, of this tensor if named."""
    held = module.__dict__.get("parametrizations")
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def type_before_parametrizations(module: Module) -> type:
    """The class that it had."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Module:
    """From now on module.<tensor_name> is parametrization(original); a further one is applied to the result.

    parametrization.right_inverse(value), where there is one, gives the original(s) for the value there now. Unless `unsafe`,
    the result must have the tensor's shape and dtype (ValueError).
    """
    op = "[register_parametrization]"
    if is_parametrized(module, tensor_name):
        held = module.parametrizations[tensor_name]
        before = held()
        modules = [*held, parametrization]
        if hasattr(parametrization, "right_inverse"):
            with no_grad():
                value = parametrization.right_inverse(before)
                held.right_inverse(value)
        held._refill(modules)
        after = held()
    else:
        original = module.__dict__.get(tensor_name)
        if not isinstance(original, Tensor):
            raise ValueError(f"{op} tensor_name must name a parameter or buffer of {type(module).__name__}, got {tensor_name!r}")
        before = original.detach().clone()
        held = ParametrizationList([parametrization], original, unsafe)
        after = held()
        if not unsafe:
            _check_result(op, before, after)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.parametrizations = ModuleDict()
            module.__class__ = _class_of(type(module), ())
        module.parametrizations[tensor_name] = held
        names = tuple(module.parametrizations.keys())
        module.__class__ = _class_of(type_before_parametrizations(module), names)
    if not unsafe:
        _check_result(op, before, after)
    return module


def _check_result(op: str, before: Tensor, after: Tensor) -> None:
    if tuple(before.shape) != tuple(after.shape) or before.dtype is not after.dtype:
        raise ValueError(
            f"{op} parametrization must keep shape and dtype {tuple(before.shape)} {before.dtype}, got "
            f"{tuple(after.shape)} {after.dtype}: unsafe=True allows it"
        )


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """The tensor is plain again: with the value it has now, or, if not leave_parametrized, with the original's."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"[remove_parametrizations] tensor_name must be parametrised, got {tensor_name!r}")
    held = module.parametrizations[tensor_name]
    originals = held.originals()
    if leave_parametrized:
        value = held().detach()
    elif held.is_tensor:
        value = originals[0].detach()
    else:
        raise ValueError("[remove_parametrizations] leave_parametrized must be True where there are several originals")
    base = type_before_parametrizations(module)
    del module.parametrizations[tensor_name]
    names = tuple(module.parametrizations.keys())
    if names:
        module.__class__ = _class_of(base, names)
    else:
        module.__class__ = base
        del module.parametrizations
    if not isinstance(originals[0], Parameter):
        module.register_buffer(tensor_name, value)
    elif held.is_tensor:
        originals[0].data = value
        setattr(module, tensor_name, originals[0])
    else:
        setattr(module, tensor_name, Parameter(value, requires_grad=originals[0].requires_grad))
    return module


# ---- the class of a parametrised module -----------------------------------------------------------------------------
_classes: dict[tuple[type, tuple[str, ...]], type] = {}


def _class_of(base: type, names: tuple[str, ...]) -> type:
    """`base` with a property for each name; pickled as (base, names, state)."""
    if (base, names) not in _classes:
        body: dict[str, Any] = {name: _property(name) for name in names}
        body["__reduce_ex__"] = lambda self, protocol: (_empty, (base, names), dict(self.__dict__))
        body["__module__"] = base.__module__
        _classes[base, names] = type(f"Parametrized{base.__name__}", (base,), body)
    return _classes[base, names]


def _empty(base: type, names: tuple[str, ...]) -> Module:
    cls = _class_of(base, names)
    return cls.__new__(cls)


def _property(name: str) -> property:
    def get(self: Module) -> Tensor:
        held: Callable[[], Tensor] = self.__dict__["parametrizations"][name]
        if not _caches:
            return held()
        key = (id(self), name)
        if key not in _caches[-1]:
            _caches[-1][key] = held()
        return _caches[-1][key]

    def put(self: Module, value: Tensor) -> None:
        self.__dict__["parametrizations"][name].right_inverse(value)

    return property(get, put)
