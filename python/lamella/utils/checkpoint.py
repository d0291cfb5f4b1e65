# SPDX-License-Identifier: MIT
"""Memory for time: what the ops inside a checkpoint put by for backward is dropped, and computed again there (Chen et al.
2016, "Training deep nets with sublinear memory cost").

The recorded nodes stay, so gradients flow as without a checkpoint, to arguments and to all that the function closes over;
they are only emptied. The first of them that backward reaches runs the function again, whose fresh nodes then stand in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from .. import _core, ops
from ..autograd import enable_grad
from ..precision import again, region, regions

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] | None = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose inner results are not kept: backward calls it again.

    Arguments and result may be anything. Random numbers of the default generator come out the second time as they did the
    first (`preserve_rng_state`), and autocast is as it was then. context_fn gives two context managers, for the first call
    and for the second. Gradients of gradients work. In backward RuntimeError if the second call recorded other ops than the
    first (determinism_check "none": only another number of them), or if an argument was changed in place. use_reentrant,
    debug and early_stop are accepted and change nothing.

    >>> x = lamella.tensor(3.0, requires_grad=True)
    >>> y = lamella.utils.checkpoint.checkpoint(lambda t: (t * t).sin(), x)
    >>> y.backward()
    """
    if determinism_check not in ("default", "none"):
        raise ValueError(f"[checkpoint] determinism_check must be 'default' or 'none', got {determinism_check!r}")
    first, second = context_fn() if context_fn else (contextlib.nullcontext(), contextlib.nullcontext())
    if not _core.is_grad_enabled():
        with first:
            return function(*args, **kwargs)
    state = ops.get_rng_state() if preserve_rng_state else None
    nodes: list[Any] = []
    precision = again() if regions else region(None)
    with first, precision, _watching(nodes):
        result = function(*args, **kwargs)
    segment = _Segment(function, args, kwargs, state, second, precision, [n.name() for n in nodes], determinism_check == "default")
    for place, node in enumerate(nodes):
        node._strip(_Stub(segment, place, node.name()))
    return result


@contextlib.contextmanager
def _watching(nodes: list[Any]):
    before = _core.watch_nodes(nodes)
    try:
        yield
    finally:
        _core.watch_nodes(before)
        if before is not None:  # a checkpoint within another
            before.extend(nodes)


def _versions(values: Any) -> list[tuple[Any, int]]:
    """The Tensors in (nested) arguments, with their versions."""
    if isinstance(values, _core.TensorBase):
        return [(values, values._version)]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [pair for v in values for pair in _versions(v)]


class _Segment:
    """A call to be repeated when the first of its nodes is asked for gradients."""

    def __init__(self, function, args, kwargs, rng_state, context, precision, names, same_ops):
        self.function, self.args, self.kwargs, self.rng_state = function, args, kwargs, rng_state
        self.context, self.precision = context, precision
        self.names, self.same_ops = names, same_ops
        self.versions = _versions((args, kwargs))
        self.nodes: list[Any] | None = None

    def run(self) -> list[Any]:
        if self.nodes is None:
            for tensor, version in self.versions:
                if tensor._version != version:
                    raise RuntimeError(
                        f"[checkpoint] arguments must not be changed in place before backward, got one of shape "
                        f"{tensor.shape} at version {tensor._version}, expected {version}"
                    )
            now = ops.get_rng_state()
            nodes: list[Any] = []
            try:
                if self.rng_state is not None:
                    ops.set_rng_state(self.rng_state)
                with enable_grad(), self.context, self.precision, _watching(nodes):
                    result = self.function(*self.args, **self.kwargs)
            finally:
                if self.rng_state is not None:
                    ops.set_rng_state(now)
            names = [n.name() for n in nodes]
            if len(names) != len(self.names) or (self.same_ops and names != self.names):
                raise RuntimeError(
                    f"[checkpoint] function must do the same again, got {len(names)} recorded ops instead of "
                    f"{len(self.names)}: {', '.join(map(str, names[:8]))}"
                )
            del result
            self.nodes = nodes
        return self.nodes


class _Stub:
    """The rule of an emptied node: that of its fresh counterpart."""

    __slots__ = ("__name__", "place", "segment")

    def __init__(self, segment: _Segment, place: int, name: str) -> None:
        self.segment, self.place, self.__name__ = segment, place, name

    def __call__(self, node: Any, *dy: Any) -> Any:
        fresh = self.segment.run()[self.place]
        if fresh.rule is None:  # a derivative of the gradient went through the fresh nodes and freed them
            self.segment.nodes = None
            fresh = self.segment.run()[self.place]
        return fresh.rule(fresh, *dy)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """The functions (or the layers of a Sequential) one after the other, in `segments` checkpoints of equal length, the
    last of them not checkpointed: its results are needed at once."""
    layers: Sequence[Callable[[Any], Any]] = list(functions)
    if not 1 <= segments <= max(1, len(layers)):
        raise ValueError(f"[checkpoint_sequential] segments must be 1 to {len(layers)}, got {segments}")
    size = len(layers) // segments

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for layer in layers[start:end]:
                x = layer(x)
            return x

        return forward

    at = 0
    for _ in range(segments - 1):
        input = checkpoint(run(at, at + size), input, preserve_rng_state=preserve_rng_state)
        at += size
    return run(at, len(layers))(input)
