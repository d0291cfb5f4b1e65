# SPDX-License-Identifier: MIT
"""Normal: Gaussian distributions."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from .distribution import Distribution

__all__ = ["Normal"]

_LOG_ROOT_2_PI = 0.5 * math.log(2 * math.pi)


class Normal(Distribution):
    """The density e^(-((x - loc) / scale)^2 / 2) / (scale sqrt(2 pi)); loc and scale broadcast.

    >>> from lamella.distributions import Normal
    >>> round(Normal(lamella.tensor(0.0), lamella.tensor(1.0)).log_prob(lamella.tensor(0.0)).item(), 4)
    -0.9189
    """

    has_rsample = True

    def __init__(self, loc: Any, scale: Any) -> None:
        self.loc, self.scale = ops.broadcast_tensors(ops.as_tensor(loc), ops.as_tensor(scale))
        if bool((self.scale <= 0).any()):
            raise ValueError("[Normal] scale must be positive")
        super().__init__(self.loc.shape)

    @property
    def mean(self) -> Any:
        """loc."""
        return self.loc

    mode = mean

    @property
    def stddev(self) -> Any:
        """scale."""
        return self.scale

    @property
    def variance(self) -> Any:
        """scale^2."""
        return self.scale * self.scale

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Any:
        """loc + scale z, z standard normal."""
        return self.loc + self.scale * ops.randn(*self._extended(sample_shape), dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density at value."""
        return -0.5 * ((value - self.loc) / self.scale).square() - self.scale.log() - _LOG_ROOT_2_PI

    def entropy(self) -> Any:
        """1/2 + log(scale sqrt(2 pi)), in nats."""
        return self.scale.log() + (0.5 + _LOG_ROOT_2_PI)

    def cdf(self, value: Any) -> Any:
        """The probability of at most value."""
        return 0.5 * (1 + ops.erf((value - self.loc) / (self.scale * math.sqrt(2))))
