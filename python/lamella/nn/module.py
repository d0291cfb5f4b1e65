# SPDX-License-Identifier: MIT
"""Module: the base of every layer and model.

Parameters, buffers and submodules are ordinary attributes: they live in the instance's `__dict__`, in the order in which
they were set, and the walks below find them there by type. Reading one costs what reading any attribute costs, there is
no `__getattr__` and no order in which `super().__init__()` must come. Only buffers need a note of their own, since they
are plain Tensors: `_buffers` maps the name of each to whether the state_dict holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from ..autograd import no_grad
from ..ops.creation import empty_like
from ..tensor import Tensor
from ._blame import blame
from ._hooks import Hooks, RemovableHandle, call_with_hooks
from ._state import LoadResult, load_state
from .parameter import Parameter

__all__ = ["Module"]


class Module:
    """A function with parameters: a subclass sets them as attributes and defines `forward`.

    >>> class Net(Module):
    ...     def __init__(self):
    ...         self.fc1, self.fc2 = Linear(64, 32), Linear(32, 10)
    ...     def forward(self, x):                   # (n, 64) -> (n, 10)
    ...         return self.fc2(self.fc1(x).relu())

    Names, arguments and state_dict keys are those of torch.nn.Module. An error raised in a `forward` is prefixed, once,
    with the path of the layer that it came from.
    """

    training: bool = True
    _buffers: dict[str, bool] | None = None  # name -> persistent
    _hooks: Hooks | None = None

    def __init__(self) -> None:
        pass

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"[Module] {type(self).__name__} must define forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return call_with_hooks(self, self._hooks, args, kwargs)
        except Exception as error:
            blame(self, error)
            raise

    # ---- setting and deleting ----------------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        """A name that holds a Parameter, a module or a buffer keeps its kind, or becomes None: TypeError otherwise, since
        a plain value in its place would be lost to `parameters()` without a word."""
        held = self.__dict__.get(name)
        if isinstance(held, Parameter) and not (value is None or isinstance(value, Parameter)):
            _refuse(self, "parameter", name, "Parameter", value)
        if isinstance(held, Module) and not (value is None or isinstance(value, (Module, Parameter))):
            _refuse(self, "child module", name, "Module", value)
        if self._buffers and name in self._buffers:
            if isinstance(value, (Parameter, Module)):
                self._buffers = {n: kept for n, kept in self._buffers.items() if n != name}
            elif value is not None and not isinstance(value, Tensor):
                _refuse(self, "buffer", name, "Tensor", value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if self._buffers and name in self._buffers:
            self._buffers = {n: kept for n, kept in self._buffers.items() if n != name}
        object.__delattr__(self, name)

    # ---- what is in it -----------------------------------------------------------------------------------------------
    def _own_parameters(self) -> list[tuple[str, Parameter]]:
        return [(name, value) for name, value in self.__dict__.items() if isinstance(value, Parameter)]

    def _own_buffers(self) -> list[tuple[str, Tensor]]:
        own = [(name, self.__dict__.get(name)) for name in self._buffers or ()]
        return [(name, value) for name, value in own if isinstance(value, Tensor)]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of each direct submodule; one that has several names comes once."""
        seen: set[int] = set()
        for name, value in self.__dict__.items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module (path "") and all below it, each before its children."""
        memo = set() if memo is None else memo
        if remove_duplicate:
            if id(self) in memo:
                return
            memo.add(id(self))
        yield prefix, self
        for name, value in self.__dict__.items():
            if isinstance(value, Module):
                yield from value.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def _named(
        self, own: Callable[[Module], list[tuple[str, Tensor]]], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in own(module):
                if remove_duplicate and id(value) in seen:
                    continue
                seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and those below it; a shared (tied) parameter comes once."""
        return self._named(Module._own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (value for _, value in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (value for _, value in self.named_buffers(recurse=recurse))

    def _find(self, op: str, path: str) -> Any:
        found: Any = self
        for i, name in enumerate(path.split(".") if path else ()):
            try:
                found = getattr(found, name)
            except AttributeError:
                where = ".".join(path.split(".")[:i]) or type(self).__name__
                raise AttributeError(f"[{op}] target must name an attribute of {where}, got {name!r}") from None
        return found

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "encoder.2.fc1"; "" is this module. AttributeError where there is none."""
        found = self._find("get_submodule", target)
        if not isinstance(found, Module):
            raise AttributeError(f"[get_submodule] target must be a Module, got {target!r}: {type(found).__name__}")
        return found

    def get_parameter(self, target: str) -> Parameter:
        found = self._find("get_parameter", target)
        if not isinstance(found, Parameter):
            raise AttributeError(f"[get_parameter] target must be a Parameter, got {target!r}: {type(found).__name__}")
        return found

    def get_buffer(self, target: str) -> Tensor:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in (owner._buffers or ()):
            raise AttributeError(f"[get_buffer] target must be a registered buffer, got {target!r}")
        return owner.__dict__[name]

    def set_submodule(self, target: str, module: Module) -> None:
        """Puts `module` at a path such as "encoder.2.fc1", whose owner must be there."""
        path, _, name = target.rpartition(".")
        if not name or not isinstance(module, Module):
            raise ValueError(f"[set_submodule] target must be a path and module a Module, got {target!r} and {type(module).__name__}")
        setattr(self.get_submodule(path), name, module)

    # ---- putting things in -------------------------------------------------------------------------------------------
    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """A Tensor that is state but not trained; in the state_dict if `persistent`. None keeps the name free."""
        _check_name(self, "register_buffer", name, taken=name not in (self._buffers or ()))
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"[register_buffer] tensor must be a Tensor or None, got {type(tensor).__name__}")
        self._buffers = {**(self._buffers or {}), name: persistent}
        self.__dict__[name] = tensor

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        _check_name(self, "register_parameter", name, taken=not isinstance(self.__dict__.get(name), Parameter))
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"[register_parameter] param must be a Parameter or None, got {type(param).__name__}")
        self.__dict__[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        _check_name(self, "add_module", name, taken=not isinstance(self.__dict__.get(name), Module))
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"[add_module] module must be a Module or None, got {type(module).__name__}")
        self.__dict__[name] = module

    register_module = add_module

    # ---- changing all of it ------------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Training mode (dropout draws, batch norm uses the batch) or, with False, evaluation mode, for all modules."""
        if not isinstance(mode, bool):
            raise ValueError(f"[train] mode must be a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach().zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """fn(module) for every module, children first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Every parameter (which stays the same object), gradient and buffer t becomes fn(t); shared ones once."""
        with no_grad():
            for parameter in self.parameters():
                parameter.data = fn(parameter.data)
                if parameter.grad is not None:
                    parameter.grad = fn(parameter.grad)
            done: dict[int, Tensor] = {}
            for module in self.modules():
                for name, buffer in module._own_buffers():
                    if id(buffer) not in done:
                        done[id(buffer)] = fn(buffer)
                    module.__dict__[name] = done[id(buffer)]
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """to(dtype), to(device), to(device, dtype) or to(tensor): in place. A dtype is that of the floating ones only;
        memory_format is taken for the sake of programs that name it: kernels read weights as they lie."""
        kwargs.pop("memory_format", None)
        others = [a.dtype if isinstance(a, Tensor) else a for a in (*args, *kwargs.values())]
        dtype = next((a for a in others if type(a) is type(_float32())), None)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"[Module.to] dtype must be floating, got {dtype}")
        rest = tuple(a.device if isinstance(a, Tensor) else a for a in args if a is not dtype)
        named = {"device" if isinstance(a, Tensor) else name: a for name, a in kwargs.items() if a is not dtype}
        named = {name: a.device if isinstance(a, Tensor) else a for name, a in named.items()}

        def move(t: Tensor) -> Tensor:
            t = t.to(*rest, **named) if rest or named else t
            return t.to(dtype) if dtype is not None and t.dtype.is_floating_point else t

        return self._apply(move)

    def float(self) -> Self:
        return self.to(_dtype("float32"))

    def double(self) -> Self:
        return self.to(_dtype("float64"))

    def half(self) -> Self:
        return self.to(_dtype("float16"))

    def bfloat16(self) -> Self:
        return self.to(_dtype("bfloat16"))

    def type(self, dst_type: Any) -> Self:
        return self.to(dst_type)

    def cpu(self) -> Self:
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        return self.to("cuda" if device is None else device)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Parameters and buffers of the same shapes on `device`, values undefined."""
        return self._apply(lambda t: empty_like(t, device=device))

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(
        self, *, destination: dict[str, Tensor] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """{path: tensor} of all parameters and persistent buffers, detached (unless `keep_vars`), sharing their memory;
        put into `destination` if that is given."""
        state: dict[str, Tensor] = {} if destination is None else destination
        for path, module in self.named_modules(None, "", remove_duplicate=False):
            kept = [(name, value) for name, value in module._own_buffers() if module._buffers[name]]
            for name, value in (*module._own_parameters(), *kept):
                state[f"{prefix}{path}.{name}" if path else prefix + name] = value if keep_vars else value.detach()
        return state

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False) -> LoadResult:
        """Copies the values (Tensors or NumPy arrays) in place, cast to the dtype that is there; with `assign` the tensors
        themselves become the parameters and buffers, with their dtypes.

        RuntimeError, with nothing written, if a shape differs or, where `strict`, a name is missing or unknown.
        Returns (missing_keys, unexpected_keys).
        """
        return load_state(self, state_dict, strict, assign)

    # ---- hooks -------------------------------------------------------------------------------------------------------
    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """hook(module, args) before each forward; what it returns, unless None, replaces args.

        With `with_kwargs`: hook(module, args, kwargs), returning None or (args, kwargs).
        """
        return Hooks.add(self, "pre", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """hook(module, args, output), or with kwargs before output, after each forward; not None replaces the output."""
        return Hooks.add(self, "post", hook, prepend, with_kwargs)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """hook(module, grad_output) in backward, before the module's own; a tuple that it returns replaces grad_output."""
        return Hooks.add(self, "backward_pre", hook, prepend, False)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """hook(module, grad_input, grad_output) in backward; a tuple that it returns replaces grad_input."""
        return Hooks.add(self, "backward", hook, prepend, False)

    # ---- words -------------------------------------------------------------------------------------------------------
    def extra_repr(self) -> str:
        """The arguments as the repr shows them; a layer overrides this."""
        return ""

    def _label(self) -> str:
        """This module without its children, as error messages name it."""
        extra = self.extra_repr()
        return f"{type(self).__name__}({extra})" if extra else type(self).__name__

    def _repr_children(self) -> list[tuple[str, str]]:
        return [(name, repr(value)) for name, value in self.__dict__.items() if isinstance(value, Module)]

    def __repr__(self) -> str:
        lines = [f"({name}): " + text.replace("\n", "\n  ") for name, text in self._repr_children()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([*([extra] if extra else []), *lines]) + "\n)"


def _refuse(module: Module, kind: str, name: str, wanted: str, value: Any) -> None:
    raise TypeError(
        f"[{type(module).__name__}] {kind} '{name}' must be set to a {wanted} or None, got {type(value).__name__}"
    )


def _check_name(module: Module, op: str, name: str, taken: bool) -> None:
    if not isinstance(name, str) or not name or "." in name:
        raise KeyError(f"[{op}] name must be a non-empty string without '.', got {name!r}")
    if taken and hasattr(module, name):
        raise KeyError(f"[{op}] name must be new, got {name!r}, which is an attribute of {type(module).__name__}")


def _dtype(name: str) -> Any:
    from .. import _core

    return getattr(_core, name)


def _float32() -> Any:
    return _dtype("float32")
