# SPDX-License-Identifier: MIT
"""Spectral normalisation w / sigma(w) (Miyato et al. 2018), by a hook before each forward: parameter weight_orig, buffers
weight_u and weight_v. `parametrizations.spectral_norm` is the newer form."""

from __future__ import annotations

from ...autograd import no_grad
from ...ops import random
from ...ops.gemm import mv
from ..functional import normalize
from ..parameter import Parameter
from .weight_norm import WeightHook

__all__ = ["remove_spectral_norm", "spectral_norm"]


def as_matrix(w, dim):
    """(size of dim, all others)"""
    return (w if dim == 0 else w.movedim(dim, 0)).reshape(w.shape[dim], -1)


def default_dim(module):
    """The dimension of outputs: 1 for transposed convolutions."""
    return 1 if "Transpose" in type(module).__name__ else 0


def iterate_(matrix, u, v, steps, eps):
    """Power iteration towards the largest singular value's vectors, in place."""
    with no_grad():
        for _ in range(steps):
            v.copy_(normalize(mv(matrix.t(), u), dim=0, eps=eps))
            u.copy_(normalize(mv(matrix, v), dim=0, eps=eps))


class _SpectralNorm(WeightHook):
    def __init__(self, name, steps, eps, dim):
        self.name, self.steps, self.eps, self.dim = name, steps, eps, dim

    def compute(self, module):
        weight, u, v = (getattr(module, self.name + end) for end in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if module.training:
            iterate_(matrix, u, v, self.steps, self.eps)
        u, v = u.clone(), v.clone()  # the graph keeps these: the next iteration writes into the buffers
        return weight / (u * mv(matrix, v)).sum()


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """module.<name> becomes <name>_orig over its largest singular value, as a matrix (size of dim, all others), which
    n_power_iterations steps of each forward in training mode estimate."""
    weight = module.__dict__.get(name)
    if not isinstance(weight, Parameter):
        raise ValueError(f"[spectral_norm] name must be that of a parameter, got {name!r}")
    if n_power_iterations <= 0:
        raise ValueError(f"[spectral_norm] n_power_iterations must be positive, got {n_power_iterations}")
    hook = _SpectralNorm(name, n_power_iterations, eps, default_dim(module) if dim is None else dim)
    matrix = as_matrix(weight.detach(), hook.dim)
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    for end, size in zip(("_u", "_v"), matrix.shape, strict=True):
        start = normalize(random.randn(size, dtype=weight.dtype, device=weight), dim=0, eps=eps)
        module.register_buffer(name + end, start)
    setattr(module, name, weight.detach())
    hook.install(module)
    return module


def remove_spectral_norm(module, name="weight"):
    """module.<name> is a parameter again, with the value it has."""
    hook, mode = _SpectralNorm.remove("remove_spectral_norm", module, name), module.training
    module.training = False  # no step of the iteration
    weight = hook.compute(module).detach()
    module.training = mode
    for gone in (name, name + "_orig", name + "_u", name + "_v"):
        delattr(module, gone)
    module.register_parameter(name, Parameter(weight))
    return module
