# SPDX-License-Identifier: MIT
"""Who runs a loader's tasks: threads, or processes that threads wait for.

A process has a pipe and answers one task at a time; the thread that sent it waits for the answer. So order, prefetching
and ending are the same for both kinds. A worker process ignores Ctrl-C, which is the parent's to answer, and ends when
its pipe closes, also where the parent was killed.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import pickle
import queue
import signal
import threading
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from .sample import WorkerInfo, set_worker_info

Initialise = Callable[[int], None] | None


class ThreadWorkers:
    """Threads that run `fetch`; kernels, Pillow and NumPy release the GIL."""

    def __init__(self, fetch: Any, count: int, seed: int, initialise: Initialise) -> None:
        self.fetch, self.count, self.seed, self.initialise = fetch, count, seed, initialise
        self.ids, self.known = itertools.count(), threading.local()
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="lamella-data")

    def submit(self, task: Any) -> Future[Any]:
        return self.pool.submit(self._run, task)

    def restart(self) -> None:
        self.fetch.restart()

    def _run(self, task: Any) -> Any:
        if not hasattr(self.known, "id"):
            self.known.id = next(self.ids)
            set_worker_info(WorkerInfo(self.known.id, self.count, self.seed, self.fetch.dataset))
            if self.initialise is not None:
                self.initialise(self.known.id)
        return self.fetch(task)

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)


class ProcessWorkers:
    """Processes that run `fetch`. context: as multiprocessing.get_context takes it; with 'spawn' and 'forkserver' the
    data set and the functions given to the loader must be ones that pickle knows."""

    def __init__(self, fetch: Any, count: int, seed: int, initialise: Initialise, context: Any = None) -> None:
        made = multiprocessing.get_context(context) if context is None or isinstance(context, str) else context
        self.processes: list[Any] = []
        self.pipes: list[Any] = []
        self.idle: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.lock, self.closed = threading.Lock(), False
        try:
            for i in range(count):
                here, there = made.Pipe()
                process = made.Process(
                    target=_serve, args=(there, fetch, i, count, seed, initialise), name=f"lamella-data-{i}", daemon=True
                )
                with warnings.catch_warnings():  # lamella's own threads survive a fork: Python 3.12 warns of any thread
                    warnings.filterwarnings("ignore", ".*multi-threaded.*fork.*", DeprecationWarning)
                    process.start()
                there.close()  # so that the end of the process ends recv
                self.processes.append(process)
                self.pipes.append(here)
                self.idle.put(i)
        except BaseException:
            self._end()
            raise
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="lamella-data")

    def submit(self, task: Any) -> Future[Any]:
        return self.pool.submit(self._ask, task)

    def restart(self) -> None:
        for i in range(len(self.pipes)):
            self._ask("restart", i)

    def _ask(self, task: Any, worker: int | None = None) -> Any:
        i = self.idle.get() if worker is None else worker
        try:
            self.pipes[i].send(task)
            good, value = _receive(self.pipes[i])
        except (EOFError, OSError):
            self.processes[i].join(1)
            code = self.processes[i].exitcode
            raise RuntimeError(f"[DataLoader] worker process {i} ended while it made a batch (exit code {code})") from None
        finally:
            if worker is None:
                self.idle.put(i)
        if not good:
            raise value
        return value

    def _end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        self._end()
        self.pool.shutdown(wait=True)
        for pipe in self.pipes:
            pipe.close()


def _serve(pipe: Any, fetch: Any, i: int, count: int, seed: int, initialise: Initialise) -> None:
    """A worker process: answers tasks until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    set_worker_info(WorkerInfo(i, count, seed, fetch.dataset))
    begun = False
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            try:
                if not begun and initialise is not None:
                    initialise(i)
                begun = True
                answer = (True, fetch.restart() if task == "restart" else fetch(task))
            except Exception as error:
                error.add_note(f"in worker process {i}:\n{traceback.format_exc()}")
                answer = (False, _sendable(error))
            try:
                parts = _pack(answer)
            except Exception as error:
                error.add_note("while pickling a batch to send it from a worker process")
                parts = _pack((False, _sendable(error)))
            pipe.send_bytes(parts[0])
            for part in parts[1:]:
                pipe.send_bytes(part)


def _sendable(error: Exception) -> Exception:
    """The error if it survives pickling, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        made = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            made.add_note(note)
        return made


class _Pickler(pickle.Pickler):
    """Tensors as arrays, whose memory goes beside the pickle, uncopied."""

    def reducer_override(self, value: Any) -> Any:
        from .. import _core
        from ..tensor import Tensor

        if type(value) is Tensor and value.dtype is not _core.bfloat16:
            return _tensor, (np.ascontiguousarray(value.detach().numpy()).reshape(tuple(value.shape)),)
        return NotImplemented


def _tensor(array: np.ndarray) -> Any:
    from ..ops import from_numpy

    return from_numpy(array)


def _pack(value: Any) -> list[Any]:
    import io

    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    raw = [b.raw() for b in buffers]
    return [pickle.dumps((file.getvalue(), [r.nbytes for r in raw])), *[r for r in raw if r.nbytes]]


def _receive(pipe: Any) -> Any:
    data, sizes = pickle.loads(pipe.recv_bytes())
    buffers = []
    for size in sizes:
        buffer = bytearray(size)
        if size:
            pipe.recv_bytes_into(buffer)
        buffers.append(buffer)
    return pickle.loads(data, buffers=buffers)
