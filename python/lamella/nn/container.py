# SPDX-License-Identifier: MIT
"""Modules and parameters in a row or under names: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict.

The members are attributes named "0", "1", ... (or by key), which is what gives the state_dict PyTorch's keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from ..tensor import Tensor
from .module import Module
from .parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Members(Module):
    """Holds attributes of one type as its members, in order."""

    _type: type = Module

    def _items(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.__dict__.items() if isinstance(value, self._type)]

    def _put(self, name: str, value: Any) -> None:
        if not isinstance(value, self._type):
            raise TypeError(
                f"[{type(self).__name__}] members must be a {self._type.__name__}, got {type(value).__name__} at {name!r}"
            )
        self.__dict__[name] = value

    def __len__(self) -> int:
        return len(self._items())


class _List(_Members):
    def _name(self, index: int) -> str:
        names = [name for name, _ in self._items()]
        if not -len(names) <= index < len(names):
            raise IndexError(f"[{type(self).__name__}] index must be within {len(names)} members, got {index}")
        return names[index]

    def _refill(self, values: Iterable[Any]) -> None:
        values = list(values)
        for name, _ in self._items():
            del self.__dict__[name]
        for i, value in enumerate(values):
            self._put(str(i), value)

    def __iter__(self) -> Iterator[Any]:
        return iter([value for _, value in self._items()])

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._of(list(self)[index])
        return self.__dict__[self._name(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        self._put(self._name(index), value)

    def __delitem__(self, index: int | slice) -> None:
        values = list(self)
        del values[index]
        self._refill(values)

    def _of(self, values: list[Any]) -> Self:
        return type(self)(values)

    def append(self, value: Any) -> Self:
        self._put(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        for value in values:
            self.append(value)
        return self

    __iadd__ = extend

    def insert(self, index: int, value: Any) -> Self:
        values = list(self)
        values.insert(index, value)
        self._refill(values)
        return self

    def pop(self, index: int = -1) -> Any:
        value = self[index]
        del self[index]
        return value


class Sequential(_List):
    """y = modules[-1](... modules[0](x)): takes modules, or one dict of name to module."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self._refill(modules)

    def _of(self, values: list[Module]) -> Sequential:
        return Sequential(*values)

    def forward(self, x: Any) -> Any:
        for module in self.__dict__.values():
            if isinstance(module, Module):
                x = module(x)
        return x


class ModuleList(_List):
    """A list of modules that their owner calls."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self._refill(modules)

    def _repr_children(self) -> list[tuple[str, str]]:
        runs: list[list[Any]] = []  # equal neighbours as one line: "(0-5): 6 x Block(...)"
        for i, module in enumerate(self):
            if runs and runs[-1][2] == repr(module):
                runs[-1][1] = i
            else:
                runs.append([i, i, repr(module)])
        return [(f"{a}-{b}", f"{b - a + 1} x {text}") if b > a else (str(a), text) for a, b, text in runs]


class _Dict(_Members):
    def update(self, members: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        for name, value in dict(members).items():
            self[name] = value

    def keys(self) -> list[str]:
        return [name for name, _ in self._items()]

    def values(self) -> list[Any]:
        return [value for _, value in self._items()]

    def items(self) -> list[tuple[str, Any]]:
        return self._items()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(f"[{type(self).__name__}] key must be one of {self.keys()}, got {name!r}")
        return self.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str) or not name or "." in name or (name not in self and hasattr(self, name)):
            raise KeyError(
                f"[{type(self).__name__}] key must be a string without '.' that is no attribute of it, got {name!r}"
            )
        self._put(name, value)

    def __delitem__(self, name: str) -> None:
        self[name]
        del self.__dict__[name]

    def pop(self, name: str) -> Any:
        value = self[name]
        del self[name]
        return value

    def clear(self) -> None:
        for name in self.keys():
            del self.__dict__[name]


class ModuleDict(_Dict):
    """Modules under names."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)


def _parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _parameters_repr(owner: _Members) -> str:
    lines = [
        f"  ({name}): Parameter containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}]"
        for name, value in owner._items()
    ]
    return f"{type(owner).__name__}(" + "\n".join(lines) + ")"


class ParameterList(_List):
    """A list of parameters; Tensors become Parameters."""

    _type = Parameter
    _put: Callable = lambda self, name, value: _Members._put(self, name, _parameter(value))

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self._refill(values)

    def __repr__(self) -> str:
        return _parameters_repr(self)


class ParameterDict(_Dict):
    """Parameters under names; Tensors become Parameters."""

    _type = Parameter
    _put: Callable = ParameterList._put

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = ()) -> None:
        super().__init__()
        self.update(parameters)

    def __repr__(self) -> str:
        return _parameters_repr(self)
