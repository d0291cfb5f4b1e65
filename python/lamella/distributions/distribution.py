# SPDX-License-Identifier: MIT
"""The base of all distributions, and Independent, which makes one event of several dimensions."""

from __future__ import annotations

from typing import Any

from ..autograd import no_grad

__all__ = ["Distribution", "Independent"]


class Distribution:
    """A batch of distributions of shape `batch_shape`, each over events of shape `event_shape`.

    Samples have shape sample_shape + batch_shape + event_shape; log_prob and entropy have no event_shape.
    """

    has_rsample = False

    def __init__(self, batch_shape: tuple[int, ...] = (), event_shape: tuple[int, ...] = ()) -> None:
        self.batch_shape, self.event_shape = tuple(batch_shape), tuple(event_shape)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Any:
        """A sample as a differentiable function of the parameters (Kingma and Welling 2014), where there is one."""
        raise TypeError(f"[{type(self).__name__}] rsample must be of a continuous distribution; use sample and log_prob")

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Any:
        """A sample, outside of the graph."""
        with no_grad():
            return self.rsample(sample_shape)

    @property
    def stddev(self) -> Any:
        """The root of the variance."""
        return self.variance.sqrt()

    def perplexity(self) -> Any:
        """e^entropy: how many equally likely outcomes are as uncertain."""
        return self.entropy().exp()

    def _extended(self, sample_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return (*shape, *self.batch_shape, *self.event_shape)


class Independent(Distribution):
    """base with its last `reinterpreted_batch_ndims` batch dimensions taken as one event: log_prob and entropy sum over
    them, as for a vector of independent components.

    >>> from lamella.distributions import Independent, Normal
    >>> p = Independent(Normal(lamella.zeros(5, 2), lamella.ones(5, 2)), 1)
    >>> p.log_prob(lamella.zeros(5, 2)).shape
    (5,)
    """

    def __init__(self, base_distribution: Distribution, reinterpreted_batch_ndims: int) -> None:
        n, shape = reinterpreted_batch_ndims, base_distribution.batch_shape
        if not 0 <= n <= len(shape):
            raise ValueError(f"[Independent] reinterpreted_batch_ndims must be in [0, {len(shape)}], got {n}")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        cut = len(shape) - n
        super().__init__(shape[:cut], shape[cut:] + base_distribution.event_shape)
        self.has_rsample = base_distribution.has_rsample

    def _sum(self, x: Any) -> Any:
        n = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-n, 0))) if n else x

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Any:
        return self.base_dist.rsample(sample_shape)

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Any:
        return self.base_dist.sample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density (or probability) of events."""
        return self._sum(self.base_dist.log_prob(value))

    def entropy(self) -> Any:
        """In nats."""
        return self._sum(self.base_dist.entropy())

    @property
    def mean(self) -> Any:
        """The expectation."""
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        """The most probable event."""
        return self.base_dist.mode

    @property
    def variance(self) -> Any:
        """Of each component."""
        return self.base_dist.variance
