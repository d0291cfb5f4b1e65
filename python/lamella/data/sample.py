# SPDX-License-Identifier: MIT
"""Random numbers that belong to an item (or a batch), whoever makes it and when; and who is making it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

_here = threading.local()  # .key of what this thread is making, .made its generator, .info the worker that runs here
ITEM, BATCH, STREAM = 1, 2, 3  # the last word of a counter; permutations of samplers have 0


@dataclass(frozen=True)
class WorkerInfo:
    """What get_worker_info() gives: this worker's number, how many there are, the loader's seed and data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """The worker that runs this code; None outside one. An IterableDataset always has exactly one worker, so a data
    set that shares its items out by worker (`items[info.id :: info.num_workers]`) gives each of them once."""
    return getattr(_here, "info", None)


def set_worker_info(info: WorkerInfo) -> None:
    _here.info = info


def begin(seed: int, epoch: int, index: int, kind: int = ITEM) -> None:
    """From here to end() this thread makes the item (or the batch that begins with the item) `index`."""
    _here.key, _here.made = (seed, epoch, index, kind), None


def end() -> None:
    _here.key = _here.made = None


def philox(seed: int, epoch: int, index: int, kind: int) -> np.random.Generator:
    return np.random.Generator(
        np.random.Philox(
            key=np.array([seed % (1 << 64), epoch], dtype=np.uint64),
            counter=np.array([0, 0, index % (1 << 64), kind], dtype=np.uint64),
        )
    )


def sample_generator() -> np.random.Generator:
    """Random numbers for the item being made: a function of (seed, epoch, index) alone.

    For augmentation inside __getitem__; in collate_fn and batch_transform the numbers are the batch's, by its first
    index. All calls while an item is made give one generator, which goes on. RuntimeError outside a DataLoader.
    """
    key = getattr(_here, "key", None)
    if key is None:
        raise RuntimeError("[sample_generator] must be called while a DataLoader makes an item")
    if _here.made is None:
        _here.made = philox(*key)
    return _here.made


def random_source() -> np.random.Generator:
    """sample_generator() inside a DataLoader; outside, a generator seeded by the next numbers after manual_seed."""
    if getattr(_here, "key", None) is not None:
        return sample_generator()
    from ..ops import randint

    return np.random.Generator(np.random.Philox(int(randint(0, 1 << 62, (1,)).item())))
