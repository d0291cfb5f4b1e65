# SPDX-License-Identifier: MIT
"""The order in which items are visited: a function of (seed, epoch) alone, on every machine and NumPy version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np


def seed_of(generator: Any) -> int:
    """The seed of a lamella.Generator, an int as it is, or that of manual_seed for None."""
    if generator is None:
        from .. import initial_seed

        return initial_seed()
    return int(generator) if isinstance(generator, int | np.integer) else generator.initial_seed()


def _philox(seed: int, epoch: int) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed % (1 << 64), epoch], dtype=np.uint64))


def permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """A random order of range(n): the order of raw Philox words (NumPy's shuffle may change between versions)."""
    words = _philox(seed, epoch).random_raw(n)
    order = np.argsort(words)  # several times as fast as a stable sort, and the same unless two words are equal
    ranked = words[order]
    return np.argsort(words, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order


def uniform(n: int, seed: int, epoch: int) -> np.ndarray:
    """n numbers in [0, 1), from the upper 53 bits of raw Philox words."""
    return (_philox(seed, epoch).random_raw(n) >> np.uint64(11)) * 2.0**-53


class Sampler:
    """Iterates over indices. A sampler with `epoch` gives another order for each: iterating counts it up.

    Subclasses define __iter__(), or indices(), which gives a whole epoch's order as an array.
    """

    def indices(self) -> np.ndarray:
        if type(self).__iter__ is Sampler.__iter__:
            raise TypeError(f"{type(self).__name__} must define __iter__")
        return np.fromiter(self, np.int64)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.indices().tolist())


class SequentialSampler(Sampler):
    """0, 1, 2, …"""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def indices(self) -> np.ndarray:
        return np.arange(len(self))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))


class RandomSampler(Sampler):
    """A new permutation every epoch; with `replacement`, num_samples independent draws."""

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        if num_samples is not None and num_samples < 0:
            raise ValueError(f"[RandomSampler] num_samples must not be negative, got {num_samples}")
        self.data_source, self.replacement, self.num_samples = data_source, replacement, num_samples
        self.generator, self.epoch = generator, 0

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples

    def indices(self) -> np.ndarray:
        n, count, seed, epoch = len(self.data_source), len(self), seed_of(self.generator), self.epoch
        self.epoch += 1
        if self.replacement:
            return (uniform(count, seed, epoch) * n).astype(np.int64)
        order = permutation(n, seed, epoch)
        while n and len(order) < count:  # more samples than items: further rounds
            order = np.concatenate([order, permutation(n, seed, epoch + (len(order) // n << 32))])
        return order[:count]


class SubsetRandomSampler(RandomSampler):
    """The given indices in a new order every epoch."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        super().__init__(indices, generator=generator)

    def indices(self) -> np.ndarray:
        return np.asarray(self.data_source, np.int64).reshape(-1)[super().indices()]


class WeightedRandomSampler(Sampler):
    """num_samples draws of i with chance weights[i] / sum(weights); without replacement by the exponential keys of
    Efraimidis and Spirakis (2006)."""

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        if (
            self.weights.ndim != 1
            or not np.all(np.isfinite(self.weights) & (self.weights >= 0))
            or not self.weights.any()
        ):
            raise ValueError(
                "[WeightedRandomSampler] weights must be a list of finite numbers, none negative, not all 0"
            )
        possible = np.count_nonzero(self.weights)
        if num_samples <= 0 or (not replacement and num_samples > possible):
            limit = "" if replacement else f" and at most {possible} without replacement"
            raise ValueError(f"[WeightedRandomSampler] num_samples must be positive{limit}, got {num_samples}")
        self.num_samples, self.replacement, self.generator, self.epoch = num_samples, replacement, generator, 0

    def __len__(self) -> int:
        return self.num_samples

    def indices(self) -> np.ndarray:
        seed, epoch = seed_of(self.generator), self.epoch
        self.epoch += 1
        if self.replacement:
            ends = np.cumsum(self.weights)
            at = uniform(self.num_samples, seed, epoch) * ends[-1]
            return np.searchsorted(ends, at, side="right")
        with np.errstate(divide="ignore"):
            keys = -np.log1p(-uniform(len(self.weights), seed, epoch)) / self.weights
        keys[self.weights == 0] = np.inf
        return np.argsort(keys, kind="stable")[: self.num_samples]


class BatchSampler(Sampler):
    """Lists of batch_size indices of `sampler`; the last may be shorter, or is dropped."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool = False) -> None:
        if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f"[BatchSampler] batch_size must be a positive integer, got {batch_size!r}")
        self.sampler, self.batch_size, self.drop_last = sampler, int(batch_size), drop_last

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def arrays(self) -> Iterator[np.ndarray]:
        """The batches as arrays, which a data set with batch(indices) takes as they are."""
        order = self.sampler.indices()
        for at in range(0, len(order), self.batch_size):
            if at + self.batch_size <= len(order) or not self.drop_last:
                yield order[at : at + self.batch_size]

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch
