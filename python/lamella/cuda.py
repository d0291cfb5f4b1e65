# SPDX-License-Identifier: MIT
"""NVIDIA GPUs: which there are, their memory, streams, events, and whole steps captured as graphs.

Tensors go to a GPU by `.to("cuda")` and ops run where their tensors lie. Calls return before the GPU has done the work; what
needs a value (`item`, `cpu`, printing) waits for it. Nothing here is touched until it is asked for: without a driver or a
GPU all else works, and `lamella.cuda.why_not()` says what is missing.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import _core
from .device import _captures, _now, captured_graph
from .device import device as _device

__all__ = [
    "CUDAGraph",
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "graph",
    "graph_pool_handle",
    "is_available",
    "is_current_stream_capturing",
    "is_initialized",
    "make_graphed_callable",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "set_device",
    "set_rng_state",
    "stream",
    "synchronize",
    "why_not",
]


# ---- devices ---------------------------------------------------------------------------------------------------------
def is_available() -> bool:
    """Whether there is a GPU to use."""
    return device_count() > 0


def why_not() -> str:
    """Why no GPU can be used; "" where one can."""
    return _core.cuda_problem()


def device_count() -> int:
    """How many GPUs there are."""
    return _core.cuda_count()


def is_initialized() -> bool:
    """Whether a GPU was used already: the same as `is_available`, which looks for it."""
    return is_available()


def current_device() -> int:
    """The number of the GPU that "cuda" alone means."""
    _need()
    return _now["gpu"]


def _need() -> None:
    if not is_available():
        raise RuntimeError(f"[cuda] GPU must be there, got none: {why_not()}")


def _index(where: Any = None) -> int:
    _need()
    if where is None:
        return _now["gpu"]
    d = _device(where)
    if d.type != "cuda":
        raise ValueError(f"[cuda] device must be a GPU, got {d}")
    index = _now["gpu"] if d.index is None else d.index
    if not 0 <= index < device_count():
        raise RuntimeError(f"[cuda] device must be one of {device_count()}, got {index}")
    return index


def set_device(device: Any) -> None:
    """Makes this GPU the one that "cuda" alone means."""
    _now["gpu"] = _index(device)


@contextlib.contextmanager
def device(device: Any) -> Iterator[None]:
    """`with lamella.cuda.device(1): ...`: "cuda" means that GPU inside."""
    before = current_device()
    set_device(device)
    try:
        yield
    finally:
        _now["gpu"] = before


@dataclass(frozen=True)
class DeviceProperties:
    """What a GPU is: sizes in bytes."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    L2_cache_size: int


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Name, compute capability, memory, number of multiprocessors and cache of a GPU."""
    p = _core.cuda_properties(_index(device))
    return DeviceProperties(**{k: p[k] for k in DeviceProperties.__dataclass_fields__})


def get_device_name(device: Any = None) -> str:
    """Its name."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Its compute capability, (9, 0) for Hopper."""
    p = get_device_properties(device)
    return p.major, p.minor


def synchronize(device: Any = None) -> None:
    """Waits until all that was asked of the GPU is done. An index that was out of range, found meanwhile, is raised here."""
    _core.cuda_synchronize(_index(device))


# ---- memory ----------------------------------------------------------------------------------------------------------
def memory_allocated(device: Any = None) -> int:
    """Bytes of tensors."""
    return _core.cuda_memory(_index(device))["allocated"]


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes of tensors there ever were (since `reset_peak_memory_stats`)."""
    return _core.cuda_memory(_index(device))["peak_allocated"]


def memory_reserved(device: Any = None) -> int:
    """Bytes taken from the GPU: tensors' and those kept for the next."""
    return _core.cuda_memory(_index(device))["reserved"]


def max_memory_reserved(device: Any = None) -> int:
    """The most that were taken from the GPU."""
    return _core.cuda_memory(_index(device))["peak_reserved"]


def memory_stats(device: Any = None) -> dict[str, int]:
    """Bytes allocated and reserved and their peaks, free and total memory of the GPU, requests made of the pool and of the
    driver: in a steady training step `device_requests` stands still."""
    return _core.cuda_memory(_index(device))


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, total) bytes of the GPU."""
    m = _core.cuda_memory(_index(device))
    return m["free"], m["total"]


def reset_peak_memory_stats(device: Any = None) -> None:
    """Peaks count from what is in use now."""
    _core.cuda_reset_peak(_index(device))


def empty_cache() -> None:
    """Gives memory that is kept for the next tensors back to the GPU."""
    _core.cuda_empty_cache(_index())


# ---- random ----------------------------------------------------------------------------------------------------------
def manual_seed(seed: int) -> None:
    """`lamella.manual_seed`: one generator serves all devices, and gives all the same numbers."""
    import lamella

    lamella.manual_seed(seed)


manual_seed_all = manual_seed


def get_rng_state(device: Any = None) -> Any:
    """`lamella.get_rng_state()`."""
    import lamella

    return lamella.get_rng_state()


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """`lamella.set_rng_state(new_state)`."""
    import lamella

    lamella.set_rng_state(new_state)


# ---- streams and events ------------------------------------------------------------------------------------------------
class Event:
    """A point in a stream's work: `record()` puts it there, `synchronize()` waits for it (with `blocking` the thread sleeps
    meanwhile), `a.elapsed_time(b)` gives the milliseconds between two made with `enable_timing`."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._handle, self._timing = 0, enable_timing
        if interprocess:
            raise ValueError("[Event] interprocess must be False: events stay in their process")
        self.device = _device("cuda", _index())
        self._handle = _core.cuda_make_event(self.device.index, enable_timing, blocking)

    def __del__(self) -> None:
        if getattr(self, "_handle", 0):
            _core.cuda_free_event(self._handle)

    def record(self, stream: Stream | None = None) -> None:
        """Puts it behind what the stream (the current one) has to do."""
        stream = stream or current_stream(self.device)
        _core.cuda_record_event(self._handle, stream.device.index, stream.cuda_stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Lets later work of the stream (the current one) wait for it."""
        (stream or current_stream()).wait_event(self)

    def query(self) -> bool:
        """Whether it was reached."""
        return _core.cuda_event_is_done(self._handle)

    def synchronize(self) -> None:
        """Waits, on the host, until it is reached."""
        _core.cuda_wait_event(self._handle)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to that."""
        if not (self._timing and end_event._timing):
            raise ValueError("[elapsed_time] both events must be made with enable_timing=True")
        return _core.cuda_milliseconds(self._handle, end_event._handle)


class Stream:
    """A queue of work of a GPU; queues run side by side. `with lamella.cuda.stream(s):` sends work there. Tensors made under
    one stream and used under another need an event or `wait_stream` between, and `Tensor.record_stream` where they may go
    before that use is done."""

    def __init__(self, device: Any = None, priority: int = 0, *, _handle: int | None = None) -> None:
        self.device = _device("cuda", _index(device))
        self._own = _handle is None
        self._handle = _core.cuda_make_stream(self.device.index, priority) if _handle is None else _handle

    def __del__(self) -> None:
        if getattr(self, "_own", False) and self._handle:
            _core.cuda_free_stream(self._handle)

    @property
    def cuda_stream(self) -> int:
        """Its address, for other libraries."""
        return self._handle

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self._handle, self.device) == (other._handle, other.device)

    def __hash__(self) -> int:
        return hash((self._handle, self.device))

    def synchronize(self) -> None:
        """Waits, on the host, for all of its work."""
        _core.cuda_wait_stream(self.device.index, self._handle)

    def query(self) -> bool:
        """Whether all of its work is done."""
        return _core.cuda_stream_is_idle(self.device.index, self._handle)

    def record_event(self, event: Event | None = None) -> Event:
        """An event behind its work."""
        if event is None:
            with device(self.device):
                event = Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Later work waits for the event."""
        _core.cuda_stream_waits(self.device.index, self._handle, event._handle)

    def wait_stream(self, stream: Stream) -> None:
        """Later work waits for what that stream has to do now."""
        self.wait_event(stream.record_event())


def current_stream(device: Any = None) -> Stream:
    """Where this thread's work on a GPU goes."""
    index = _index(device)
    return Stream(index, _handle=_core.cuda_stream(index))


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to where none was chosen."""
    return Stream(_index(device), _handle=0)


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """Sends this thread's work on the stream's GPU there, and makes that GPU the current one, inside; None changes nothing."""
    if stream is None:
        yield
        return
    index = stream.device.index
    before = _core.cuda_stream(index)
    _core.cuda_set_stream(index, stream.cuda_stream)
    try:
        with device(index):
            yield
    finally:
        _core.cuda_set_stream(index, before)


# ---- graphs ------------------------------------------------------------------------------------------------------------
_pools = itertools.count(1)
_generator = _core.default_generator()


class _Pool:
    """Memory of graphs: it goes with the last of them."""

    def __init__(self, device: int) -> None:
        self.device, self.id = device, next(_pools)

    def __del__(self) -> None:
        _core.cuda_free_graph_pool(self.device, self.id)


def graph_pool_handle() -> Any:
    """Memory that several graphs may share (`pool=`); they must be replayed in the order of their capture, one at a time."""
    return _Pool(_index())


def is_current_stream_capturing() -> bool:
    """Whether work is being captured into a graph rather than done."""
    return is_available() and _core.cuda_is_capturing(_now["gpu"])


class CUDAGraph:
    """Work captured once and replayed by one call (see `graph`). Replays read and write the tensors of the capture, at the
    same addresses: copy new inputs into them. A replay leaves the bits that the same work, not captured, would: random ops draw
    the next numbers of lamella's generator, and optimisers count steps and follow their schedules."""

    def __init__(self) -> None:
        self._handle, self._pool = 0, None
        self._before_replay: list[Callable[[], None]] = []

    def __del__(self) -> None:
        self.reset()

    def pool(self) -> Any:
        """Its memory, to be shared with another graph."""
        if self._pool is None:
            raise RuntimeError("[CUDAGraph] graph must be captured to have a pool")
        return self._pool

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "relaxed") -> None:
        """Begins to capture this thread's stream, which must not be the default one. Of PyTorch's modes there is "relaxed":
        other threads may go on with what they do."""
        if self._handle:
            raise RuntimeError("[CUDAGraph] graph must be empty to capture, got one that was captured: reset() it")
        if pool is not None and not isinstance(pool, _Pool):
            raise TypeError(f"[CUDAGraph] pool must be a graph's pool() or graph_pool_handle(), got {type(pool).__name__}")
        if capture_error_mode != "relaxed":
            raise ValueError(f"[CUDAGraph] capture_error_mode must be 'relaxed', got {capture_error_mode!r}")
        if captured_graph() is not None:
            raise RuntimeError("[CUDAGraph] capture must have ended before another begins in this thread")
        pool = pool or _Pool(_index())
        self._constants, self._taken = _core.empty((4096,), _core.float64, pool.device), 0
        _core.cuda_begin_capture(pool.device, pool.id)
        self._pool, self._seed, self._first = pool, _generator._seed, _generator._stream
        _captures.graph = self

    def _constants_of(self, count: int) -> Any:
        """So many float64 numbers on the GPU that captured work reads and none of it writes: memory that is allocated during a
        capture may be that of an earlier tensor of it."""
        first, self._taken = self._taken, self._taken + count
        if self._taken > self._constants.shape[0]:
            raise RuntimeError(f"[CUDAGraph] captured optimisers must have {self._constants.shape[0]} constants at most, got more")
        return _core.slice(self._constants, 0, first, first + count, 1)

    def capture_end(self) -> None:
        """Ends it: the graph can be replayed."""
        _captures.graph = None
        self._streams = _generator._stream - self._first
        _generator._stream = self._first  # nothing was drawn yet
        self._handle = _core.cuda_end_capture(self._pool.device)

    def replay(self) -> None:
        """Does the captured work again."""
        if not self._handle:
            raise RuntimeError("[CUDAGraph] graph must be captured before it is replayed")
        for prepare in self._before_replay:
            prepare()
        seed_bits, streams = _generator._seed ^ self._seed, (_generator._stream - self._first) % 2**64
        _core.cuda_launch_graph(self._pool.device, self._handle, seed_bits, streams)
        _generator._stream += self._streams

    def reset(self) -> None:
        """Lets go of the graph and its memory; its tensors must not be used after."""
        if self._handle:
            _core.cuda_free_graph(self._handle)
        self._handle, self._pool, self._constants = 0, None, None
        self._before_replay.clear()


@contextlib.contextmanager
def graph(cuda_graph: CUDAGraph, pool: Any = None, stream: Stream | None = None, capture_error_mode: str = "relaxed") -> Iterator[None]:
    """Captures into `cuda_graph` what is done inside, on a stream of its own; nothing is computed until `replay()`. After an
    error inside the graph is empty.

    Run the step once or twice before, so that buffers exist; inside, nothing may wait for the GPU (`item`, `cpu`, printing).

        for _ in range(3):
            step()
        g = lamella.cuda.CUDAGraph()
        with lamella.cuda.graph(g):
            loss = step()
        for x, y in batches:
            static_x.copy_(x), static_y.copy_(y)
            g.replay()
    """
    synchronize()
    side = stream or Stream()
    with globals()["stream"](side):
        cuda_graph.capture_begin(pool, capture_error_mode)
        try:
            yield
            cuda_graph.capture_end()
        except BaseException:
            if captured_graph() is cuda_graph:
                with contextlib.suppress(RuntimeError):  # of a capture that the error broke
                    cuda_graph.capture_end()
            cuda_graph.reset()
            raise
    current_stream().wait_stream(side)


def make_graphed_callable(step: Callable[..., Any], *examples: Any, warmup: int = 3) -> Callable[..., Any]:
    """`step(*tensors)` as a graph: a call copies its arguments into those of the capture, replays, and returns the capture's
    results, which the next call overwrites. `step` is run `warmup` times on the examples first; what it changes (parameters,
    averages, optimiser states) is changed by that, too."""
    held = [e.detach().clone() for e in examples]
    side = Stream()
    side.wait_stream(current_stream())
    with stream(side):
        for _ in range(warmup):
            step(*held)
    current_stream().wait_stream(side)
    captured = CUDAGraph()
    with graph(captured, stream=side):
        result = step(*held)

    def replay(*tensors: Any) -> Any:
        for to, given in zip(held, tensors, strict=True):
            to.copy_(given)
        captured.replay()
        return result

    replay.graph = captured  # type: ignore[attr-defined]
    return replay
