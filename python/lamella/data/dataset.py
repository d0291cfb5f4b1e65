# SPDX-License-Identifier: MIT
"""Data sets: things with a length and items (map style), or things that are iterated over (stream style).

A data set may have a method batch(indices) that gives the collated batch at once; the loader then uses it in place of
items and default_collate. With __getitems__(indices) it gives a list of items, which are then collated.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .sampler import permutation, seed_of

Indices = Sequence[int] | np.ndarray


class Dataset:
    """Subclasses define __getitem__(index) and __len__()."""

    def __getitem__(self, index: int) -> Any:
        raise TypeError(f"{type(self).__name__} must define __getitem__")

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} must define __len__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Subclasses define __iter__(); there are no indices."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{type(self).__name__} must define __iter__")

    def __add__(self, other: Dataset) -> ChainDataset:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """The items of several streams, one stream after the other."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"[ChainDataset] datasets must be IterableDatasets, got {type(dataset).__name__}")
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class TensorDataset(Dataset):
    """Item i is (tensor[i], ...): tensors that agree in their first size. A batch is one gather of rows per tensor.

    >>> TensorDataset(lamella.arange(4), lamella.arange(4) * 10)[1]
    (tensor(1), tensor(10))
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ValueError("[TensorDataset] tensors must not be empty")
        if any(t.ndim == 0 or t.shape[0] != tensors[0].shape[0] for t in tensors):
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
            raise ValueError(f"[TensorDataset] tensors must agree in their first size, got shapes {shapes}")
        self.tensors = tensors

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(t[index] for t in self.tensors)

    def batch(self, indices: Indices) -> tuple[Any, ...]:
        from ..ops import from_numpy, index_select

        rows = from_numpy(np.asarray(indices, dtype=np.int64))
        return tuple(index_select(t, 0, rows) for t in self.tensors)


def in_memory(dataset: Dataset) -> TensorDataset:
    """All items of a data set of (input, target, ...), made once, as a TensorDataset: for items of one shape whose making
    (decoding, a spectrogram) costs more than their keeping.

    >>> in_memory([(lamella.ones(2) * i, i) for i in range(3)]).tensors[1]
    tensor([0, 1, 2])
    """
    from .collate import default_collate

    return TensorDataset(*default_collate([dataset[i] for i in range(len(dataset))]))


class StackDataset(Dataset):
    """Data sets of one length, item by item: item i is the tuple of their items i, or, given by name, the dict.

    >>> StackDataset(image=range(3), text="abc")[1]
    {'image': 1, 'text': 'b'}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError("[StackDataset] datasets must be given by position or by name, one of the two")
        self.datasets: Any = args or kwargs
        sizes = [len(d) for d in (args or kwargs.values())]
        if len(set(sizes)) != 1:
            raise ValueError(f"[StackDataset] datasets must agree in length, got {', '.join(map(str, sizes))}")
        self.size = sizes[0]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple(d[index] for d in self.datasets)


class Subset(Dataset):
    """The items of `dataset` at `indices`."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        if hasattr(dataset, "batch"):
            self.rows = np.asarray(indices, np.int64)
            self.batch = self._batch

    def _batch(self, chosen: Indices) -> Any:
        return self.dataset.batch(self.rows[np.asarray(chosen, np.int64)])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]


class MapDataset(Dataset):
    """Item i is function(items[i]), made when it is asked for, so that `sample_generator()` serves in it.

    >>> MapDataset(["ab", "c"], len)[0]
    2
    """

    def __init__(self, items: Sequence[Any] | Dataset, function: Callable[[Any], Any]) -> None:
        self.items, self.function = items, function

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.function(self.items[index])


class ConcatDataset(Dataset):
    """The items of several data sets, one after the other."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("[ConcatDataset] datasets must not be empty")
        self.ends = list(itertools.accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"[ConcatDataset] index must be in [{-n}, {n}), got {index}")
        index %= n
        which = bisect.bisect_right(self.ends, index)
        return self.datasets[which][index - (self.ends[which - 1] if which else 0)]


def random_split(dataset: Dataset, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Subsets of these lengths that share no item; lengths are counts, or fractions that add up to 1 (what rounding
    leaves over goes to the first ones, one each).

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    n = len(dataset)
    counts = [int(x) for x in lengths]
    if all(0 <= x <= 1 for x in lengths) and abs(sum(lengths) - 1) < 1e-6 and n != 1:
        counts = [int(n * x) for x in lengths]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    if sum(counts) != n or any(c < 0 for c in counts):
        raise ValueError(f"[random_split] lengths must add up to {n} (or to 1), got {list(lengths)}")
    order = permutation(n, seed_of(generator), 0).tolist()
    ends = list(itertools.accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for end, count in zip(ends, counts, strict=True)]
