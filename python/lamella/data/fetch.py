# SPDX-License-Identifier: MIT
"""Making one batch: what a worker does, whichever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import sample
from .collate import default_collate, default_convert
from .dataset import IterableDataset


class Task(NamedTuple):
    seed: int
    epoch: int
    indices: Any  # of a batch; one index where there is no batching; None for the next batch of a stream


class Made(NamedTuple):
    kind: str  # "batch"; "none": every item was skipped; "end": the stream has no more
    batch: Any
    skipped: list[tuple[int, str]]  # (index, error)


class Fetcher:
    """Called with a Task, makes its batch. Random numbers in it depend on (seed, epoch, index) alone."""

    def __init__(
        self,
        dataset: Any,
        collate_fn: Callable[[list[Any]], Any] | None,
        batch_size: int | None,
        drop_last: bool,
        skip: bool,
        batch_transform: Callable[[Any], Any] | None,
    ) -> None:
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.collate = collate_fn or (default_collate if batch_size is not None else default_convert)
        self.skip, self.batch_transform = skip, batch_transform
        self.whole = getattr(dataset, "batch", None) if self.collate is default_collate else None
        self.many = getattr(dataset, "__getitems__", None)
        self.source: Any = None
        self.at = 0

    def restart(self) -> None:
        """A stream begins anew."""
        self.source, self.at = None, 0

    def __call__(self, task: Task) -> Made:
        try:
            if task.indices is None:
                return self._next(task)
            if self.batch_size is None:
                return self._one(task)
            return self._batch(task)
        finally:
            sample.end()

    def _note(self, error: Exception, doing: str) -> None:
        error.add_note(f"while {doing} of {type(self.dataset).__name__}")

    def _finish(self, items: Any, task: Task, first: int, skipped: list[tuple[int, str]]) -> Made:
        """collate_fn and batch_transform."""
        sample.begin(task.seed, task.epoch, first, sample.BATCH)
        try:
            batch = self.collate(items)
            if self.batch_transform is not None:
                batch = self.batch_transform(batch)
        except Exception as error:
            doing = "loading" if self.batch_size is None else "collating the batch that begins with"
            self._note(error, f"{doing} item {first}")
            raise
        return Made("batch", batch, skipped)

    def _one(self, task: Task) -> Made:
        index = task.indices
        sample.begin(task.seed, task.epoch, index)
        try:
            item = self.dataset[index]
        except Exception as error:
            if self.skip:
                return Made("none", None, [(index, _text(error))])
            self._note(error, f"loading item {index}")
            raise
        return self._finish(item, task, index, [])

    def _batch(self, task: Task) -> Made:
        indices = task.indices
        first = int(indices[0]) if len(indices) else 0
        fast = self.whole or self.many
        if fast is not None:
            sample.begin(task.seed, task.epoch, first)
            try:
                items = fast(indices)
            except Exception as error:
                if not self.skip:
                    self._note(error, f"loading items {_some(indices)}")
                    raise
            else:
                if self.whole is None:
                    return self._finish(items, task, first, [])
                if self.batch_transform is not None:
                    sample.begin(task.seed, task.epoch, first, sample.BATCH)
                    try:
                        items = self.batch_transform(items)
                    except Exception as error:
                        self._note(error, f"transforming the batch that begins with item {first}")
                        raise
                return Made("batch", items, [])
        items, skipped = [], []
        for index in indices.tolist() if hasattr(indices, "tolist") else indices:
            sample.begin(task.seed, task.epoch, index)
            try:
                items.append(self.dataset[index])
            except Exception as error:
                if not self.skip:
                    self._note(error, f"loading item {index}")
                    raise
                skipped.append((index, _text(error)))
        return self._finish(items, task, first, skipped) if items or not skipped else Made("none", None, skipped)

    def _next(self, task: Task) -> Made:
        """The next batch of an IterableDataset."""
        if self.source is None:
            sample.begin(task.seed, task.epoch, 0, sample.STREAM)
            self.source = iter(self.dataset)
        items: list[Any] = []
        start = self.at
        while len(items) < (self.batch_size or 1):
            sample.begin(task.seed, task.epoch, self.at)
            try:
                items.append(next(self.source))
            except StopIteration:
                if not items or (self.drop_last and self.batch_size is not None):
                    return Made("end", None, [])
                break
            except Exception as error:  # an iterator that raised is over: nothing to skip to
                self._note(error, f"loading item {self.at}")
                raise
            self.at += 1
        return self._finish(items[0] if self.batch_size is None else items, task, start, [])


def is_stream(dataset: Any) -> bool:
    return isinstance(dataset, IterableDataset)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _some(indices: Sequence[int]) -> str:
    listed = ", ".join(str(int(i)) for i in indices[:4])
    return f"{listed}, …" if len(indices) > 4 else listed
