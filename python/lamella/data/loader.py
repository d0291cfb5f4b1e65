# SPDX-License-Identifier: MIT
"""DataLoader: batches of a data set, in an order and with random numbers that do not depend on the workers."""

from __future__ import annotations

import collections
import concurrent.futures
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from .. import cuda
from ..device import map_tensors
from ..tensor import Tensor
from .fetch import Fetcher, Made, Task, is_stream
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, seed_of
from .workers import ProcessWorkers, ThreadWorkers


class DataLoader:
    """Iterates over `dataset` in batches.

    Batches and the random numbers of each item (sample_generator) depend on (seed, epoch, index) alone: 0, 1 or 4
    workers of either kind give the same bits. The seed is that of `generator` (a lamella.Generator or an int), else of
    manual_seed; the epoch counts up with each iteration.

    A data set with batch(indices), such as TensorDataset, makes whole batches by one gather of rows; one with
    __getitems__(indices) lists of items.

    batch_size: None for items as they are, without a batch.
    workers: "thread" (kernels, Pillow and NumPy release the GIL) or "process", for Python code that computes much.
        Both make num_workers * prefetch_factor batches ahead. A stream (IterableDataset) has one worker.
    on_error: "skip" leaves out items that raise, lists them as (index, error) in `skipped`, and warns once an epoch;
        by default the exception comes out with a note that names the item.
    batch_transform: called with each batch, in the worker (MixUp, for instance).
    timeout: seconds to wait for a batch before RuntimeError; 0 for ever.
    worker_init_fn: called with the worker's number when it begins.
    multiprocessing_context: of worker processes: "fork", "forkserver" or "spawn"; default: Python's.
    pin_memory: batches come in pinned memory, from which `batch.to("cuda", non_blocking=True)` does not wait; without a GPU
        nothing is done.
    pin_memory_device, in_order: accepted; batches come in order.

    The place within an epoch is in state_dict(); after load_state_dict the next iteration goes on behind it.

    >>> from lamella.data import TensorDataset
    >>> data = TensorDataset(lamella.arange(5))
    >>> [batch.tolist() for batch, in DataLoader(data, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    >>> loader = DataLoader(data, batch_size=2, shuffle=True, generator=0)
    >>> batches = iter(loader); _ = next(batches); state = loader.state_dict()
    >>> rest = [batch.tolist() for batch, in batches]
    >>> loader.load_state_dict(state); [batch.tolist() for batch, in loader] == rest
    True
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        workers: str = "thread",
        on_error: str = "raise",
        batch_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.stream = is_stream(dataset)
        if num_workers < 0:
            raise ValueError(f"[DataLoader] num_workers must not be negative, got {num_workers}")
        if prefetch_factor < 1:
            raise ValueError(f"[DataLoader] prefetch_factor must be positive, got {prefetch_factor}")
        if timeout < 0:
            raise ValueError(f"[DataLoader] timeout must not be negative, got {timeout}")
        if workers not in ("thread", "process"):
            raise ValueError(f"[DataLoader] workers must be 'thread' or 'process', got {workers!r}")
        if on_error not in ("raise", "skip"):
            raise ValueError(f"[DataLoader] on_error must be 'raise' or 'skip', got {on_error!r}")
        if persistent_workers and num_workers == 0:
            raise ValueError("[DataLoader] persistent_workers must stand with num_workers > 0")
        if batch_sampler is not None and (batch_size not in (1, None) or shuffle or sampler is not None or drop_last):
            raise ValueError("[DataLoader] batch_sampler must stand without batch_size, shuffle, sampler and drop_last")
        if sampler is not None and shuffle:
            raise ValueError("[DataLoader] sampler must stand without shuffle")
        if self.stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("[DataLoader] an IterableDataset has no indices: no shuffle, sampler or batch_sampler")
        if batch_sampler is None and batch_size is None and drop_last:
            raise ValueError("[DataLoader] drop_last must stand with a batch_size, got None")
        if sampler is None and not self.stream and batch_sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(() if self.stream else sampler, batch_size, drop_last)
        elif batch_sampler is not None:
            batch_size = getattr(batch_sampler, "batch_size", 1) or 1
        self.dataset, self.sampler, self.batch_sampler = dataset, sampler, batch_sampler
        self.batch_size, self.drop_last = batch_size, drop_last
        self.num_workers, self.prefetch_factor, self.timeout = num_workers, prefetch_factor, timeout
        self.worker_init_fn, self.multiprocessing_context = worker_init_fn, multiprocessing_context
        self.generator, self.workers, self.on_error = generator, workers, on_error
        self.collate_fn, self.batch_transform = collate_fn, batch_transform
        self.persistent_workers, self.pin_memory = persistent_workers, pin_memory
        self.skipped: list[tuple[int, str]] = []
        self.epoch = self.start_batch = 0
        self._place: tuple[int, int] | None = None  # (epoch, batches taken) of the newest iteration, while it lasts
        self._kept: Any = None

    def __len__(self) -> int:
        if self.batch_size is None:
            return len(self.dataset if self.stream else self.sampler)
        if self.stream:
            n = len(self.dataset)  # where it knows
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.batch_sampler)

    # ---- where it stands ----------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, int]:
        """The seed, the epoch, and how many batches of it were taken: a few integers, for a checkpoint."""
        epoch, batch = self._place or (self.epoch, self.start_batch)
        return {"seed": seed_of(self.generator), "epoch": epoch, "batch": batch, "length": self._size()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next iteration goes on where state_dict() was called, to the same bits."""
        missing = [name for name in ("seed", "epoch", "batch", "length") if name not in state]
        if missing:
            raise ValueError(f"[DataLoader] state must have {missing[0]!r}, got {sorted(state)}")
        if state["length"] != self._size():
            raise ValueError(
                f"[DataLoader] state must be of a loader with as many batches: {self._size()}, got {state['length']}"
            )
        self.generator, self.epoch, self.start_batch, self._place = state["seed"], state["epoch"], state["batch"], None
        for sampler in self._samplers():
            if isinstance(sampler, RandomSampler):
                sampler.generator = state["seed"]

    def _size(self) -> int:
        """len(self), or -1 for a stream or sampler that does not know."""
        try:
            return len(self)
        except TypeError:
            return -1

    def _samplers(self) -> list[Any]:
        """Those that may have an epoch to set."""
        inner = getattr(self.batch_sampler, "sampler", None)
        return [s for s in (self.sampler, self.batch_sampler, inner) if hasattr(s, "epoch")]

    # ---- iteration ----------------------------------------------------------------------------------------------
    def _tasks(self, seed: int, epoch: int) -> Iterator[Task]:
        if self.stream:
            while True:
                yield Task(seed, epoch, None)
        order: Any = self.sampler if self.batch_size is None else self.batch_sampler
        whole = hasattr(self.dataset, "batch") and self.collate_fn is None
        if whole and type(order) is BatchSampler and isinstance(order.sampler, Sampler):
            order = order.arrays()
        for indices in order:
            yield Task(seed, epoch, indices)

    def _fetcher(self) -> Fetcher:
        return Fetcher(
            self.dataset, self.collate_fn, self.batch_size, self.drop_last, self.on_error == "skip", self.batch_transform
        )  # fmt: skip

    def _staff(self, seed: int) -> Any:
        """Workers for one iteration: those that were kept, unless another iteration still has them."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            kept.restart()
            return kept
        count = 1 if self.stream else self.num_workers
        if self.workers == "process":
            return ProcessWorkers(self._fetcher(), count, seed, self.worker_init_fn, self.multiprocessing_context)
        return ThreadWorkers(self._fetcher(), count, seed, self.worker_init_fn)

    def __iter__(self) -> Iterator[Any]:
        seed, epoch, skip = seed_of(self.generator), self.epoch, self.start_batch
        for sampler in self._samplers():
            sampler.epoch = epoch
        self.epoch, self.start_batch, self.skipped = epoch + 1, 0, []
        self._place = place = (epoch, skip)
        tasks = self._tasks(seed, epoch)
        if not self.stream:
            for _ in range(skip):
                next(tasks, None)
        made = self._in_order(tasks, seed) if self.num_workers else map(self._fetcher(), tasks)
        return self._results(made, place, skip if self.stream else 0)

    def _results(self, results: Iterator[Made], place: tuple[int, int], discard: int) -> Iterator[Any]:
        """The batches, with the count of what was taken and what was skipped."""
        epoch, at = place
        for made in results:
            if made.kind == "end":
                break
            if discard:
                discard -= 1
                continue
            at += 1
            if self._place is place:  # still the newest iteration
                self._place = place = (epoch, at)
            if made.skipped:
                if not self.skipped:
                    index, text = made.skipped[0]
                    warnings.warn(f"[DataLoader] item {index} is skipped: {text} (see `skipped` for all)", stacklevel=2)
                self.skipped += made.skipped
            if made.kind == "batch":
                yield map_tensors(made.batch, Tensor.pin_memory) if self.pin_memory and cuda.is_available() else made.batch
        if self._place is place:
            self._place = None

    def _in_order(self, tasks: Iterator[Task], seed: int) -> Iterator[Made]:
        """The results of tasks, several of them made at the same time. Leaving the loop early ends the workers."""
        staff = self._staff(seed)
        ahead: collections.deque[Any] = collections.deque()
        good = False
        try:
            while True:
                while len(ahead) < self.num_workers * self.prefetch_factor:
                    task = next(tasks, None)
                    if task is None:
                        break
                    ahead.append(staff.submit(task))
                if not ahead:
                    break
                made = self._wait(ahead.popleft())
                if made.kind == "end":
                    break
                yield made
            concurrent.futures.wait(ahead)  # of a stream: those beyond its end
            good = True
        finally:
            if good and self.persistent_workers and self._kept is None:
                self._kept = staff
            else:
                staff.close()

    def _wait(self, future: Any) -> Made:
        try:
            return future.result(self.timeout or None)
        except concurrent.futures.TimeoutError:
            if future.done():  # the data set's own TimeoutError
                raise
            raise RuntimeError(f"[DataLoader] a batch must be made within timeout = {self.timeout} s, it was not") from None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def __del__(self) -> None:
        kept = self.__dict__.get("_kept")
        if kept is not None:
            kept.close()
