# SPDX-License-Identifier: MIT
"""Settings that change while an agent learns: functions of the share of steps done, from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LinearSchedule:
    """From start to end in a straight line over the first `fraction` of all steps, then end.

    >>> from lamella.rl import LinearSchedule
    >>> epsilon = LinearSchedule(1.0, 0.1, fraction=0.5)
    >>> [round(epsilon(x), 2) for x in (0, 0.25, 0.5, 1)]
    [1.0, 0.55, 0.1, 0.1]
    """

    start: float
    end: float = 0.0
    fraction: float = 1.0

    def __call__(self, done: float) -> float:
        share = min(1.0, done / self.fraction) if self.fraction > 0 else 1.0
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class ExponentialSchedule:
    """From start towards end by the same ratio in equal times: start (end / start)^done; both positive."""

    start: float
    end: float

    def __call__(self, done: float) -> float:
        return self.start * (self.end / self.start) ** min(1.0, done)


KINDS = {"linear": LinearSchedule, "exponential": ExponentialSchedule}
Setting = float | Callable[[float], float]


def at(setting: Setting, done: float) -> float:
    """The value of a number or a schedule."""
    return setting(done) if callable(setting) else setting


def encode(value: Any) -> Any:
    """A setting as serialize.save can write it."""
    for name, kind in KINDS.items():
        if type(value) is kind:
            return {"schedule": name, **vars(value)}
    return value


def decode(value: Any) -> Any:
    """The setting again."""
    if isinstance(value, dict) and "schedule" in value:
        options = dict(value)
        return KINDS[options.pop("schedule")](**options)
    return value
