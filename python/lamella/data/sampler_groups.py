# SPDX-License-Identifier: MIT
"""Samplers that share the indices out: over processes, and into batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np

from .sampler import Sampler, permutation, seed_of


class DistributedSampler(Sampler):
    """The indices of process `rank` of `num_replicas`: every num_replicas-th of one common order.

    All processes get as many: without drop_last the first indices come twice to fill up, with it the last are left
    out. The DataLoader sets the epoch; set_epoch does so elsewhere.

    >>> [list(DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int,
        rank: int,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas < 1:
            raise ValueError(f"[DistributedSampler] num_replicas must be positive, got {num_replicas}")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"[DistributedSampler] rank must be in [0, {num_replicas}), got {rank}")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        n = len(self.dataset)
        return n // self.num_replicas if self.drop_last else -(-n // self.num_replicas)

    def indices(self) -> np.ndarray:
        n, count = len(self.dataset), len(self)
        order = permutation(n, self.seed, self.epoch) if self.shuffle else np.arange(n)
        if n:
            order = np.resize(order, count * self.num_replicas)  # repeats from the start, or cuts
        return order[self.rank :: self.num_replicas]


class BucketBatchSampler(Sampler):
    """Batches of items of like length, so that little is padded; a batch_sampler.

    Items are shuffled (where shuffle), sorted by length within windows of `window` batches, and cut into batches of
    batch_size items, or of as many items as keep (items * longest length) at most max_tokens; the batches are then
    shuffled. An order is a function of (seed, epoch).

    >>> list(BucketBatchSampler([5, 1, 4, 2], batch_size=2, shuffle=False))
    [[1, 3], [2, 0]]
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int | None = None,
        max_tokens: int | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        window: int = 100,
        generator: Any = None,
    ) -> None:
        if (batch_size is None) == (max_tokens is None):
            raise ValueError("[BucketBatchSampler] batch_size or max_tokens must be given, one of the two")
        for name, value in (("batch_size", batch_size), ("max_tokens", max_tokens), ("window", window)):
            if value is not None and value < 1:
                raise ValueError(f"[BucketBatchSampler] {name} must be positive, got {value}")
        self.lengths = np.asarray(lengths, np.int64)
        if self.lengths.ndim != 1 or (self.lengths < 0).any():
            raise ValueError("[BucketBatchSampler] lengths must be a list of integers, none negative")
        if max_tokens is not None and self.lengths.size and self.lengths.max() > max_tokens:
            i = int(self.lengths.argmax())
            raise ValueError(
                f"[BucketBatchSampler] max_tokens must be at least the longest length, {self.lengths[i]} of item {i}, "
                f"got {max_tokens}"
            )
        self.tokens, self.size, self.batch_size = max_tokens, batch_size, batch_size
        self.shuffle, self.drop_last, self.window, self.generator, self.epoch = shuffle, drop_last, window, generator, 0

    def _batches(self) -> list[list[int]]:
        n, seed = len(self.lengths), seed_of(self.generator)
        order = permutation(n, seed, self.epoch) if self.shuffle else np.arange(n)
        mean = max(1.0, float(self.lengths.mean())) if n else 1.0
        typical = self.size or max(1, int(self.tokens / mean))
        batches: list[list[int]] = []
        left = np.empty(0, np.int64)  # what does not fill a batch goes into the next window
        for at in range(0, n, typical * self.window):
            part = np.concatenate([left, order[at : at + typical * self.window]])
            part = part[np.argsort(self.lengths[part], kind="stable")]
            cut = self._cut(part)
            last = at + typical * self.window >= n
            left = np.empty(0, np.int64)
            if cut and not last and (self.size is None or len(cut[-1]) < self.size):
                left = np.asarray(cut.pop(), np.int64)
            batches += cut
        if self.drop_last and self.size is not None:
            batches = [b for b in batches if len(b) == self.size]
        if self.shuffle:
            batches = [batches[i] for i in permutation(len(batches), seed ^ 0x5BD1E995, self.epoch)]
        return batches

    def _cut(self, part: np.ndarray) -> list[list[int]]:
        """Consecutive batches of items sorted by length."""
        if self.size is not None:
            return [part[i : i + self.size].tolist() for i in range(0, len(part), self.size)]
        batches: list[list[int]] = []
        for index, length in zip(part.tolist(), self.lengths[part].tolist(), strict=True):
            if not batches or (len(batches[-1]) + 1) * length > self.tokens:
                batches.append([])
            batches[-1].append(index)
        return batches

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._batches()
        self.epoch += 1
        return iter(batches)
