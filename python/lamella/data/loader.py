# SPDX-License-Identifier: MIT
"""DataLoader: batches of a data set, in an order and with random numbers that do not depend on the workers."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler, seed_of

_sample = threading.local()  # .key = (seed, epoch, index) of the item that this thread is making


def sample_generator() -> np.random.Generator:
    """Random numbers for the item being made: a function of (seed, epoch, index), whoever makes it and when.

    For augmentation inside __getitem__ and collate_fn (there, the index is that of the batch's first item).
    RuntimeError outside a DataLoader.
    """
    key = getattr(_sample, "key", None)
    if key is None:
        raise RuntimeError("[sample_generator] must be called while a DataLoader makes an item")
    seed, epoch, index = key
    bits = np.random.Philox(
        key=np.array([seed % (1 << 64), epoch], dtype=np.uint64),
        counter=np.array([0, 0, index % (1 << 64), 1], dtype=np.uint64),  # permutations are at word 3 = 0
    )
    return np.random.Generator(bits)


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of items as PyTorch makes it: Tensors, arrays and numbers are stacked (float to float64, int to int64),
    tuples and lists become lists of batches, mappings of batches stay mappings, strings stay lists."""
    from ..ops import from_numpy, stack
    from ..tensor import Tensor

    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch))
    if isinstance(first, np.ndarray | np.generic):
        if any(np.shape(x) != np.shape(first) for x in batch):
            shapes = ", ".join(sorted({str(np.shape(x)) for x in batch}))
            raise ValueError(f"[default_collate] items must have one shape, got {shapes}: give the loader a collate_fn")
        return from_numpy(np.stack(batch))
    if isinstance(first, bool | int | float):
        dtype = np.bool_ if isinstance(first, bool) else np.int64 if isinstance(first, int) else np.float64
        return from_numpy(np.array(batch, dtype=dtype))
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(item) != len(first) for item in batch):
            raise ValueError("[default_collate] items must have one length: give the loader a collate_fn")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(
        f"[default_collate] items must be tensors, numbers, strings, lists or dicts, got {type(first).__name__}"
    )


class DataLoader:
    """Iterates over `dataset` in batches.

    Batches and the random numbers of each item depend on (seed, epoch, index) alone: 0, 1 or 4 workers give the same.
    Workers are threads (kernels, Pillow and NumPy release the GIL); num_workers * prefetch_factor batches are made
    ahead.
    The seed is that of `generator` (a lamella.Generator or an int), else of manual_seed; the epoch counts up with each
    iteration. To go on where a run stopped, set `epoch` and skip the batches already seen with `start_batch`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        generator: Any = None,
        prefetch_factor: int = 2,
    ) -> None:
        stream = isinstance(dataset, IterableDataset)
        if num_workers < 0:
            raise ValueError(f"[DataLoader] num_workers must not be negative, got {num_workers}")
        if prefetch_factor < 1:
            raise ValueError(f"[DataLoader] prefetch_factor must be positive, got {prefetch_factor}")
        if batch_sampler is not None and (batch_size not in (1, None) or shuffle or sampler is not None or drop_last):
            raise ValueError("[DataLoader] batch_sampler must stand without batch_size, shuffle, sampler and drop_last")
        if sampler is not None and shuffle:
            raise ValueError("[DataLoader] sampler must stand without shuffle")
        if stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("[DataLoader] an IterableDataset has no indices: no shuffle, sampler or batch_sampler")
        if batch_sampler is None and batch_size is None:
            raise ValueError("[DataLoader] batch_size must be a positive integer, got None")
        if sampler is None and not stream:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        self.batch_sampler = batch_sampler or BatchSampler(() if stream else sampler, batch_size, drop_last)
        self.dataset, self.sampler, self.batch_size, self.drop_last = dataset, sampler, batch_size, drop_last
        self.num_workers, self.prefetch_factor, self.generator = num_workers, prefetch_factor, generator
        self.collate_fn = collate_fn or default_collate
        self.epoch = self.start_batch = 0

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            n = len(self.dataset)  # where it knows
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.batch_sampler)

    def _fetch(self, indices: Sequence[int], seed: int, epoch: int) -> Any:
        whole = getattr(self.dataset, "batch", None)
        index = indices[0] if len(indices) else 0
        try:
            if whole is not None and self.collate_fn is default_collate:
                _sample.key = (seed, epoch, index)
                return whole(indices)
            items = []
            for index in indices:
                _sample.key = (seed, epoch, index)
                items.append(self.dataset[index])
        except Exception as error:
            error.add_note(f"while loading item {index} of {type(self.dataset).__name__}")
            raise
        finally:
            _sample.key = None
        return self._collate(items, indices[0] if len(indices) else 0, seed, epoch)

    def _collate(self, items: list[Any], index: int, seed: int, epoch: int) -> Any:
        _sample.key = (seed, epoch, index)
        try:
            return self.collate_fn(items)
        except Exception as error:
            error.add_note(f"while collating the batch that begins with item {index} of {type(self.dataset).__name__}")
            raise
        finally:
            _sample.key = None

    def _stream(self, seed: int, epoch: int) -> Iterator[Any]:
        """Batches of an IterableDataset."""
        source, index = iter(self.dataset), 0
        while True:
            items: list[Any] = []
            start = index
            while len(items) < self.batch_size:
                _sample.key = (seed, epoch, index)
                try:
                    items.append(next(source))
                except StopIteration:
                    break
                except Exception as error:
                    error.add_note(f"while loading item {index} of {type(self.dataset).__name__}")
                    raise
                finally:
                    _sample.key = None
                index += 1
            if len(items) == self.batch_size or (items and not self.drop_last):
                yield self._collate(items, start, seed, epoch)
            if len(items) < self.batch_size:
                return

    def _tasks(self, seed: int, epoch: int, skip: int) -> Iterator[Callable[[], Any]]:
        """Each makes one batch. Those of a stream must run in order, one at a time; _END says there are no more."""
        if isinstance(self.dataset, IterableDataset):
            batches = self._stream(seed, epoch)
            for _ in range(skip):
                next(batches, None)
            while True:
                yield lambda: next(batches, _END)
        for at, indices in enumerate(self.batch_sampler):
            if at >= skip:
                yield lambda indices=indices: self._fetch(indices, seed, epoch)

    def __iter__(self) -> Iterator[Any]:
        seed, epoch, skip = seed_of(self.generator), self.epoch, self.start_batch
        if hasattr(self.sampler, "epoch"):
            self.sampler.epoch = epoch
        self.epoch, self.start_batch = epoch + 1, 0
        tasks = self._tasks(seed, epoch, skip)
        return self._in_order(tasks) if self.num_workers else _until_end(task() for task in tasks)

    def _in_order(self, tasks: Iterator[Callable[[], Any]]) -> Iterator[Any]:
        """The results of tasks, several of them made at the same time. Leaving the loop early ends the workers."""
        from concurrent.futures import ThreadPoolExecutor

        stream = isinstance(self.dataset, IterableDataset)
        pool = ThreadPoolExecutor(1 if stream else self.num_workers, thread_name_prefix="lamella-data")
        ahead: collections.deque[Any] = collections.deque()
        try:
            while True:
                while len(ahead) < self.num_workers * self.prefetch_factor:
                    task = next(tasks, None)
                    if task is None:
                        break
                    ahead.append(pool.submit(task))
                if not ahead:
                    return
                batch = ahead.popleft().result()
                if batch is _END:
                    return
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_END = object()


def _until_end(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        if batch is _END:
            return
        yield batch
