# SPDX-License-Identifier: MIT
"""All parameters as one vector, and back."""

from __future__ import annotations

from ...autograd import no_grad
from ...ops.join import cat

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """The elements of all of them, one after another: 1-D, differentiable."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec, parameters):
    """Copies the elements of vec into the parameters, in place. ValueError if it has not as many."""
    parameters = list(parameters)
    total = sum(p.numel() for p in parameters)
    if vec.ndim != 1 or vec.shape[0] != total:
        raise ValueError(f"[vector_to_parameters] vec must have shape ({total},), got {tuple(vec.shape)}")
    at = 0
    with no_grad():
        for p in parameters:
            p.copy_(vec[at : at + p.numel()].reshape(p.shape))
            at += p.numel()
