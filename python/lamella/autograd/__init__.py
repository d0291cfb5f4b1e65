# SPDX-License-Identifier: MIT
"""Automatic differentiation: switches, `grad`, anomaly mode, and what ops use to record themselves.

The tape itself is in the extension (cpp/bindings/node.cpp and engine.cpp); the rules stand below each op in lamella.ops.
Ops of one's own are in function.py, Jacobians and their kin in functional.py, finite differences in gradcheck.py.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .. import _core
from ..precision import region, regions

is_grad_enabled = _core.is_grad_enabled
prepare_inplace = _core.prepare_inplace
record = _core.record
record_inplace = _core.record_inplace

__all__ = [
    "Function",
    "GradcheckError",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "register_backward_start_hook",
    "set_detect_anomaly",
    "set_grad_enabled",
]


class _Mode(_core.GradMode):
    """A context manager, and a decorator of functions and generators, that sets recording inside (off, if not said)."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return type(self), ()

    def _again(self) -> _Mode:
        return type(self)()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isclass(function):
            raise TypeError(f"[{type(self).__name__}] function must be a function, got the class {function.__name__}")
        if inspect.isgeneratorfunction(function):
            return self._of_generator(function)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return wrapper

    def _of_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Only the generator's own code runs in the mode, not that of who asks it for values."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            steps = function(*args, **kwargs)
            resume, value = steps.send, None
            while True:
                try:
                    with self._again():
                        found = resume(value)
                except StopIteration as end:
                    return end.value
                try:
                    resume, value = steps.send, (yield found)
                except GeneratorExit:
                    with self._again():
                        steps.close()
                    raise
                except BaseException as error:
                    resume, value = steps.throw, error

        return wrapper


class set_grad_enabled(_Mode):
    """Switches recording on this thread, at once and until the end of a `with` block; also a decorator.

    >>> with lamella.set_grad_enabled(False):
    ...     y = lamella.ones(2, requires_grad=True) * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ()

    def __init__(self, mode: bool) -> None:
        self._on = bool(mode)
        self._before = _core.set_grad_enabled(self._on)

    def __enter__(self) -> None:
        _core.set_grad_enabled(self._on)

    def _again(self) -> _Mode:
        return set_grad_enabled(self._on)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        _core.set_grad_enabled(self._before)  # what was switched was meant for the function alone
        return super().__call__(function)


class no_grad(_Mode):
    """Ops inside are not recorded. `with no_grad():`, `@no_grad()` or `@no_grad`.

    >>> with lamella.no_grad():
    ...     y = lamella.ones(2, requires_grad=True) * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ()


class enable_grad(_Mode):
    """Ops inside are recorded, also within `no_grad`."""

    __slots__ = ()

    def __enter__(self) -> None:
        self._before = _core.set_grad_enabled(True)


class inference_mode(_Mode):
    """As `no_grad` (with mode False as nothing): Tensors made inside need no flag here, they simply have no history."""

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        self = super().__new__(cls)
        self.mode = mode if isinstance(mode, bool) else True
        return self if isinstance(mode, bool) else self(mode)

    def __init__(self, mode: bool | Callable[..., Any] = True) -> None:
        pass

    def __enter__(self) -> None:
        self._inside = _local.inference
        self._before = _core.set_grad_enabled(is_grad_enabled() and not self.mode)
        _local.inference = self.mode

    def __exit__(self, *exc: object) -> None:
        super().__exit__()
        _local.inference = self._inside

    def __reduce__(self) -> Any:
        return inference_mode, (self.mode,)

    def _again(self) -> _Mode:
        return inference_mode(self.mode)


class _Local(threading.local):
    inference = False


_local = _Local()


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return _local.inference


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds the gradient of `tensors` (weighted by `grad_tensors`; ones for scalars) to `.grad` of every leaf, or of
    `inputs` alone.

    Raises RuntimeError if a tensor does not require gradient, is not a scalar and has no weight, if the graph was freed
    by an earlier call without `retain_graph`, or if a saved tensor was changed in place.
    """
    tensors = _tuple(tensors)
    grad_tensors = grad_variables if grad_tensors is None else grad_tensors
    weights = _weights("backward", "grad_tensors", tensors, grad_tensors)
    retain = create_graph if retain_graph is None else retain_graph
    for hook in tuple(_backward_start_hooks.values()):
        hook(tensors)
    if inputs is None:
        _run_backward(tensors, weights, None, retain, create_graph)
        return
    inputs = _tuple(inputs)
    if not inputs:
        raise RuntimeError("[backward] inputs must not be empty")
    for x, g in zip(inputs, grad(tensors, inputs, weights, retain, create_graph, allow_unused=True), strict=True):
        if g is not None:
            x.grad = g if x.grad is None else x.grad + g


def _run_backward(*args: Any) -> Any:
    if regions:  # every rule computes in the types of its forward op
        with region(None):
            return _core.run_backward(*args)
    return _core.run_backward(*args)


_backward_start_hooks: dict[int, Callable[[tuple[Any, ...]], Any]] = {}


def register_backward_start_hook(hook: Callable[[tuple[Any, ...]], Any]) -> Any:
    """Calls `hook(tensors)` before each `backward` of this process, while the graph of `tensors` is whole: the place to look
    at a loss and at how it was made, wherever it is computed. `remove()` of what is returned takes the hook away.

    >>> seen = []
    >>> handle = register_backward_start_hook(lambda tensors: seen.append(tensors[0].item()))
    >>> lamella.tensor(3.0, requires_grad=True).square().backward()
    >>> handle.remove(); seen
    [9.0]
    """
    from ..tensor import RemovableHandle

    return RemovableHandle(_backward_start_hooks, hook)


def _weights(op: str, name: str, outputs: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
    weights = (None,) * len(outputs) if given is None else _tuple(given)
    if len(weights) != len(outputs):
        raise RuntimeError(f"[{op}] {name} must be one per output ({len(outputs)}), got {len(weights)}")
    return weights


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` (weighted by `grad_outputs`) with respect to `inputs`, as a tuple; `.grad` stays alone.

    With `create_graph` the gradients are themselves recorded, to any order. Raises RuntimeError if an input was not used
    (unless `allow_unused`, which gives None, or `materialize_grads`, which gives zeros) or does not require gradient. With
    is_grads_batched each of `grad_outputs` holds weights along a new first dimension, and so do the gradients.
    """
    if is_grads_batched:
        return _batched_grad(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads)
    outputs, inputs = _tuple(outputs), _tuple(inputs)
    weights = _weights("grad", "grad_outputs", outputs, grad_outputs)
    if allow_unused is False and materialize_grads:
        raise ValueError("[grad] allow_unused must not be False where materialize_grads is True")
    if not inputs:
        raise ValueError("[grad] inputs must not be empty")
    for i, x in enumerate(inputs):
        if not getattr(x, "requires_grad", False):
            raise RuntimeError(f"[grad] inputs must require gradient, got one that does not at position {i}")
    retain = create_graph if retain_graph is None else retain_graph
    grads = _run_backward(outputs, weights, inputs, retain, create_graph)
    if materialize_grads:
        from ..ops.creation import zeros_like

        return tuple(zeros_like(x) if g is None else g for g, x in zip(grads, inputs, strict=True))
    if not allow_unused and any(g is None for g in grads):
        i = next(i for i, g in enumerate(grads) if g is None)
        raise RuntimeError(f"[grad] inputs must be used by the outputs, got an unused one at position {i}: allow_unused=True")
    return grads


def vjp(function: Callable[..., Any], inputs: Sequence[Any], *dy: Any) -> tuple[Any, ...]:
    """Gradients of `function(*inputs)`, weighted by `dy`, one per input (None for what takes none), themselves recorded.

    For rules of fused ops: `return vjp(op_unfused, (x, weight), dy)` is the rule in differentiable ops.
    """
    from ..ops.view import alias

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


def _batched_grad(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads):
    from ..ops.join import stack

    weights = _weights("grad", "grad_outputs", _tuple(outputs), grad_outputs)
    count = next(w.shape[0] for w in weights if w is not None)
    rows = []
    for i in range(count):
        keep = retain_graph if i == count - 1 else True
        row = [None if w is None else w[i] for w in weights]
        rows.append(grad(outputs, inputs, row, keep, create_graph, True, allow_unused, False, materialize_grads))
    return tuple(None if g[0] is None else stack(g) for g in zip(*rows, strict=True))


def _current_line() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_anomaly = (False, False)  # on, and whether NaN is an error


class set_detect_anomaly:
    """Switches anomaly mode, at once and until the end of a `with` block: every recorded op keeps the line that called
    it, errors in backward name that line, and with check_nan so does a NaN that a gradient gets."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before, self._mode = _anomaly, (bool(mode), bool(check_nan))
        self._set(self._mode)

    @staticmethod
    def _set(mode: tuple[bool, bool]) -> None:
        global _anomaly
        _anomaly = mode
        _core.set_anomaly(_current_line if mode[0] else None, mode[1])

    def __enter__(self) -> None:
        self._set(self._mode)

    def __exit__(self, *exc: object) -> None:
        self._set(self._before)


class detect_anomaly(set_detect_anomaly):
    """Anomaly mode (see `set_detect_anomaly`) for the time of a `with` block."""

    def __init__(self, check_nan: bool = True) -> None:
        self._mode = (True, bool(check_nan))

    def __enter__(self) -> None:
        self._before = _anomaly
        self._set(self._mode)


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return _anomaly[0]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode, where on, takes a NaN in a gradient for an error."""
    return _anomaly[1]


class AccumulateGrad:
    """What stands for a leaf among `grad_fn.next_functions`; `variable` is the leaf."""

    __slots__ = ("variable",)
    next_functions = ()

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    def name(self) -> str:
        return "AccumulateGrad"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and self.variable is other.variable

    def __hash__(self) -> int:
        return hash((AccumulateGrad, id(self.variable)))


_core.set_leaf_node(AccumulateGrad)

from .function import Function, once_differentiable  # noqa: E402
from .gradcheck import GradcheckError, gradcheck, gradgradcheck  # noqa: E402


def __getattr__(name: str) -> Any:
    if name == "functional":
        import importlib

        return importlib.import_module(".functional", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
