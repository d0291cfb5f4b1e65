# SPDX-License-Identifier: MIT
"""Parametrisations ready to use: weight and spectral normalisation."""

from __future__ import annotations

from ...ops import random
from ...ops.gemm import mv
from ..functional import normalize
from ..module import Module
from .parametrize import register_parametrization
from .spectral_norm import as_matrix, default_dim, iterate_
from .weight_norm import norm_except, normed

__all__ = ["spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    def __init__(self, dim=0):
        self.dim = dim

    def forward(self, weight_g, weight_v):
        return normed(weight_g, weight_v, self.dim)

    def right_inverse(self, weight):
        return norm_except(weight, self.dim), weight.clone()


def weight_norm(module, name="weight", dim=0):
    """w = g v / |v|, slice by slice along dim (None: as one) (Salimans and Kingma 2016). State: parametrizations.<name>.original0
    is g, original1 is v."""
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        if n_power_iterations <= 0:
            raise ValueError(f"[spectral_norm] n_power_iterations must be positive, got {n_power_iterations}")
        self.dim, self.n_power_iterations, self.eps = dim, n_power_iterations, eps
        if weight.ndim > 1:
            matrix = as_matrix(weight.detach(), dim)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, normalize(random.randn(size, dtype=weight.dtype, device=weight), dim=0, eps=eps))
            iterate_(matrix, self._u, self._v, 15, eps)

    def forward(self, weight):
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            iterate_(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        u, v = self._u.clone(), self._v.clone()
        return weight / (u * mv(matrix, v)).sum()

    def right_inverse(self, value):
        return value


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """w / sigma, its largest singular value as a matrix (size of dim, all others) (Miyato et al. 2018), which
    n_power_iterations steps at each reading in training mode estimate. A vector is divided by its norm. State:
    parametrizations.<name>.original, and the vectors in parametrizations.<name>.0._u and ._v."""
    weight = getattr(module, name)
    dim = default_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
