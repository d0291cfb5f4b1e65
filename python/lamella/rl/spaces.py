# SPDX-License-Identifier: MIT
"""What agents must know of observation and action spaces: Gymnasium's Discrete and Box, or anything with their attributes.

Discrete: `n`, and `start` (0). Box: `shape`, `low`, `high`, `dtype`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def is_discrete(space: Any) -> bool:
    """Whether it is Discrete: one of n choices."""
    return hasattr(space, "n") and not getattr(space, "shape", ())


def is_box(space: Any) -> bool:
    """Whether it is Box: an array of real numbers (or of pixels)."""
    return hasattr(space, "low") and hasattr(space, "high")


def start(space: Any) -> int:
    """The first choice of a Discrete space."""
    return int(getattr(space, "start", 0))


def name_of(env: Any) -> str:
    """What an environment is called in messages."""
    spec = getattr(env, "spec", None)
    return getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__


def require(op: str, what: str, space: Any, kinds: tuple[str, ...], env_name: str) -> None:
    """ValueError unless the space is of one of the kinds "Discrete" and "Box"."""
    if ("Discrete" in kinds and is_discrete(space)) or ("Box" in kinds and is_box(space)):
        return
    raise ValueError(f"[{op}] env must have {' or '.join(kinds)} {what}, got {env_name} with {space}")


def features(space: Any) -> int:
    """The length of an observation as a vector: one-hot of a Discrete one, a flat array of a Box; an int is itself."""
    if isinstance(space, int):
        return space
    return int(space.n) if is_discrete(space) else math.prod(space.shape)


def storage(space: Any) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, dtype) in which observations or actions are kept: pixels as bytes, choices as int64, all else float32."""
    if is_discrete(space):
        return (), np.dtype(np.int64)
    dtype = np.dtype(getattr(space, "dtype", None) or np.float32)
    return tuple(space.shape), dtype if dtype == np.uint8 else np.dtype(np.float32)


def encode(space: Any, observations: np.ndarray) -> np.ndarray:
    """Observations (N, ...) as float32 inputs of a network: one-hot rows, pixels divided by 255, others as they are."""
    if is_discrete(space):
        out = np.zeros((len(observations), space.n), np.float32)
        out[np.arange(len(observations)), observations - start(space)] = 1
        return out
    if observations.dtype == np.uint8:
        return np.divide(observations, 255, dtype=np.float32)
    return np.asarray(observations, np.float32)
